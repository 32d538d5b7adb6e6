import { setTimeout as pause } from "node:timers/promises";
import { type Arena, sized } from "../arena.ts";
import type { Row } from "../figures.ts";
import { openPeer } from "../peer.ts";
import { statementRates } from "../statements.ts";

/** Statements per second while a hundred agents wait for work, counted by pg_stat_statements for both at once. */
export async function idleRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 4, quick: 100, full: 100 });
  const settleMs = sized(arena, { tiny: 200, quick: 5_000, full: 30_000 });
  const windowMs = sized(arena, { tiny: 3_000, quick: 25_000, full: 75_000 });
  const lane = await arena.lane();
  await using peer = await openPeer(arena.peerUrl);
  let stopped = false;
  const agents = await Promise.all(Array.from({ length: count }, () => lane.agent()));
  const waitMs = Math.min(25_000, windowMs);
  const polling = agents.map(async (agent, index) => {
    await pause((index / count) * Math.min(settleMs, waitMs));
    while (!stopped) await agent.claim({ waitMs });
  });
  // Whatever ends the row early ends the server under the polls too: that is not the failure to tell.
  for (const poll of polling) poll.catch(() => {});
  const runners: AsyncDisposable[] = [];
  // One after the other: a hundred times their connections at once is more than a server's queue holds.
  for (let index = 0; index < count; index++) runners.push(await peer.start(() => {}));
  await pause(settleMs);
  const databaseUrls = [arena.stack.databaseUrl, arena.peerUrl];
  const { rates, seconds } = await statementRates(arena, { databaseUrls, windowMs });
  const [ours = Number.NaN, theirs = Number.NaN] = rates;
  stopped = true;
  await Promise.all(runners.map((runner) => runner[Symbol.asyncDispose]()));
  await Promise.all(polling);
  return {
    row: "idle",
    unit: "statements/s",
    ours: { rate: ours },
    peers: { "graphile-worker": { rate: theirs } },
    ratio: ours / theirs,
    aim: "at most 0.02",
    how:
      `${count} agents long-polling and nothing to do, against ${count} default runners, over the same ` +
      `${Math.round(seconds)} s; every statement that pg_stat_statements saw, periodic jobs and BEGIN/COMMIT included.`,
  };
}
