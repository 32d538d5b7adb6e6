import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Arena, sized } from "../arena.ts";
import { median, type Row } from "../figures.ts";
import { nowMs, startFlowWorker } from "../project.ts";

/** Which part of the calls is done when the process is killed. */
const KILLED_AT = 0.6;

interface Resumed {
  readonly toNextTaskMs: number;
  readonly twice: number;
  readonly objects: number;
  /** What the attempt that resumed has read of the store. */
  readonly reads: number;
}

async function resumed(arena: Arena, count: number): Promise<Resumed> {
  const { stack } = arena;
  const file = join(stack.folder, `season-${nowMs()}`);
  const killAt = Math.floor(count * KILLED_AT);
  const run = await stack.waitForRun(await stack.run("season", { count, killAt, file }));
  if (run.state !== "completed" || run.result === null)
    throw new Error(`The run is ${run.state}: ${run.error?.message}`);
  const [, killedAt = 0, nextAt = 0] = (await readFile(file, "utf8")).trim().split("\n").map(Number);
  const { again, reads } = JSON.parse(await readFile(fileURLToPath(run.result.uri), "utf8"));
  const store = await readdir(join(stack.folder, "store/runs", run.id), { recursive: true });
  const objects = store.filter((path) => path.endsWith(".pack") || path.endsWith(".json")).length;
  return { toNextTaskMs: nextAt - killedAt, twice: again - (count - killAt), objects, reads };
}

/** From a kill in the midst of many mapped tasks until the next attempt runs one that was not done. */
export async function resumeRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 300, quick: 20_000, full: 100_000 });
  const rounds = sized(arena, { tiny: 1, quick: 1, full: 1 });
  await using worker = await startFlowWorker(arena.stack, "resume");
  const all: Resumed[] = [];
  for (let round = 0; round < rounds; round++) all.push(await resumed(arena, count));
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
