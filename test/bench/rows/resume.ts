import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Ref } from "@towpath/contract";
import { type Arena, sized } from "../arena.ts";
import { median, type Row } from "../figures.ts";
import { nowMs } from "../project.ts";
import { startPythonWorker } from "../python-project.ts";

/** Which part of the calls is done when the process is killed. */
const KILLED_AT = 0.6;

interface Resumed {
  readonly toNextTaskMs: number;
  readonly twice: number;
  readonly objects: number;
  /** What the attempt that resumed has read of the store. */
  readonly reads: number;
}

/** The bytes of a stored value. A small one is a part of a pack, from an offset. */
async function readValue({ uri, sizeBytes }: Ref): Promise<string> {
  const from = Number(new URL(uri).hash.slice(1));
  const data = await readFile(fileURLToPath(uri));
  return data.subarray(from, from + sizeBytes).toString("utf8");
}

/** A run in TypeScript (`season`) or in Python (`python-season`). */
async function resumed(arena: Arena, deployment: string, count: number): Promise<Resumed> {
  const { stack } = arena;
  const file = join(stack.folder, `season-${nowMs()}`);
  const killAt = Math.floor(count * KILLED_AT);
  const isPython = deployment === "python-season";
  const parameters = { count, file, [isPython ? "kill_at" : "killAt"]: killAt };
  const run = await stack.waitForRun(await stack.run(deployment, parameters));
  if (run.state !== "completed" || run.result === null)
    throw new Error(`The run is ${run.state}: ${run.error?.message}`);
  const [, killedAt = 0, nextAt = 0] = (await readFile(file, "utf8")).trim().split("\n").map(Number);
  const { again, reads } = JSON.parse(await readValue(run.result));
  const store = await readdir(join(stack.folder, "store/runs", run.id), { recursive: true });
  const objects = store.filter((path) => path.endsWith(".pack") || path.endsWith(".json")).length;
  return { toNextTaskMs: nextAt - killedAt, twice: again - (count - killAt), objects, reads };
}

/** From a kill in the midst of many mapped tasks until the next attempt runs one that was not done. */
export async function resumeRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 300, quick: 20_000, full: 100_000 });
  const rounds = sized(arena, { tiny: 1, quick: 1, full: 1 });
  await using worker = await startPythonWorker(arena.stack, "resume");
  const all: Resumed[] = [];
  for (let round = 0; round < rounds; round++) all.push(await resumed(arena, "season", count));
  worker.kill("SIGTERM");
  await worker.exited;
  const of = (field: keyof Resumed) => median(all.map((one) => one[field]));
  return {
    row: "resume",
    unit: "ms",
    peers: {},
    ratio: null,
    aim: "within 10 s at 100,000",
    ours: {
      "kill to next task": of("toNextTaskMs"),
      "objects in the store": of("objects"),
      "store reads": of("reads"),
    },
    how:
      `${count} mapped tasks, 100 at once; the process kills itself in the call that makes it ${KILLED_AT * 100} %. Until the first ` +
      `task that was not done begins in the next attempt; ${of("twice")} calls ran twice. Median of ${rounds} rounds.`,
  };
}

/** The same of a flow in Python, beside TypeScript. */
export async function pythonResumeRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 300, quick: 20_000, full: 100_000 });
  await using worker = await startPythonWorker(arena.stack, "python-resume");
  const typescript = await resumed(arena, "season", count);
  const python = await resumed(arena, "python-season", count);
  worker.kill("SIGTERM");
  await worker.exited;
  return {
    row: "python-resume",
    unit: "ms",
    ours: {
      "kill to next task": python.toNextTaskMs,
      "objects in the store": python.objects,
      "store reads": python.reads,
    },
    peers: { "the same in TypeScript": { "kill to next task": typescript.toNextTaskMs } },
    ratio: python.toNextTaskMs / typescript.toNextTaskMs,
    aim: "within 10 s at 100,000",
    how:
      `${count} mapped tasks, 100 at once, in Python in threads; the process kills itself in the call that makes it ${KILLED_AT * 100} %. Until ` +
      `the first task that was not done begins in the next attempt; ${python.twice} calls ran twice in Python, ${typescript.twice} in TypeScript.`,
  };
}
