import type { Agent } from "../agent.ts";
import { type Arena, type Lane, sized } from "../arena.ts";
import { median, type Row } from "../figures.ts";
import { seedHistory, seedReady } from "../seed.ts";

async function claimTimes(
  arena: Arena,
  args: { lane: Lane; agent: Agent; samples: number },
): Promise<number[]> {
  await seedReady(arena, args.lane, args.samples);
  const took: number[] = [];
  for (let index = 0; index < args.samples; index++) {
    const startMs = performance.now();
    const { assignments } = await args.agent.claim({ waitMs: 1_000 });
    took.push(performance.now() - startMs);
    await args.agent.start(assignments);
    await args.agent.end(assignments);
  }
  return took;
}

/** A claim over HTTP with little and with much history behind it. */
export async function historyRow(arena: Arena): Promise<Row> {
  const samples = sized(arena, { tiny: 3, quick: 200, full: 500 });
  const few = sized(arena, { tiny: 10, quick: 2_000, full: 2_000 });
  const many = sized(arena, { tiny: 50, quick: 100_000, full: 1_000_000 });
  const lane = await arena.lane();
  const agent = await lane.agent();
  await claimTimes(arena, { lane, agent, samples });
  await seedHistory(arena, lane, few);
  const small = await claimTimes(arena, { lane, agent, samples });
  await seedHistory(arena, lane, many);
  const large = await claimTimes(arena, { lane, agent, samples });
  await arena.sql`truncate run_history, attempt_history`;
  await seedHistory(arena, lane, few);
  small.push(...(await claimTimes(arena, { lane, agent, samples })));
  const [p50Few, p50Many] = [median(small), median(large)];
  return {
    row: "history",
    unit: "ms",
    ours: { [`p50 at ${many}`]: p50Many, [`p50 at ${few}`]: p50Few },
    peers: {},
    ratio: p50Many / p50Few,
    aim: "at most 1.2, many to few",
    how:
      `One claim of one run over HTTP with ${few}, ${many} and again ${few} archived runs, ${samples} claims each. ` +
      "No peer: graphile-worker deletes a job that has ended, so that no history is behind its claims.",
  };
}
