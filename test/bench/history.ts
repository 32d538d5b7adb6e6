import type { Arena } from "./arena.ts";

/**
 * A year of runs in partitions of months: most completed, some tags and pools on most of them, some on next to none.
 * @param args.perMille how many of a thousand runs were created in the last day instead
 */
export async function seedHistory(
  arena: Pick<Arena, "sql" | "stack">,
  args: { count: number; perMille: number },
): Promise<void> {
  const { sql } = arena;
  const { count, perMille } = args;
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
    select ${workspace.id}, (lpad(to_hex(n), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(${perMille}::int), 4, '0') || lpad(to_hex(n), 8, '0'))::uuid,
      ${workspace.id}, ${workspace.id}, ${workspace.id}, 'flow-' || floor(20 * power(random(), 3)), 1,
      case when n % 20000 = 0 then 'pool-9' when n % 10 = 0 then 'pool-1' else 'pool-0' end, state,
      case state when 'completed' then null when 'cancelled' then 'user' when 'crashed' then 'lost'
        else case when n % 50 = 0 then 'oom' else 'error' end end,
      '{"kind":"person","name":"seed"}', 0,
      case when n % 10000 = 0 then '{prod,rare}' when n % 2 = 0 then '{prod}' else '{}' end::text[], '{}', 0, 1,
      at, at, at, at, at + interval '1 minute',
      case when n % 100 = 0 then 'close of quarter ' || n when n % 2 = 0 then 'Batch ' || lpad(n::text, 8, '0')
        when n % 3 = 0 then 'report in ' || to_char(at, 'FMmonth') end
    from (select n, case when n % 1000 < ${perMille}::int then now() - random() * interval '1 day'
          else timestamptz '2026-01-01Z' + n * (interval '360 days' / ${count}) end as at,
        case when n % 1000 < 900 then 'completed' when n % 1000 < 980 then 'failed'
          when n % 1000 < 982 then 'crashed' else 'cancelled' end as state
      from generate_series(1, ${count}::int) n) made`;
  await sql`vacuum analyze run_history, deployment`;
}
