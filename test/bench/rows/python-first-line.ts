import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Arena, sized } from "../arena.ts";
import { type Figures, latencies, type Row } from "../figures.ts";
import { openPrefect, type Prefect } from "../prefect.ts";
import { nextAhead, nowMs, TELLING } from "../project.ts";
import { deployData, startPythonWorker } from "../python-project.ts";

/** Deployments whose flow writes when it began. */
const TYPESCRIPT = "first";
const PYTHON = "python-first";
const DATA = "python-data";

/** From asking for one run until the first line of its flow, milliseconds. */
async function firstLine(arena: Arena, run: (file: string) => Promise<void>): Promise<number> {
  const file = join(arena.stack.folder, `first-${nowMs()}`);
  const beganMs = nowMs();
  await run(file);
  return Number(await readFile(file, "utf8")) - beganMs;
}

interface Measured {
  /** The worker's name. */
  readonly name: string;
  readonly deployments: readonly string[];
  /** Whether a process has loaded the code since the run before. */
  readonly isWarm: boolean;
  readonly settings?: object;
  /** Measured once in each round. */
  readonly prefect?: Prefect | null;
}

/** The times until the first line of each deployment, by turns, so that other work on the machine slows all of them. */
async function firstLines(arena: Arena, args: Measured): Promise<Record<string, number[]>> {
  const { name, deployments, isWarm, prefect = null } = args;
  const rounds = sized(arena, { tiny: 1, quick: 12, full: 48 });
  const perPrefect = sized(arena, { tiny: 1, quick: 6, full: 10 });
  const ahead = isWarm ? { loadAhead: deployments.length } : { warm: 0, loadAhead: 0 };
  await using worker = await startPythonWorker(arena.stack, name, { ...TELLING, ...ahead, ...args.settings });
  const took: Record<string, number[]> = Object.fromEntries(deployments.map((one) => [one, []]));
  const theirs: number[] = [];
  const one = async (deployment: string) => {
    const loaded = nextAhead(worker, deployment);
    const ms = await firstLine(arena, async (file) => {
      const run = await arena.stack.waitForRun(await arena.stack.run(deployment, { file }));
      if (run.state !== "completed") throw new Error(`The run is ${run.state}: ${run.error?.message}`);
    });
    if (isWarm) await loaded();
    return ms;
  };
  for (const deployment of deployments) for (const _ of [1, 2]) await one(deployment);
  for (let round = 0; round < rounds; round++) {
    for (const deployment of deployments) took[deployment]?.push(await one(deployment));
    if (prefect !== null && round % perPrefect === 0)
      theirs.push(await firstLine(arena, (file) => prefect.run("first", { file })));
  }
  worker.kill("SIGTERM");
  await worker.exited;
  return { ...took, ...(theirs.length > 0 && { prefect: theirs }) };
}

const p50 = (figures: Figures) => figures.p50 ?? Number.NaN;

/** What `prefect` of these times is beside ours. */
function besides(times: Record<string, number[]>): Record<string, Figures> {
  const { prefect } = times;
  return prefect === undefined ? {} : { "Prefect 3.9, process worker": latencies(prefect) };
}

/** From asking for a run until the first line of its flow in Python, beside the same in TypeScript and with Prefect. */
export async function pythonFirstLineRow(arena: Arena): Promise<Row> {
  await using prefect = await openPrefect(arena, { worker: true });
  const name = "python-first-line";
  const times = await firstLines(arena, { name, deployments: [TYPESCRIPT, PYTHON], isWarm: true, prefect });
  const [ours, other] = [latencies(times[PYTHON] ?? []), latencies(times[TYPESCRIPT] ?? [])];
  return {
    row: name,
    unit: "ms",
    ours,
    peers: { "the same in TypeScript": other, ...besides(times) },
    ratio: p50(ours) / p50(other),
    aim: "at most 1.3; a hundredth of Prefect",
    how:
      `From the API call until the first line of a deployed flow whose process has loaded the code since the run before. ${times[PYTHON]?.length} each, by turns. ` +
      "Prefect's server is warm, its worker has the default settings: it polls every 10 s, and starts a process that imports Prefect and the flow.",
  };
}

/** The same for a flow whose module imports pandas and scikit-learn. */
export async function pythonDataRow(arena: Arena): Promise<Row> {
  const name = "python-data";
  const settings = await deployData(arena.stack);
  const deployments = [TYPESCRIPT, PYTHON, ...(settings === null ? [] : [DATA])];
  const times = await firstLines(arena, { name, deployments, isWarm: true, ...(settings && { settings }) });
  const [plain, other] = [latencies(times[PYTHON] ?? []), latencies(times[TYPESCRIPT] ?? [])];
  const ours = settings === null ? plain : latencies(times[DATA] ?? []);
  return {
    row: name,
    unit: "ms",
    ours,
    peers: { "TypeScript without imports": other, "Python without imports": plain },
    ratio: p50(ours) / p50(other),
    aim: "at most 1.3",
    how: `The row python-first-line for a flow whose module imports ${settings === null ? "nothing, because pandas and scikit-learn are missing" : "pandas and scikit-learn"}. ${times[PYTHON]?.length} each, by turns.`,
  };
}

/** The same where no process waits: the interpreter starts, and imports the flow. */
export async function pythonColdRow(arena: Arena): Promise<Row> {
  const name = "python-cold";
  const times = await firstLines(arena, { name, deployments: [TYPESCRIPT, PYTHON], isWarm: false });
  const [ours, other] = [latencies(times[PYTHON] ?? []), latencies(times[TYPESCRIPT] ?? [])];
  return {
    row: name,
    unit: "ms",
    ours,
    peers: { "the same in TypeScript": other },
    ratio: p50(ours) / p50(other),
    aim: `TypeScript's, and 100 ms: ${Math.round(p50(other) + 100)}`,
    how: `From the API call until the first line of a deployed flow on a worker whose code and environment are there, but no process waits. ${times[PYTHON]?.length} each, by turns.`,
  };
}
