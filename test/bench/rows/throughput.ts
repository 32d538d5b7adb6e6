import { setTimeout as pause } from "node:timers/promises";
import type { Agent } from "../agent.ts";
import { type Arena, type Processors, sized } from "../arena.ts";
import { type Figures, median, type Row } from "../figures.ts";
import { openPeer, type Peer } from "../peer.ts";
import { seedReady } from "../seed.ts";

/** How many runs are still to be ended, by all agents together. */
interface Rest {
  runs: number;
}

/** Claims, starts and ends until nothing is left, and asks for the next with each end. Its last poll waits in vain, shortly. */
async function drain(agent: Agent, args: { free: number; rest: Rest; onEmpty: () => void }): Promise<void> {
  while (args.rest.runs > 0) {
    let { assignments } = await agent.claim({ free: args.free, waitMs: 250 });
    while (assignments.length > 0) {
      await agent.start(assignments);
      const next = await agent.endAndClaim(assignments, args.free);
      args.rest.runs -= assignments.length;
      if (args.rest.runs === 0) args.onEmpty();
      assignments = next.assignments;
    }
  }
}

/** What one round came to: runs per second, and milliseconds of processor time per run. */
export type Round = Readonly<Record<"rate" | "control" | "postgres" | "bench", number>>;

/** Measures the processor time that `work` takes, for each of `runs`. */
export async function perRun(
  arena: Arena,
  args: { runs: number; work: () => Promise<number> },
): Promise<Round> {
  const before = await arena.processors();
  const rate = await args.work();
  const after = await arena.processors();
  const each = (who: keyof Processors) => (after[who] - before[who]) / args.runs;
  return { rate, control: each("control"), postgres: each("postgres"), bench: each("bench") };
}

/** The middle of rounds, as figures. */
export function figuresOf(rounds: readonly Round[]): Figures {
  const of = (key: keyof Round) => median(rounds.map((round) => round[key]));
  return {
    rate: of("rate"),
    "control plane ms/run": of("control"),
    "Postgres ms/run": of("postgres"),
    "agents ms/run": of("bench"),
  };
}

/** Runs per second from the first claim to the last end's acknowledgement. */
export async function ourRate(args: { agents: Agent[]; runs: number; free: number }): Promise<number> {
  const startMs = performance.now();
  let tookMs = Number.NaN;
  const rest: Rest = { runs: args.runs };
  const onEmpty = () => {
    tookMs = performance.now() - startMs;
  };
  await Promise.all(args.agents.map((agent) => drain(agent, { free: args.free, rest, onEmpty })));
  return (args.runs / tookMs) * 1000;
}

const LOOK_MS = 5;

async function theirRate(peer: Peer, args: { jobs: number; concurrency?: number }): Promise<number> {
  await peer.addMany(args.jobs);
  let [startMs, started] = [0, 0];
  const onStart = () => {
    started += 1;
    if (started === 1) startMs = performance.now();
  };
  const { concurrency } = args;
  await using runner = await peer.start(onStart, concurrency === undefined ? {} : { concurrency });
  while (runner.ended() < args.jobs) await pause(LOOK_MS);
  return (args.jobs / (performance.now() - startMs)) * 1000;
}

async function compare(
  arena: Arena,
  args: { agents: number; free: number; runs: number; jobs: number; rounds: number },
): Promise<Pick<Row, "ours" | "peers" | "ratio">> {
  const lane = await arena.lane();
  await using peer = await openPeer(arena.peerUrl);
  const agents = await Promise.all(Array.from({ length: args.agents }, () => lane.agent()));
  const [ours, theirs, wide]: [Round[], number[], number[]] = [[], [], []];
  for (let round = 0; round < args.rounds; round++) {
    await seedReady(arena, lane, args.runs);
    ours.push(
      await perRun(arena, {
        runs: args.runs,
        work: () => ourRate({ agents, runs: args.runs, free: args.free }),
      }),
    );
    theirs.push(await theirRate(peer, { jobs: args.jobs }));
    wide.push(await theirRate(peer, { jobs: args.jobs, concurrency: args.agents }));
  }
  const [mine, other] = [median(ours.map(({ rate }) => rate)), median(theirs)];
  const peers: Row["peers"] = {
    "graphile-worker": { rate: other },
    [`graphile-worker, concurrency: ${args.agents}`]: { rate: median(wide) },
  };
  return { ours: figuresOf(ours), peers, ratio: mine / other };
}

/** Claim, start and end of 64 agents with one place each. */
export async function agentsRow(arena: Arena): Promise<Row> {
  const agents = sized(arena, { tiny: 4, quick: 64, full: 64 });
  const runs = sized(arena, { tiny: 12, quick: 1_000, full: 4_000 });
  const rounds = sized(arena, { tiny: 1, quick: 2, full: 3 });
  return {
    row: "agents",
    unit: "runs/s",
    ...(await compare(arena, { agents, free: 1, runs, jobs: runs, rounds })),
    aim: "at least 2",
    how:
      `${agents} agents with one place each: start is one request per run, its end and the claim of the next another. The peer in its default ` +
      "configuration (one job at a time), and as wide as ours. Processor time per run of all processes, from /proc. " +
      `${runs} each, median of ${rounds} rounds.`,
  };
}

/** A long line emptied a hundred at a time. */
export async function drainRow(arena: Arena): Promise<Row> {
  const runs = sized(arena, { tiny: 30, quick: 2_000, full: 20_000 });
  const agents = sized(arena, { tiny: 2, quick: 4, full: 4 });
  const rounds = sized(arena, { tiny: 1, quick: 1, full: 3 });
  return {
    row: "drain",
    unit: "runs/s",
    ...(await compare(arena, { agents, free: 100, runs, jobs: runs, rounds })),
    aim: "none",
    how:
      `${runs} waiting runs, ${agents} agents with 100 places: a hundred per claim and report. The peer's local queue and ` +
      `batched completion are options, not defaults, and are off. Median of ${rounds} rounds.`,
  };
}
