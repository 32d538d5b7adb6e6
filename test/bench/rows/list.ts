import { type Arena, sized } from "../arena.ts";
import { median, type Row } from "../figures.ts";
import { seedHistory } from "../history.ts";

/** What people narrow a list by, the rare beside the common. */
const QUERIES = {
  "first page": {},
  "one state": { state: "failed" },
  "several states": { state: "failed,crashed,cancelled" },
  "a rare state": { state: "crashed" },
  deployment: { deployment: "flow-1" },
  "deployment and rare state": { deployment: "flow-1", state: "crashed" },
  pool: { pool: "pool-0" },
  "rare pool": { pool: "pool-9" },
  "rare pool and state": { pool: "pool-9", state: "crashed" },
  tag: { tag: "prod" },
  "rare tag": { tag: "rare" },
  "a tag of nobody": { tag: "nobody" },
  cause: { cause: "oom" },
  "a month": { from: "2026-03-01T00:00:00.000Z", to: "2026-04-01T00:00:00.000Z" },
  "text of one deployment": { text: "flow-17" },
  "text of many": { text: "flow" },
  "end of an id": { text: "00000abc" },
  "text of nothing": { text: "zzz" },
  "a part of one run's name": { text: "batch 00424242" },
  "a part of the names of every other run": { text: "batch" },
  "a part of the names of one run in a hundred": { text: "quarter" },
  "a part of the names of one month": { text: "in march" },
} as const;

/** The median of so many calls, milliseconds. */
async function medianMs(samples: number, call: () => Promise<unknown>): Promise<number> {
  const took: number[] = [];
  for (let index = 0; index < samples; index++) {
    const startMs = performance.now();
    await call();
    took.push(performance.now() - startMs);
  }
  return median(took);
}

/** Lists of runs through the API over a year of them, and how long the newest 2,000 took, each narrowed in one way. */
export async function listRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 500, quick: 1_000_000, full: 1_000_000 });
  const samples = sized(arena, { tiny: 1, quick: 15, full: 50 });
  await seedHistory(arena, { count, perMille: 0 });
  const { client } = arena.stack;
  const ours: Record<string, number> = {};
  for (const [name, query] of Object.entries(QUERIES)) {
    ours[name] = await medianMs(samples, () => client.listRuns({ query }));
    ours[`durations: ${name}`] = await medianMs(samples, () => client.listDurations({ query }));
  }
  const [, ...narrowed] = Object.values(ours);
  return {
    row: "list",
    unit: "ms",
    ours,
    peers: {},
    ratio: Math.max(...narrowed) / 100,
    aim: "at most 1: no filter over 100 ms",
    how: `The first page of 50, and the durations of the newest 2,000, over HTTP, ${count} archived runs of a year, median of ${samples}.`,
  };
}
