import type { Agent } from "../agent.ts";
import { type Arena, type Lane, sized } from "../arena.ts";
import { type Figures, quantile, type Row } from "../figures.ts";

const SLOTS = 10;
/** Requests for runs that are on their way at once. */
const CREATING = 16;

async function create(lane: Lane, runs: number): Promise<number> {
  let left = runs;
  const startMs = performance.now();
  const one = async () => {
    while (left-- > 0) await lane.enqueue();
  };
  await Promise.all(Array.from({ length: CREATING }, one));
  return (runs / (performance.now() - startMs)) * 1000;
}

interface Times {
  readonly endsSent: number[];
  readonly claimed: number[];
}

async function serve(agent: Agent, args: { rest: { runs: number }; times: Times }): Promise<void> {
  while (args.rest.runs > 0) {
    const { assignments } = await agent.claim({ waitMs: 250 });
    for (const _ of assignments) args.times.claimed.push(performance.now());
    if (assignments.length === 0) continue;
    await agent.start(assignments);
    for (const _ of assignments) args.times.endsSent.push(performance.now());
    await agent.end(assignments);
    args.rest.runs -= assignments.length;
  }
}

/** How many of the runs that waited were admitted before one that was due earlier. */
async function outOfOrder({ sql }: Arena, lane: Lane): Promise<number> {
  const [counted] = await sql<{ count: number }[]>`
    with every as (
      select r.due_at, r.id, a.id as attempt from run r join attempt a on a.id = r.attempt_id where r.deployment = ${lane.name}
      union all
      select r.due_at, r.id, a.id from run_history r join attempt_history a on a.id = r.attempt_id
        where r.deployment = ${lane.name}
    )
    select count(*)::int as count from (
      select (due_at, id) < lag((due_at, id)) over (order by attempt) as early from (
        select * from every order by attempt offset ${SLOTS}) waited) o where early`;
  return counted?.count ?? Number.NaN;
}

/** Milliseconds in which slots of the limit had nobody, by the database's clock, of each that was taken again. */
async function idleMs({ sql }: Arena, lane: Lane): Promise<number[]> {
  const rows = await sql<{ ms: number }[]>`
    with every as (
      select created_at, ended_at from attempt where run_id in (select id from run where deployment = ${lane.name})
      union all
      select created_at, ended_at from attempt_history
        where run_id in (select id from run_history where deployment = ${lane.name})
    ), ends as (
      select ended_at as at, row_number() over (order by ended_at) as n from every
    ), begins as (
      select created_at as at, row_number() over (order by created_at) - ${SLOTS} as n from every
    )
    select greatest(0, extract(epoch from b.at - e.at) * 1000)::float8 as ms from ends e join begins b using (n)`;
  return rows.map((row) => row.ms);
}

function named(name: string, samples: readonly number[]): Figures {
  return { [`${name} p50 ms`]: quantile(samples, 0.5), [`${name} p99 ms`]: quantile(samples, 0.99) };
}

/** Runs through a limit of ten: how fast, whether in order, and how long a slot stays empty between two of them. */
export async function limitRow(arena: Arena): Promise<Row> {
  const runs = sized(arena, { tiny: 30, quick: 1_000, full: 10_000 });
  const lane = await arena.lane();
  await arena.stack.client.setLimit({ body: { kind: "deployment", name: lane.name, slots: SLOTS } });
  const created = await create(lane, runs);
  const agents = await Promise.all(Array.from({ length: SLOTS * 2 }, () => lane.agent()));
  const times: Times = { endsSent: [], claimed: [] };
  const rest = { runs };
  const startMs = performance.now();
  await Promise.all(agents.map((agent) => serve(agent, { rest, times })));
  const rate = (runs / ((times.endsSent.at(-1) ?? 0) - startMs)) * 1000;
  const handed = times.claimed.slice(SLOTS).map((ms, index) => ms - (times.endsSent[index] ?? ms));
  return {
    row: "limit",
    unit: "runs/s",
    ours: {
      rate,
      created,
      "out of order": await outOfOrder(arena, lane),
      ...named("slot idle", await idleMs(arena, lane)),
      ...named("end to next claim", handed),
    },
    peers: {},
    ratio: null,
    aim: "0 out of order",
    how:
      `${runs} runs, created ${CREATING} at a time, through a limit of ${SLOTS}, by ${agents.length} agents with one place each. ` +
      "Idle: between an end and the admission that follows it, by the database's clock. End to next claim: from sending an end " +
      "until an agent has the run that follows.",
  };
}
