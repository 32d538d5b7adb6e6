import { setTimeout as pause } from "node:timers/promises";
import { uuidv7 } from "@towpath/contract";
import { type Arena, type Lane, sized } from "../arena.ts";
import { median, type Row } from "../figures.ts";
import { statementRates } from "../statements.ts";

/** Attempts that one agent has in hand at once. */
const IN_HAND = 50;
/** Runs that are asked for in one request. */
const PER_REQUEST = 1_000;

/** Runs whose flows have asked a question and been suspended on it. */
async function suspendRuns({ stack }: Arena, lane: Lane, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => uuidv7(Date.now()));
  for (let from = 0; from < count; from += PER_REQUEST) {
    const runs = ids.slice(from, from + PER_REQUEST).map((id) => ({ id }));
    await stack.client.createRuns({ body: { deployment: lane.name, runs } });
  }
  const agent = await lane.agent();
  for (let left = count; left > 0; ) {
    const { assignments } = await agent.claim({ free: Math.min(IN_HAND, left), waitMs: 1_000 });
    if (assignments.length === 0) continue;
    await agent.start(assignments);
    await Promise.all(assignments.map((one) => agent.ask(one)));
    await agent.suspend(assignments);
    left -= assignments.length;
  }
  return ids;
}

/** Statements per second while nothing happens. */
async function idleRate(arena: Arena, windowMs: number): Promise<number> {
  const { rates } = await statementRates(arena, { databaseUrls: [arena.stack.databaseUrl], windowMs });
  return rates[0] ?? Number.NaN;
}

/** From an answer's being sent until an agent has the run's next attempt. */
async function answered({ stack }: Arena, lane: Lane, runIds: readonly string[]): Promise<number[]> {
  const agent = await lane.agent();
  const taken: number[] = [];
  for (const runId of runIds) {
    const { items } = await stack.client.listWaits({ params: { runId } });
    const waitId = items[0]?.id ?? "";
    const claiming = agent.claim({ free: 1 });
    const startMs = performance.now();
    await stack.client.answerWait({ params: { runId, waitId }, body: { answer: true } });
    const { assignments } = await claiming;
    taken.push(performance.now() - startMs);
    await agent.start(assignments);
    await agent.end(assignments);
  }
  return taken;
}

/** What runs cost that wait for somebody: rows, and nothing else. */
export async function suspendedRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 30, quick: 10_000, full: 10_000 });
  const answers = sized(arena, { tiny: 2, quick: 20, full: 20 });
  const windowMs = sized(arena, { tiny: 3_000, quick: 30_000, full: 60_000 });
  const lane = await arena.lane();
  const none = await idleRate(arena, windowMs);
  const ids = await suspendRuns(arena, lane, count);
  // What follows the end of an attempt, such as its way to history, is over by then.
  await pause(sized(arena, { tiny: 500, quick: 15_000, full: 15_000 }));
  const many = await idleRate(arena, windowMs);
  const [held] = await arena.sql<{ attempts: number; bytes: number }[]>`
    select (select count(*)::int from attempt where ended_at is null) as attempts,
      (pg_total_relation_size('wait') + pg_total_relation_size('run'))::float8 as bytes`;
  arena.stack.control.kill("SIGKILL");
  await arena.stack.control.exited;
  const killedMs = performance.now();
  await arena.stack.restartControl();
  const restartMs = performance.now() - killedMs;
  const times = await answered(arena, lane, ids.slice(0, answers));
  return {
    row: "suspended",
    unit: "mixed",
    peers: { "none suspended": { "statements/s": none } },
    ours: {
      "statements/s": many,
      "bytes of rows each": (held?.bytes ?? Number.NaN) / count,
      "restart ms": restartMs,
      "answer to claim ms": median(times),
      "processes and slots": held?.attempts ?? Number.NaN,
    },
    ratio: many / none,
    aim: "1: they cost rows only",
    how:
      `${count} runs suspended on a question; statements in ${windowMs / 1000} s in which nothing happens, against the same before ` +
      `they were there. Then kill -9 of the control plane, until it listens again, and the median of ${answers} answers until an agent has the next attempt.`,
  };
}
