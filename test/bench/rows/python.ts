import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { PYTHON_SDK } from "../../python/interpreters.ts";
import { type Arena, sized } from "../arena.ts";
import { type Figures, latencies, median, type Row } from "../figures.ts";
import { nowMs } from "../project.ts";
import { startPythonWorker } from "../python-project.ts";

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

/** The time until the first line of a flow in Python, and of the same in TypeScript, by turns. */
async function bothFirstLines(
  arena: Arena,
  name: string,
  settings?: Record<string, number>,
): Promise<{ python: number[]; typescript: number[] }> {
  const rounds = sized(arena, { tiny: 1, quick: 3, full: 6 });
  const perRound = sized(arena, { tiny: 1, quick: 4, full: 8 });
  await using worker = await startPythonWorker(arena.stack, name, settings);
  for (const name of ["first", "python-first"]) await firstLines(arena, name, Math.min(2, perRound));
  const [python, typescript]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    typescript.push(...(await firstLines(arena, "first", perRound)));
    python.push(...(await firstLines(arena, "python-first", perRound)));
  }
  worker.kill("SIGTERM");
  await worker.exited;
  return { python, typescript };
}

/** From asking for a run until the first line of its flow in Python, beside the same in TypeScript. */
export async function pythonFirstLineRow(arena: Arena): Promise<Row> {
  const { python, typescript } = await bothFirstLines(arena, "python-first-line");
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

/** The same where no process waits: the interpreter starts, and imports the flow. */
export async function pythonColdRow(arena: Arena): Promise<Row> {
  const { python, typescript } = await bothFirstLines(arena, "python-cold", { warm: 0, loadAhead: 0 });
  const [ours, other] = [latencies(python), latencies(typescript)];
  return {
    row: "python-cold",
    unit: "ms",
    ours,
    peers: { "the same in TypeScript": other },
    ratio: (ours.p50 ?? 0) / (other.p50 ?? 1),
    aim: "TypeScript's, and 100 ms",
    how: `From the API call until the first line of a deployed flow on a worker whose code and environment are there, but no process waits. ${python.length} each.`,
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

/** The steps per second of a flow in Python and of the same in TypeScript, by turns. */
async function rates(
  arena: Arena,
  deployment: "steps" | "map",
  args: { count: number; rounds: number },
): Promise<{ python: number; typescript: number }> {
  const { count, rounds } = args;
  const python = `python-${deployment}`;
  await using worker = await startPythonWorker(arena.stack, python);
  const file = join(arena.stack.folder, `${python}-times`);
  const found: [number[], number[]] = [[], []];
  for (const name of [deployment, python]) await rateOf(arena, name, { count: 5, file });
  for (let round = 0; round < rounds; round++) {
    found[0].push(await rateOf(arena, deployment, { count, file }));
    found[1].push(await rateOf(arena, python, { count, file }));
  }
  worker.kill("SIGTERM");
  await worker.exited;
  return { typescript: median(found[0]), python: median(found[1]) };
}

/** Steps per second of one run in Python, one after the other, beside the same in TypeScript. */
export async function pythonStepsRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 5, quick: 500, full: 2_000 });
  const rounds = sized(arena, { tiny: 1, quick: 2, full: 3 });
  const { python, typescript } = await rates(arena, "steps", { count, rounds });
  return {
    row: "python-steps",
    unit: "steps/s",
    ours: { journalled: python },
    peers: { "the same in TypeScript": { journalled: typescript } },
    ratio: python / typescript,
    aim: "at least 0.8",
    how: `${count} steps one after the other, each with a result in the worker's journal on disk. Median of ${rounds} rounds.`,
  };
}

/** Steps per second of a map in Python, whose calls run in threads, beside the same in TypeScript. */
export async function pythonMapRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 20, quick: 2_000, full: 20_000 });
  const rounds = sized(arena, { tiny: 1, quick: 2, full: 3 });
  const { python, typescript } = await rates(arena, "map", { count, rounds });
  return {
    row: "python-map",
    unit: "steps/s",
    ours: { "in threads": python },
    peers: { "the same in TypeScript": { "in one thread": typescript } },
    ratio: python / typescript,
    aim: "none",
    how: `${count} mapped steps, concurrency 100, each with a result in the worker's journal on disk. Median of ${rounds} rounds.`,
  };
}

async function runsPerSecond(
  arena: Arena,
  deployment: string,
  args: { count: number; parameters?: Record<string, number> },
): Promise<number> {
  const { stack } = arena;
  const beganMs = nowMs();
  const ids = await Promise.all(
    Array.from({ length: args.count }, () => stack.run(deployment, args.parameters)),
  );
  for (const id of ids) {
    const { state } = await stack.waitForRun(id);
    if (state !== "completed") throw new Error(`A run of ${deployment} is ${state}.`);
  }
  return (args.count * 1000) / (nowMs() - beganMs);
}

/** Empty flows in Python per second on one worker, each in a process of its own, beside the same in TypeScript. */
export async function pythonRunsRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 4, quick: 40, full: 100 });
  const rounds = sized(arena, { tiny: 1, quick: 2, full: 3 });
  await using worker = await startPythonWorker(arena.stack, "python-runs");
  const [python, typescript]: [number[], number[]] = [[], []];
  const empty = { parameters: { count: 0 } };
  await runsPerSecond(arena, "tasks", { ...empty, count: 2 });
  await runsPerSecond(arena, "python-empty", { count: 2 });
  for (let round = 0; round < rounds; round++) {
    typescript.push(await runsPerSecond(arena, "tasks", { ...empty, count }));
    python.push(await runsPerSecond(arena, "python-empty", { count }));
  }
  worker.kill("SIGTERM");
  await worker.exited;
  const [ours, other] = [median(python), median(typescript)];
  return {
    row: "python-runs",
    unit: "runs/s",
    ours: { rate: ours },
    peers: { "the same in TypeScript": { rate: other } },
    ratio: ours / other,
    aim: "none",
    how: `${count} runs of an empty flow on one worker with capacity 4, from the first request until all have completed. Median of ${rounds} rounds.`,
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
