import { type Arena, sized } from "../arena.ts";
import { median, type Row } from "../figures.ts";

/** What people narrow a list by, the rare beside the common. */
const QUERIES = {
  "first page": {},
  "one state": { state: "failed" },
  "several states": { state: "failed,crashed,cancelled" },
  "a rare state": { state: "crashed" },
  deployment: { deployment: "flow-1" },
  "deployment and rare state": { deployment: "flow-1", state: "crashed" },
  pool: { pool: "pool-0" },
  "rare pool": { pool: "pool-9" },
  "rare pool and state": { pool: "pool-9", state: "crashed" },
  tag: { tag: "prod" },
  "rare tag": { tag: "rare" },
  "a tag of nobody": { tag: "nobody" },
  cause: { cause: "oom" },
  "a month": { from: "2026-03-01T00:00:00.000Z", to: "2026-04-01T00:00:00.000Z" },
  "text of one deployment": { text: "flow-17" },
  "text of many": { text: "flow" },
  "end of an id": { text: "00000abc" },
  "text of nothing": { text: "zzz" },
  "a part of one run's name": { text: "batch 00424242" },
  "a part of the names of every other run": { text: "batch" },
  "a part of the names of one run in a hundred": { text: "quarter" },
  "a part of the names of one month": { text: "in march" },
} as const;

/** A year of runs in partitions of months: most completed, some tags and pools on most of them, some on next to none. */
async function seedYear(arena: Arena, count: number): Promise<void> {
  const { sql } = arena;
  const { workspace } = await arena.stack.client.getMe();
  for (let month = 1; month <= 12; month++) {
    const name = `run_history_y2026m${String(month).padStart(2, "0")}`;
    const [from, to] = [`2026-${month}-01`, month === 12 ? "2027-01-01" : `2026-${month + 1}-01`];
    await sql.unsafe(
      `create table if not exists ${name} partition of run_history for values from ('${from}Z') to ('${to}Z')`,
    );
  }
  await sql`insert into deployment (id, workspace_id, name, latest_version)
    select gen_random_uuid(), ${workspace.id}, 'flow-' || n, 1 from generate_series(0, 19) n on conflict do nothing`;
  await sql`insert into run_history (workspace_id, id, deployment_id, version_id, pool_id, deployment, version, pool,
      state, cause, trigger, priority, tags, parameters, lost_after_ms, attempts, created_at, scheduled_at, due_at,
      started_at, ended_at, name)
    select ${workspace.id}, (lpad(to_hex(n), 8, '0') || '-0000-7000-8000-0000' || lpad(to_hex(n), 8, '0'))::uuid,
      ${workspace.id}, ${workspace.id}, ${workspace.id}, 'flow-' || floor(20 * power(random(), 3)), 1,
      case when n % 20000 = 0 then 'pool-9' when n % 10 = 0 then 'pool-1' else 'pool-0' end, state,
      case state when 'completed' then null when 'cancelled' then 'user' when 'crashed' then 'lost'
        else case when n % 50 = 0 then 'oom' else 'error' end end,
      '{"kind":"person","name":"seed"}', 0,
      case when n % 10000 = 0 then '{prod,rare}' when n % 2 = 0 then '{prod}' else '{}' end::text[], '{}', 0, 1,
      at, at, at, at, at + interval '1 minute',
      case when n % 100 = 0 then 'close of quarter ' || n when n % 2 = 0 then 'Batch ' || lpad(n::text, 8, '0')
        when n % 3 = 0 then 'report in ' || to_char(at, 'FMmonth') end
    from (select n, timestamptz '2026-01-01Z' + n * (interval '360 days' / ${count}) as at,
        case when n % 1000 < 900 then 'completed' when n % 1000 < 980 then 'failed'
          when n % 1000 < 982 then 'crashed' else 'cancelled' end as state
      from generate_series(1, ${count}::int) n) made`;
  await sql`vacuum analyze run_history, deployment`;
}

/** Lists of runs through the API over a year of them, each narrowed in one way. */
export async function listRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 500, quick: 1_000_000, full: 1_000_000 });
  const samples = sized(arena, { tiny: 1, quick: 15, full: 50 });
  await seedYear(arena, count);
  const ours: Record<string, number> = {};
  for (const [name, query] of Object.entries(QUERIES)) {
    const took: number[] = [];
    for (let index = 0; index < samples; index++) {
      const startMs = performance.now();
      await arena.stack.client.listRuns({ query });
      took.push(performance.now() - startMs);
    }
    ours[name] = median(took);
  }
  const [, ...narrowed] = Object.values(ours);
  return {
    ...{ row: "list", unit: "ms" },
    ours,
    peers: {},
    ratio: Math.max(...narrowed) / 100,
    aim: "at most 1: no filter over 100 ms",
    how: `The first page of 50 over HTTP, ${count} archived runs of a year, median of ${samples}.`,
  };
}
