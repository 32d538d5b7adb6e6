import { type SQL, sql } from "drizzle-orm";
import { type Clock, now, prepared, type Queryable, type Tx, textArray } from "../../kernel/index.ts";

/** What a run's limits follow from. */
export interface RunKind {
  readonly deploymentId: string;
  readonly deployment: string;
  readonly pool: string;
  readonly queue: string | null;
}

/** A line of runs, or of task runs, by what it needs. */
export interface WantedLine {
  readonly id: string;
  readonly key: string;
  readonly runs: RunKind | null;
}

/** Columns that say what a run's limits follow from, as SQL. */
export interface RunKindColumns {
  readonly workspaceId: SQL;
  readonly deploymentId: SQL;
  readonly deployment: SQL;
  readonly pool: SQL;
  readonly queue: SQL;
}

/**
 * Whether any limit holds for such a run, as an SQL condition: what most runs are asked, in the statements that make
 * them ready. Unique index of slot_limit, primary key of deployment_limit.
 */
export function isLimited(a: RunKindColumns): SQL {
  const called = (kind: string, name: SQL) =>
    sql`exists (select 1 from slot_limit l where l.workspace_id = ${a.workspaceId} and l.kind = ${sql.raw(`'${kind}'`)} and l.name = ${name})`;
  return sql`(${called("deployment", a.deployment)} or ${called("pool", a.pool)}
    or ${called("queue", sql`${a.pool} || '/' || ${a.queue}`)}
    or exists (select 1 from deployment_limit d where d.deployment_id = ${a.deploymentId}))`;
}

/**
 * Lets one transaction at a time change which limits the lines of a workspace need. Taken before any limit's lock;
 * statements after it see what earlier holders did.
 */
export async function lockLines(tx: Tx, workspaceId: string): Promise<void> {
  await prepared(
    tx,
    sql`select pg_advisory_xact_lock(hashtextextended('slot_line ' || ${workspaceId}::text, 0))`,
  );
}

/** Lines that are there, by key. */
export async function findLines(
  from: Queryable,
  a: { workspaceId: string; keys: readonly string[] },
): Promise<Map<string, string>> {
  const found = await prepared<{ id: string; key: string }>(
    from,
    sql`select id, key from slot_line where workspace_id = ${a.workspaceId} and key = any(${textArray(a.keys)}::text[])`,
  );
  return new Map(found.map((one) => [one.key, one.id]));
}

/** Writes lines. The caller holds `lockLines`. */
export async function insertLines(
  tx: Tx,
  a: { workspaceId: string; lines: readonly WantedLine[] },
): Promise<void> {
  const rows = JSON.stringify(a.lines.map(({ id, key, runs }) => ({ id, key, ...runs })));
  await prepared(
    tx,
    sql`insert into slot_line (id, workspace_id, key, deployment_id, deployment, pool, queue)
      select id, ${a.workspaceId}, key, "deploymentId", deployment, pool, queue
      from json_to_recordset(${rows}::json)
        as n (id uuid, key text, "deploymentId" uuid, deployment text, pool text, queue text)
      on conflict (workspace_id, key) do nothing`,
  );
}

/** Says what a line of task runs needs: it never changes. */
export async function insertNeeds(
  tx: Tx,
  a: { lineId: string; needs: ReadonlyMap<string, number> },
): Promise<void> {
  const rows = JSON.stringify([...a.needs].map(([limitId, amount]) => ({ limitId, amount })));
  await prepared(
    tx,
    sql`insert into slot_line_limit (line_id, limit_id, amount)
      select ${a.lineId}, "limitId", amount from json_to_recordset(${rows}::json) as n ("limitId" uuid, amount int)
      on conflict do nothing`,
  );
}

/**
 * Brings what the lines of runs need to what the limits and deployments of their workspace say now, and asks for a look
 * at those where somebody waits. The caller holds `lockLines`.
 */
export async function refreshLines(tx: Tx, clock: Clock, a: { workspaceId: string }): Promise<void> {
  await prepared(
    tx,
    sql`with wanted as materialized (
        select n.id as line_id, l.id as limit_id, 1 as amount
        from slot_line n join slot_limit l on l.workspace_id = n.workspace_id
          and (l.kind = 'deployment' and l.name = n.deployment or l.kind = 'pool' and l.name = n.pool
            or l.kind = 'queue' and l.name = n.pool || '/' || n.queue)
        where n.workspace_id = ${a.workspaceId} and n.deployment_id is not null
        union all
        select n.id, d.limit_id, d.amount
        from slot_line n join deployment_limit d on d.deployment_id = n.deployment_id
        where n.workspace_id = ${a.workspaceId}
      ), gone as (
        delete from slot_line_limit m using slot_line n
        where n.id = m.line_id and n.workspace_id = ${a.workspaceId} and n.deployment_id is not null
          and not exists (select 1 from wanted w where w.line_id = m.line_id and w.limit_id = m.limit_id)
      ), looked as (
        update slot_line n set look_at = ${now(clock)}
        where n.workspace_id = ${a.workspaceId} and exists (select 1 from slot_wait w where w.line_id = n.id)
      )
      insert into slot_line_limit (line_id, limit_id, amount) select line_id, limit_id, amount from wanted
      on conflict (line_id, limit_id) do update set amount = excluded.amount
        where slot_line_limit.amount <> excluded.amount`,
  );
}

/** Asks for a look at every line that needs this limit. */
export async function markLines(
  tx: Tx,
  clock: Clock,
  a: { workspaceId: string; limitId: string },
): Promise<void> {
  await prepared(
    tx,
    sql`update slot_line n set look_at = ${now(clock)}
      where n.workspace_id = ${a.workspaceId}
        and n.id in (select line_id from slot_line_limit where limit_id = ${a.limitId})
        and exists (select 1 from slot_wait w where w.line_id = n.id)`,
  );
}

/** The most lines that one round looks at. */
const LOOK_BATCH = 20;

/** Milliseconds until the first line is to be looked at, or null. Index slot_line_look. */
export function untilLook(clock: Clock): SQL {
  return sql`select extract(epoch from min(look_at) - ${now(clock)}) * 1000 from slot_line where look_at is not null`;
}

/** Lines that are to be looked at by now, of one workspace. Not locked: looking twice changes nothing. */
export function linesToLook(from: Queryable, clock: Clock): Promise<{ id: string; workspaceId: string }[]> {
  return prepared<{ id: string; workspaceId: string }>(
    from,
    sql`with first as materialized (
        select workspace_id from slot_line where look_at <= ${now(clock)} order by look_at limit 1
      )
      select id, workspace_id as "workspaceId" from slot_line
      where look_at <= ${now(clock)} and workspace_id = (select workspace_id from first)
      order by look_at limit ${LOOK_BATCH}`,
  );
}
