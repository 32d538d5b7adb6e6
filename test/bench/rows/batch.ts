import { type CreateRuns, LIMITS, uuidv7 } from "@towpath/contract";
import { type Arena, sized } from "../arena.ts";
import { median, type Row } from "../figures.ts";

interface Times {
  readonly answeredMs: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

/** From the request until its answer, and until agents have been given the first and the last of its runs. */
async function round(arena: Arena, args: { runs: number; agents: number }): Promise<Times> {
  const lane = await arena.lane();
  const agents = await Promise.all(Array.from({ length: args.agents }, () => lane.agent()));
  let left = args.runs;
  const claimed: number[] = [];
  const serve = async (agent: Awaited<ReturnType<typeof lane.agent>>) => {
    while (left > 0) {
      const { assignments } = await agent.claim({ free: 100, waitMs: 1_000 });
      left -= assignments.length;
      if (assignments.length === 0) continue;
      claimed.push(performance.now());
      await agent.start(assignments);
      await agent.end(assignments);
    }
  };
  const ids = Array.from({ length: args.runs }, () => uuidv7(Date.now())).sort();
  const body: CreateRuns = { deployment: lane.name, runs: ids.map((id, n) => ({ id, parameters: { n } })) };
  const serving = agents.map(serve);
  const startMs = performance.now();
  await arena.stack.client.createRuns({ body }, { timeoutMs: 60_000 });
  const answeredMs = performance.now() - startMs;
  await Promise.all(serving);
  return { answeredMs, firstMs: (claimed[0] ?? 0) - startMs, lastMs: (claimed.at(-1) ?? 0) - startMs };
}

/** Very many runs asked for in one request, while agents wait for them. */
export async function batchRow(arena: Arena): Promise<Row> {
  const runs = sized(arena, { tiny: 30, quick: LIMITS.batchRuns, full: LIMITS.batchRuns });
  const agents = sized(arena, { tiny: 1, quick: 4, full: 4 });
  const rounds = sized(arena, { tiny: 1, quick: 1, full: 3 });
  const times: Times[] = [];
  for (let count = 0; count < rounds; count++) times.push(await round(arena, { runs, agents }));
  const middle = (of: (one: Times) => number) => median(times.map(of));
  return {
    row: "batch",
    unit: "ms",
    peers: {},
    ratio: null,
    aim: "none",
    ours: {
      "last claimed": middle((one) => one.lastMs),
      "first claimed": middle((one) => one.firstMs),
      answered: middle((one) => one.answeredMs),
    },
    how:
      `${runs} runs in one request, ${agents} waiting agents with 100 places that start and end what they get: from the ` +
      `request until an agent has the first and the last of them. Median of ${rounds} rounds.`,
  };
}
