import { type SQL, sql } from "#sql";
import { isPlain, type Queryable } from "../../kernel/index.ts";

/** Runs that have not ended and have readable parameters, oldest first. The live table is small. */
export async function listPlainRuns(
  from: Queryable,
  args: { workspaceId: string; limit: number },
): Promise<string[]> {
  const rows = await from.execute<{ id: string }>(sql`
    select id from run where workspace_id = ${args.workspaceId} and ended_at is null and ${isPlain(sql`parameters`)}
    order by id limit ${args.limit}`);
  return rows.map(({ id }) => id);
}

/** Runs that wait for an event with a plain key, for which no sender has the code. */
export async function listPlainEventKeys(
  from: Queryable,
  args: { workspaceId: string; limit: number },
): Promise<string[]> {
  const rows = await from.execute<{ id: string }>(sql`
    select distinct run_id as id from wait where workspace_id = ${args.workspaceId} and state = 'open' and kind = 'event'
      and event_key is not null and event_key !~ '^mac:[A-Za-z0-9_-]{43}$'
    order by run_id limit ${args.limit}`);
  return rows.map(({ id }) => id);
}

/** Open runs that got a plain answer, event or result of a job. A worker of a sealed workspace would take it for a forged one. */
export async function listPlainAnswers(
  from: Queryable,
  args: { workspaceId: string; limit: number },
): Promise<string[]> {
  const rows = await from.execute<{ id: string }>(sql`
    select distinct w.run_id as id from wait w join run r on r.workspace_id = w.workspace_id and r.id = w.run_id
    where w.workspace_id = ${args.workspaceId} and r.ended_at is null and w.answer is not null
      and case w.kind when 'job' then ${isPlainAnswer(sql`w.answer -> 'value'`)}
        when 'input' then ${isPlainAnswer(sql`w.answer`)} when 'event' then ${isPlainAnswer(sql`w.answer`)} else false end
    order by w.run_id limit ${args.limit}`);
  return rows.map(({ id }) => id);
}

function isPlainAnswer(column: SQL): SQL<boolean> {
  return sql<boolean>`coalesce((${column})::jsonb not in ('null', '[]', '""') and ${isPlain(sql`(${column})`)}, false)`;
}
