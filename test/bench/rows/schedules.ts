import { setTimeout as pause } from "node:timers/promises";
import { type Arena, type Lane, sized } from "../arena.ts";
import type { Row } from "../figures.ts";

/** Schedules of one deployment: below the limit. */
const PER_LANE = 50;
/** How long making one schedule may take at most, so that all are there before they are due, milliseconds. */
const EACH_MS = 60;
const DAY_MS = 24 * 3600_000;

async function setSchedules(arena: Arena, args: { lane: Lane; count: number; dueMs: number }): Promise<void> {
  const timing = { kind: "interval", everyMs: DAY_MS, anchor: new Date(args.dueMs).toISOString() } as const;
  for (let index = 0; index < args.count; index++)
    await arena.stack.client.setSchedule({
      params: { name: args.lane.name },
      body: { name: `s${index}`, timing },
    });
}

interface CreatedRuns {
  readonly count: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

async function askedFor(arena: Arena): Promise<CreatedRuns> {
  const [row] = await arena.sql<{ count: number; first: Date | null; last: Date | null }[]>`
    select count(*)::int, min(created_at) as first, max(created_at) as last
    from run where trigger ->> 'kind' = 'schedule'`;
  return {
    count: row?.count ?? 0,
    firstMs: row?.first?.getTime() ?? 0,
    lastMs: row?.last?.getTime() ?? 0,
  };
}

/** Schedules that are all due at the same instant: from that instant until their runs wait for a worker. */
export async function schedulesRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 3, quick: 200, full: 1_000 });
  const lanes = await Promise.all(Array.from({ length: Math.ceil(count / PER_LANE) }, () => arena.lane()));
  const dueMs = Math.ceil((Date.now() + 2_000 + count * EACH_MS) / 1000) * 1000;
  for (const [index, lane] of lanes.entries())
    await setSchedules(arena, { lane, count: Math.min(PER_LANE, count - index * PER_LANE), dueMs });
  const leftMs = dueMs - Date.now();
  if (leftMs < 0) throw new Error("The schedules were due before all of them were there.");
  await pause(leftMs);
  let asked = await askedFor(arena);
  for (; asked.count < count; asked = await askedFor(arena)) await pause(20);
  return {
    row: "schedules",
    unit: "ms",
    peers: {},
    ratio: null,
    aim: "",
    ours: { last: asked.lastMs - dueMs, first: asked.firstMs - dueMs },
    how: `${count} schedules due at one instant: from it until the first and the last of their runs exist.`,
  };
}
