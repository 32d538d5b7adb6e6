import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Stack } from "../../harness/stack.ts";
import { addEnvironment, PYTHON_SDK } from "../../python/interpreters.ts";
import { type Arena, sized } from "../arena.ts";
import { type Figures, latencies, median, type Row } from "../figures.ts";
import { nowMs, startFlowWorker } from "../project.ts";

/** The same flows as in TypeScript. */
const FLOWS = `
import time
from towpath import flow, task

def now() -> float:
    return time.time_ns() / 1e6

@flow
def python_first(file: str) -> None:
    with open(file, "a") as out:
        out.write(f"{now()}\\n")

@task
def one(n: int) -> int:
    return n

@flow
def python_steps(count: int, file: str) -> None:
    began = now()
    for n in range(count):
        one(n)
    with open(file, "w") as out:
        out.write(f"{began} {now()}")
`;

const CONFIG = `
from flows import python_first, python_steps
from towpath.config import deployment, oci_layout, project

config = project("bench-python", pool="local", registry=oci_layout(REGISTRY), deployments=[
    deployment(python_first), deployment(python_steps),
])
`;

/** Prints the processor time of one start of this Python with a program, milliseconds. */
const MEASURE = `
import resource, subprocess, sys
count, program = int(sys.argv[1]), sys.argv[2]
times = []
for _ in range(count):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    times.append((after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1000)
print(min(times))
`;

const deployed = new WeakSet<Stack>();

async function deployPython(stack: Stack): Promise<void> {
  if (deployed.has(stack)) return;
  const registry = JSON.stringify(join(stack.folder, "registry"));
  const home = await stack.project({
    "flows.py": FLOWS,
    "towpath_config.py": CONFIG.replace("REGISTRY", registry),
  });
  await addEnvironment(home);
  const { code, output } = await stack.towpath(["deploy", "--project", home]);
  if (code !== 0) throw new Error(`deploy failed (${code}):\n${output}`);
  deployed.add(stack);
}

/** Starts a real worker on the flows of both languages. */
async function startWorker(arena: Arena, name: string) {
  await deployPython(arena.stack);
  return await startFlowWorker(arena.stack, name);
}

async function finish(
  arena: Arena,
  deployment: string,
  parameters: Record<string, string | number | boolean>,
) {
  const run = await arena.stack.waitForRun(await arena.stack.run(deployment, parameters));
  if (run.state !== "completed") throw new Error(`The run is ${run.state}: ${run.error?.message}`);
}

/** Long enough for the next runner to have loaded the flow's code, milliseconds. */
const WARM_UP_MS = 1000;

async function firstLines(arena: Arena, deployment: string, count: number): Promise<number[]> {
  const took: number[] = [];
  for (let index = 0; index < count; index++) {
    const file = join(arena.stack.folder, `first-${nowMs()}`);
    const beganMs = nowMs();
    await finish(arena, deployment, { file });
    took.push(Number(await readFile(file, "utf8")) - beganMs);
    await pause(WARM_UP_MS);
  }
  return took;
}

/** From asking for a run until the first line of its flow in Python, beside the same in TypeScript. */
export async function pythonFirstLineRow(arena: Arena): Promise<Row> {
  const rounds = sized(arena, { tiny: 1, quick: 3, full: 6 });
  const perRound = sized(arena, { tiny: 1, quick: 4, full: 8 });
  await using worker = await startWorker(arena, "python-first-line");
  for (const name of ["first", "python-first"]) await firstLines(arena, name, Math.min(2, perRound));
  const [python, typescript]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    typescript.push(...(await firstLines(arena, "first", perRound)));
    python.push(...(await firstLines(arena, "python-first", perRound)));
  }
  worker.kill("SIGTERM");
  await worker.exited;
  const [ours, other] = [latencies(python), latencies(typescript)];
  return {
    row: "python-first-line",
    unit: "ms",
    ours,
    peers: { "the same in TypeScript": other },
    ratio: (ours.p50 ?? 0) / (other.p50 ?? 1),
    aim: "at most 1.3",
    how: `From the API call until the first line of a deployed flow whose process has loaded the code since the run before. ${python.length} each.`,
  };
}

async function rateOf(
  arena: Arena,
  deployment: string,
  args: { count: number; file: string },
): Promise<number> {
  await finish(arena, deployment, deployment === "steps" ? { ...args, durable: false } : args);
  const [began = 0, ended = 0] = (await readFile(args.file, "utf8")).trim().split(" ").map(Number);
  return (args.count * 1000) / (ended - began);
}

/** Steps per second of one run in Python, one after the other, beside the same in TypeScript. */
export async function pythonStepsRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 5, quick: 500, full: 2_000 });
  const rounds = sized(arena, { tiny: 1, quick: 2, full: 3 });
  await using worker = await startWorker(arena, "python-steps");
  const file = join(arena.stack.folder, "python-steps-times");
  const [python, typescript]: [number[], number[]] = [[], []];
  for (const name of ["steps", "python-steps"]) await rateOf(arena, name, { count: 5, file });
  for (let round = 0; round < rounds; round++) {
    typescript.push(await rateOf(arena, "steps", { count, file }));
    python.push(await rateOf(arena, "python-steps", { count, file }));
  }
  worker.kill("SIGTERM");
  await worker.exited;
  const [ours, other] = [median(python), median(typescript)];
  return {
    row: "python-steps",
    unit: "steps/s",
    ours: { journalled: ours },
    peers: { "the same in TypeScript": { journalled: other } },
    ratio: ours / other,
    aim: "at least 0.8",
    how: `${count} steps one after the other, each with a result in the worker's journal on disk. Median of ${rounds} rounds.`,
  };
}

function cpuOf(arena: Arena, args: { program: string; count: number; python?: string }): number {
  const { program, count, python = "python3" } = args;
  const { PYTHONDONTWRITEBYTECODE: _, ...inherited } = process.env;
  // As an installed package: compiled once.
  const PYTHONPYCACHEPREFIX = join(arena.stack.folder, "pycache");
  const env = { ...inherited, PYTHONPATH: PYTHON_SDK, PYTHONPYCACHEPREFIX };
  return Number(execFileSync(python, ["-c", MEASURE, String(count), program], { encoding: "utf8", env }));
}

/** Processor time of importing `flow` and `task` above a bare start, beside Prefect where it is installed. */
export async function pythonImportRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 2, quick: 8, full: 20 });
  const bare = cpuOf(arena, { program: "pass", count });
  const ours = cpuOf(arena, { program: "from towpath import flow, task", count }) - bare;
  const python = process.env.BENCH_PREFECT;
  const peers: Record<string, Figures> = { "a bare start": { cpu: bare } };
  if (python !== undefined) {
    const theirs = { count: Math.min(count, 5), python };
    const whole = cpuOf(arena, { program: "from prefect import flow, task", ...theirs });
    peers.Prefect = { cpu: whole - cpuOf(arena, { program: "pass", ...theirs }) };
  }
  const other = peers.Prefect?.cpu ?? null;
  return {
    row: "python-import",
    unit: "ms",
    ours: { cpu: Math.max(ours, 0.01) },
    peers,
    ratio: other === null ? null : ours / other,
    aim: "a twentieth of Prefect",
    how: `The least processor time of ${count} starts, without that of a bare start. BENCH_PREFECT is a Python with Prefect.`,
  };
}
