import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Arena, sized } from "../arena.ts";
import { type Figures, median, type Row } from "../figures.ts";
import { openPrefect } from "../prefect.ts";
import { nowMs } from "../project.ts";
import { startPythonWorker } from "../python-project.ts";

async function rateOf(
  arena: Arena,
  deployment: string,
  args: { count: number; file: string },
): Promise<number> {
  const parameters = deployment === "steps" ? { ...args, durable: false } : args;
  const run = await arena.stack.waitForRun(await arena.stack.run(deployment, parameters));
  if (run.state !== "completed") throw new Error(`The run is ${run.state}: ${run.error?.message}`);
  const [began = 0, ended = 0] = (await readFile(args.file, "utf8")).trim().split(" ").map(Number);
  return (args.count * 1000) / (ended - began);
}

interface Rates {
  readonly python: number;
  readonly typescript: number;
  /** Null: Prefect cannot be installed. */
  readonly prefect: number | null;
}

/** The steps per second of a flow in Python, of the same in TypeScript, and of Prefect, by turns. */
async function rates(
  arena: Arena,
  deployment: "steps" | "map",
  args: { count: number; rounds: number; prefectCount: number },
): Promise<Rates> {
  const { count, rounds, prefectCount } = args;
  const python = `python-${deployment}`;
  await using prefect = await openPrefect(arena, { worker: false });
  await using worker = await startPythonWorker(arena.stack, python);
  const file = join(arena.stack.folder, `${python}-times`);
  const found: [number[], number[], number[]] = [[], [], []];
  for (const name of [deployment, python]) await rateOf(arena, name, { count: 5, file });
  for (let round = 0; round < rounds; round++) {
    found[0].push(await rateOf(arena, deployment, { count, file }));
    found[1].push(await rateOf(arena, python, { count, file }));
    if (prefect !== null)
      found[2].push(await prefect.steps(deployment === "steps" ? "steps" : "mapped", prefectCount));
  }
  worker.kill("SIGTERM");
  await worker.exited;
  return {
    typescript: median(found[0]),
    python: median(found[1]),
    prefect: prefect === null ? null : median(found[2]),
  };
}

/** Prefect's figure, with how many times as fast ours is. */
function prefectPeer(name: string, ours: number, theirs: number | null): Record<string, Figures> {
  return theirs === null
    ? {}
    : { "Prefect 3.9": { [name]: theirs, "Towpath is times as fast": ours / theirs } };
}

/** Steps per second of one run in Python, one after the other, beside the same in TypeScript and in Prefect. */
export async function pythonStepsRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 5, quick: 500, full: 2_000 });
  const rounds = sized(arena, { tiny: 1, quick: 2, full: 3 });
  const prefectCount = sized(arena, { tiny: 5, quick: 50, full: 200 });
  const { python, typescript, prefect } = await rates(arena, "steps", { count, rounds, prefectCount });
  return {
    row: "python-steps",
    unit: "steps/s",
    ours: { journalled: python },
    peers: {
      "the same in TypeScript": { journalled: typescript },
      ...prefectPeer("reported", python, prefect),
    },
    ratio: python / typescript,
    aim: "at least 0.8; 4 times Prefect",
    how:
      `${count} steps one after the other, each with a result in the worker's journal on disk. Median of ${rounds} rounds. ` +
      `Prefect: ${prefectCount} tasks of a flow that reports to a warm server, with the default settings, which keep no result.`,
  };
}

/** Steps per second of a map in Python, whose calls run in threads, beside the same in TypeScript and in Prefect. */
export async function pythonMapRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 20, quick: 2_000, full: 20_000 });
  const rounds = sized(arena, { tiny: 1, quick: 2, full: 3 });
  const prefectCount = sized(arena, { tiny: 5, quick: 100, full: 500 });
  const { python, typescript, prefect } = await rates(arena, "map", { count, rounds, prefectCount });
  return {
    row: "python-map",
    unit: "steps/s",
    ours: { "in threads": python },
    peers: {
      "the same in TypeScript": { "in one thread": typescript },
      ...prefectPeer("in threads", python, prefect),
    },
    ratio: python / typescript,
    aim: "5 times Prefect",
    how:
      `${count} mapped steps, concurrency 100, each with a result in the worker's journal on disk. Median of ${rounds} rounds. ` +
      `Prefect: ${prefectCount} mapped tasks in its default threads, with the default settings, which keep no result.`,
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

/** Empty flows in Python per second on one worker, each in a process of its own, beside the same in TypeScript and with Prefect. */
export async function pythonRunsRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 4, quick: 24, full: 100 });
  const rounds = sized(arena, { tiny: 1, quick: 2, full: 3 });
  const prefectCount = sized(arena, { tiny: 1, quick: 4, full: 20 });
  await using prefect = await openPrefect(arena, { worker: true });
  await using worker = await startPythonWorker(arena.stack, "python-runs");
  const [python, typescript, theirs]: [number[], number[], number[]] = [[], [], []];
  const empty = { parameters: { count: 0 } };
  await runsPerSecond(arena, "tasks", { ...empty, count: 2 });
  await runsPerSecond(arena, "python-empty", { count: 2 });
  for (let round = 0; round < rounds; round++) {
    typescript.push(await runsPerSecond(arena, "tasks", { ...empty, count }));
    python.push(await runsPerSecond(arena, "python-empty", { count }));
    if (prefect !== null) theirs.push(await prefect.rate(prefectCount));
  }
  worker.kill("SIGTERM");
  await worker.exited;
  const [ours, other] = [median(python), median(typescript)];
  return {
    row: "python-runs",
    unit: "runs/s",
    ours: { rate: ours },
    peers: {
      "the same in TypeScript": { rate: other },
      ...prefectPeer("rate", ours, prefect === null ? null : median(theirs)),
    },
    ratio: ours / other,
    aim: "20 times Prefect",
    how:
      `${count} runs of an empty flow on one worker with capacity 4, from the first request until all have completed. Median of ${rounds} rounds. ` +
      `Prefect: ${prefectCount} runs on its process worker without a limit, from when the worker takes the first until the last has ended; the time until it polls does not count.`,
  };
}
