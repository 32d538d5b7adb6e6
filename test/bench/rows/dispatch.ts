import { setTimeout as pause } from "node:timers/promises";
import type { Agent } from "../agent.ts";
import { type Arena, type Lane, sized } from "../arena.ts";
import { latencies, type Row } from "../figures.ts";
import { openPeer } from "../peer.ts";

/** Waits that somebody else settles, one at a time. */
export class Arrival {
  #resolve: (atMs: number) => void = () => {};
  expect(): Promise<number> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }
  arrive(): void {
    this.#resolve(performance.now());
  }
}

/** Long enough that an agent with a run polls again, milliseconds. */
const SETTLE_MS = 15;

async function idle(agent: Agent, args: { arrival: Arrival; stopping: () => boolean }): Promise<void> {
  while (!args.stopping()) {
    const { assignments } = await agent.claim({ waitMs: 25_000 });
    if (assignments.length === 0) continue;
    args.arrival.arrive();
    await agent.start(assignments);
    await agent.end(assignments);
  }
}

/** How long each of so many runs took from asking for it until somebody had it, milliseconds. */
export async function sample(
  count: number,
  args: { arrival: Arrival; enqueue: () => Promise<void> },
): Promise<number[]> {
  const took: number[] = [];
  for (let index = 0; index < count; index++) {
    const arrived = args.arrival.expect();
    const startMs = performance.now();
    await args.enqueue();
    took.push((await arrived) - startMs);
    await pause(SETTLE_MS);
  }
  return took;
}

/** Agents of a lane that wait, each until it has something. @returns what ends them */
export async function openIdle(
  lane: Lane,
  args: { agents: number; arrival: Arrival },
): Promise<() => Promise<void>> {
  const agents = await Promise.all(Array.from({ length: args.agents }, () => lane.agent()));
  let stopped = false;
  const idling = agents.map((agent) => idle(agent, { arrival: args.arrival, stopping: () => stopped }));
  // Whatever ends the row early ends the server under the polls too: that is not the failure to tell.
  for (const one of idling) one.catch(() => {});
  return async () => {
    stopped = true;
    // A run for each agent ends its wait.
    await Promise.all(agents.map(() => lane.enqueue()));
    await Promise.all(idling);
  };
}

/** From asking for a run until an agent holds it, with a hundred agents waiting. */
export async function dispatchRow(arena: Arena): Promise<Row> {
  const agentCount = sized(arena, { tiny: 4, quick: 100, full: 100 });
  const rounds = sized(arena, { tiny: 1, quick: 4, full: 10 });
  const perRound = sized(arena, { tiny: 2, quick: 25, full: 50 });
  // A control plane runs for weeks, and so does a runner: what is measured has been compiled.
  const warmUps = sized(arena, { tiny: 2, quick: 200, full: 200 });
  const lane = await arena.lane();
  await using peer = await openPeer(arena.peerUrl);
  const [ourArrival, theirArrival] = [new Arrival(), new Arrival()];
  const stop = await openIdle(lane, { agents: agentCount, arrival: ourArrival });
  const [ours, byClient, theirs]: [number[], number[], number[]] = [[], [], []];
  {
    await using _runner = await peer.start(() => theirArrival.arrive());
    const our = { arrival: ourArrival, enqueue: lane.enqueue };
    const client = { arrival: ourArrival, enqueue: lane.enqueueByClient };
    const their = { arrival: theirArrival, enqueue: peer.add };
    for (const one of [our, client, their]) await sample(warmUps, one);
    for (let round = 0; round < rounds; round++) {
      ours.push(...(await sample(perRound, our)));
      byClient.push(...(await sample(perRound, client)));
      theirs.push(...(await sample(perRound, their)));
    }
  }
  await stop();
  const [mine, other] = [latencies(ours), latencies(theirs)];
  return {
    row: "dispatch",
    unit: "ms",
    peers: { "graphile-worker": other },
    ours: { ...mine, "p50 by the SDK's client": latencies(byClient).p50 ?? Number.NaN },
    ratio: (mine.p50 ?? 0) / (other.p50 ?? 1),
    aim: "at most 1",
    how:
      `Enqueue over HTTP until one of ${agentCount} long-polling agents has the assignment; the peer: addJob on an open ` +
      `connection until the task function starts in one default runner. ${ours.length} samples each, in turn, after ${warmUps}.`,
  };
}
