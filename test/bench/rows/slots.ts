import { type Arena, type Lane, sized } from "../arena.ts";
import { latencies, median, type Row } from "../figures.ts";
import { Arrival, openIdle, sample } from "./dispatch.ts";
import { figuresOf, ourRate, perRun, type Round } from "./throughput.ts";

const PLAIN = "without slots and readers";
/** Who reads the feed beside the work that is measured. */
const READERS = 10;

const HOW =
  `Each run takes a slot of its pool, its queue, its deployment and a named limit, which have twice as many as agents have places, ` +
  `while ${READERS} clients read the change feed; in turn with the same without limits and readers.`;

/** Runs something while clients read the workspace's changes, each on a stream of its own. */
async function whileRead<Result>({ stack }: Arena, work: () => Promise<Result>): Promise<Result> {
  const stop = new AbortController();
  const reading = Array.from({ length: READERS }, async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const read = async () => {
      for await (const _ of stack.client.streamChanges({ query: {} }, { signal: stop.signal })) resolve();
    };
    void read().catch(resolve);
    await promise;
  });
  await Promise.all(reading);
  try {
    return await work();
  } finally {
    stop.abort();
  }
}

/** Two lanes that differ in nothing but their limits. */
async function openLanes(arena: Arena, places: number): Promise<{ plain: Lane; limited: Lane }> {
  return { plain: await arena.lane(), limited: await arena.lane({ slots: 2 * places }) };
}

/** `dispatch`, with slots and the feed on. */
export async function dispatchSlotsRow(arena: Arena): Promise<Row> {
  const agents = sized(arena, { tiny: 2, quick: 50, full: 50 });
  const rounds = sized(arena, { tiny: 1, quick: 4, full: 10 });
  const perRound = sized(arena, { tiny: 2, quick: 25, full: 50 });
  const { plain, limited } = await openLanes(arena, agents);
  const open = async (lane: Lane) => {
    const arrival = new Arrival();
    return { arrival, enqueue: lane.enqueue, stop: await openIdle(lane, { agents, arrival }) };
  };
  const [without, withSlots] = [await open(plain), await open(limited)];
  const [bare, full]: [number[], number[]] = [[], []];
  for (let round = 0; round <= rounds; round++) {
    const [one, other] = [
      await sample(perRound, without),
      await whileRead(arena, () => sample(perRound, withSlots)),
    ];
    // The first is for warming up.
    if (round === 0) continue;
    bare.push(...one);
    full.push(...other);
  }
  await without.stop();
  await withSlots.stop();
  const [ours, peer] = [latencies(full), latencies(bare)];
  return {
    row: "dispatch-slots",
    unit: "ms",
    ours,
    peers: { [PLAIN]: peer },
    aim: "none",
    ratio: (ours.p50 ?? 0) / (peer.p50 ?? 1),
    how: `As \`dispatch\`, with ${agents} agents, ${full.length} samples each. ${HOW}`,
  };
}

async function compare(
  arena: Arena,
  args: { agents: number; free: number; runs: number; rounds: number },
): Promise<Pick<Row, "ours" | "peers" | "ratio">> {
  const lanes = await openLanes(arena, args.agents * args.free);
  const open = (lane: Lane) => Promise.all(Array.from({ length: args.agents }, () => lane.agent()));
  const [plain, limited] = [await open(lanes.plain), await open(lanes.limited)];
  const { runs, free } = args;
  const [bare, full]: [Round[], Round[]] = [[], []];
  for (let round = 0; round < args.rounds; round++) {
    await lanes.plain.enqueueMany(runs);
    bare.push(await perRun(arena, { runs, work: () => ourRate({ agents: plain, runs, free }) }));
    await lanes.limited.enqueueMany(runs);
    const work = () => ourRate({ agents: limited, runs, free });
    full.push(await perRun(arena, { runs, work: () => whileRead(arena, work) }));
  }
  const rate = (rounds: readonly Round[]) => median(rounds.map((one) => one.rate));
  return {
    ours: figuresOf(full),
    peers: { [PLAIN]: figuresOf(bare) },
    ratio: rate(full) / rate(bare),
  };
}

/** `agents`, with slots and the feed on. */
export async function agentsSlotsRow(arena: Arena): Promise<Row> {
  const agents = sized(arena, { tiny: 4, quick: 64, full: 64 });
  const runs = sized(arena, { tiny: 12, quick: 1_000, full: 4_000 });
  const rounds = sized(arena, { tiny: 1, quick: 2, full: 3 });
  return {
    row: "agents-slots",
    unit: "runs/s",
    aim: "none",
    ...(await compare(arena, { agents, free: 1, runs, rounds })),
    how: `As \`agents\`: ${runs} runs each, median of ${rounds} rounds. ${HOW}`,
  };
}

/** `drain`, with slots and the feed on. */
export async function drainSlotsRow(arena: Arena): Promise<Row> {
  const runs = sized(arena, { tiny: 30, quick: 2_000, full: 20_000 });
  const agents = sized(arena, { tiny: 2, quick: 4, full: 4 });
  const rounds = sized(arena, { tiny: 1, quick: 1, full: 3 });
  return {
    row: "drain-slots",
    unit: "runs/s",
    aim: "none",
    ...(await compare(arena, { agents, free: 100, runs, rounds })),
    how: `As \`drain\`: ${runs} runs each, median of ${rounds} rounds. ${HOW}`,
  };
}
