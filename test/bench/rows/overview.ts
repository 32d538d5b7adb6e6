import { type Arena, sized } from "../arena.ts";
import { median, type Row } from "../figures.ts";
import { seedHistory } from "../history.ts";
import { seedReady } from "../seed.ts";

/** How many of a thousand runs were created in the last day: a workspace that has just become busy. */
const PER_MILLE = 100;

/** How a workspace stands, through the API, with 1,000,000 archived runs and many that have not ended. */
export async function overviewRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 500, quick: 1_000_000, full: 1_000_000 });
  const waiting = sized(arena, { tiny: 20, quick: 10_000, full: 10_000 });
  const samples = sized(arena, { tiny: 1, quick: 15, full: 50 });
  await seedHistory(arena, { count, perMille: PER_MILLE });
  const lane = await arena.lane();
  await seedReady(arena, lane, waiting);
  const measured = async (hours: number) => {
    const took: number[] = [];
    for (let index = 0; index < samples; index++) {
      const startMs = performance.now();
      await arena.stack.client.getOverview({ query: { hours } });
      took.push(performance.now() - startMs);
    }
    return median(took);
  };
  const ours = { "a day": await measured(24), "a week": await measured(168) };
  return {
    row: "overview",
    unit: "ms",
    ours,
    peers: {},
    ratio: Math.max(...Object.values(ours)) / 100,
    aim: "at most 1: none over 100 ms",
    how: `Over HTTP, ${count} archived runs, ${PER_MILLE / 10} % of them of the last day, and ${waiting} that wait; median of ${samples}.`,
  };
}
