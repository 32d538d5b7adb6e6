import type { Limit } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import {
  type Clock,
  now,
  prepared,
  type Queryable,
  type Tx,
  textArray,
  type Which,
} from "../../kernel/index.ts";

/** The properties of a run that determine its limits. */
export interface RunKind {
  readonly deploymentId: string;
  readonly deployment: string;
  readonly pool: string;
  readonly queue: string | null;
  readonly tags: readonly string[];
}

/** A wait list of runs or of task runs, by what they need. */
export interface NewWaitList {
  readonly id: string;
  readonly key: string;
  readonly runs: RunKind | null;
}

/** SQL columns with the properties that determine a run's limits. */
export interface RunKindColumns {
  readonly workspaceId: SQL;
  readonly deploymentId: SQL;
  readonly deployment: SQL;
  readonly pool: SQL;
  readonly queue: SQL;
}

/** A run's workspace and tags, as SQL. */
interface TagColumns {
  readonly workspaceId: SQL;
  readonly tags: SQL;
}

/** Whether a tag of a run has a limit, as an SQL condition. Unique index of slot_limit. */
export function isTagLimited({ workspaceId, tags }: TagColumns): SQL {
  return sql`(${tags} <> '{}' and exists (select 1 from slot_limit l
    where l.workspace_id = ${workspaceId} and l.kind = 'tag' and l.name = any(${tags})))`;
}

/**
 * Whether any limit but those of tags applies to such a run, as an SQL condition. Most runs need only this and
 * `isTagLimited`. Unique index of slot_limit, primary key of deployment_limit.
 */
export function isLimited(args: RunKindColumns): SQL {
  const called = (kind: string, name: SQL) =>
    sql`exists (select 1 from slot_limit l where l.workspace_id = ${args.workspaceId} and l.kind = ${sql.raw(`'${kind}'`)} and l.name = ${name})`;
  return sql`(${called("deployment", args.deployment)} or ${called("pool", args.pool)}
    or ${called("queue", sql`${args.pool} || '/' || ${args.queue}`)}
    or exists (select 1 from deployment_limit d where d.deployment_id = ${args.deploymentId}))`;
}

/**
 * Locks the needs of all wait lists in a workspace. Take it before any limit's lock. Later statements see the changes
 * of earlier holders.
 */
export async function lockWaitLists(tx: Tx, workspaceId: string): Promise<void> {
  await prepared(
    tx,
    sql`select pg_advisory_xact_lock(hashtextextended('slot_line ' || ${workspaceId}::text, 0))`,
  );
}

/**
 * Locks which tags of a workspace have limits: `shared` by transactions in which runs enter wait lists, `exclusive` by one
 * that creates a limit of a tag. So a run that carries the tag cannot enter a wait list that lacks the new limit. Take it
 * before `lockWaitLists`. Later statements see the changes of earlier holders.
 */
export async function lockTags(
  tx: Tx,
  args: { workspaceId: string; mode: "shared" | "exclusive" },
): Promise<void> {
  const key = sql`hashtextextended('slot_limit tag ' || ${args.workspaceId}::text, 0)`;
  await prepared(
    tx,
    args.mode === "shared"
      ? sql`select pg_advisory_xact_lock_shared(${key})`
      : sql`select pg_advisory_xact_lock(${key})`,
  );
}

/** Existing wait lists, by key. They are locked until the end of the transaction, so that nobody deletes one of them. */
export async function selectWaitLists(
  from: Queryable,
  args: { workspaceId: string; keys: readonly string[] },
): Promise<Map<string, string>> {
  const found = await prepared<{ id: string; key: string }>(
    from,
    sql`select id, key from slot_line where workspace_id = ${args.workspaceId} and key = any(${textArray(args.keys)}::text[])
      order by id for key share`,
  );
  return new Map(found.map((one) => [one.key, one.id]));
}

/** Inserts wait lists. The caller holds `lockWaitLists`. */
export async function insertWaitLists(
  tx: Tx,
  args: { workspaceId: string; lines: readonly NewWaitList[] },
): Promise<void> {
  const rows = JSON.stringify(
    args.lines.map(({ id, key, runs }) => {
      const { deploymentId, deployment, pool, queue, tags = [] } = runs ?? {};
      return { id, key, deploymentId, deployment, pool, queue, tags: textArray(tags) };
    }),
  );
  await prepared(
    tx,
    sql`insert into slot_line (id, workspace_id, key, deployment_id, deployment, pool, queue, tags)
      select id, ${args.workspaceId}, key, "deploymentId", deployment, pool, queue, tags
      from json_to_recordset(${rows}::json)
        as n (id uuid, key text, "deploymentId" uuid, deployment text, pool text, queue text, tags text[])
      on conflict (workspace_id, key) do nothing`,
  );
}

/** Sets the needs of a wait list of task runs. They never change. */
export async function insertNeeds(
  tx: Tx,
  args: { waitListId: string; needs: ReadonlyMap<string, number> },
): Promise<void> {
  const rows = JSON.stringify([...args.needs].map(([limitId, amount]) => ({ limitId, amount })));
  await prepared(
    tx,
    sql`insert into slot_line_limit (line_id, limit_id, amount)
      select ${args.waitListId}, "limitId", amount from json_to_recordset(${rows}::json) as n ("limitId" uuid, amount int)
      on conflict do nothing`,
  );
}

/** The wait lists that a change affects: new ones, those of a deployment, or those of a new limit. */
export type Concerned =
  | { readonly keys: readonly string[] }
  | { readonly deployment: string }
  | Pick<Limit, "kind" | "name">;

/** The condition for them, over a row `n` of slot_line. */
function concerned(which: Concerned): SQL {
  if ("keys" in which) return sql`n.key = any(${textArray(which.keys)}::text[])`;
  if ("deployment" in which) return sql`n.deployment = ${which.deployment}`;
  if (which.kind === "deployment") return sql`n.deployment = ${which.name}`;
  if (which.kind === "pool") return sql`n.pool = ${which.name}`;
  if (which.kind === "queue") return sql`n.pool || '/' || n.queue = ${which.name}`;
  if (which.kind === "tag") return sql`${which.name} = any(n.tags)`;
  // No run needs a named limit before a deployment says so.
  return sql`false`;
}

/**
 * Updates the needs of wait lists of runs from the limits and deployments of their workspace, and marks those with
 * requests for a check. It updates only the affected wait lists, so that a deploy does not walk the workspace. The
 * caller holds `lockWaitLists`.
 */
export async function refreshWaitLists(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; which: Concerned },
): Promise<void> {
  const which = concerned(args.which);
  await prepared(
    tx,
    sql`with wanted as materialized (
        select n.id as line_id, l.id as limit_id, 1 as amount
        from slot_line n join slot_limit l on l.workspace_id = n.workspace_id
          and (l.kind = 'deployment' and l.name = n.deployment or l.kind = 'pool' and l.name = n.pool
            or l.kind = 'queue' and l.name = n.pool || '/' || n.queue
            or l.kind = 'tag' and l.name = any(n.tags))
        where n.workspace_id = ${args.workspaceId} and n.deployment_id is not null and ${which}
        union all
        select n.id, d.limit_id, d.amount
        from slot_line n join deployment_limit d on d.deployment_id = n.deployment_id
        where n.workspace_id = ${args.workspaceId} and ${which}
      ), gone as (
        delete from slot_line_limit m using slot_line n
        where n.id = m.line_id and n.workspace_id = ${args.workspaceId} and n.deployment_id is not null and ${which}
          and not exists (select 1 from wanted w where w.line_id = m.line_id and w.limit_id = m.limit_id)
      ), looked as (
        update slot_line n set look_at = ${now(clock)}
        where n.workspace_id = ${args.workspaceId} and ${which}
          and exists (select 1 from slot_wait w where w.line_id = n.id)
      )
      insert into slot_line_limit (line_id, limit_id, amount) select line_id, limit_id, amount from wanted
      on conflict (line_id, limit_id) do update set amount = excluded.amount
        where slot_line_limit.amount <> excluded.amount`,
  );
}

/** Marks every wait list that needs this limit for a check. */
export async function markWaitLists(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; limitId: string },
): Promise<void> {
  await prepared(
    tx,
    sql`update slot_line n set look_at = ${now(clock)}
      where n.workspace_id = ${args.workspaceId}
        and n.id in (select line_id from slot_line_limit where limit_id = ${args.limitId})
        and exists (select 1 from slot_wait w where w.line_id = n.id)`,
  );
}

/** A wait list of runs, by the properties that determine its limits. */
export interface RunWaitList extends RunKind {
  readonly id: string;
}

/**
 * The wait lists in which runs with this tag wait for their slots without the tag's limit. `isTagged` says whether the run
 * of a row `w` of slot_wait carries the tag. Unique index of slot_wait.
 */
export function listUntagged(
  tx: Tx,
  args: { workspaceId: string; tag: string; isTagged: SQL },
): Promise<RunWaitList[]> {
  return prepared<RunWaitList>(
    tx,
    sql`select n.id, n.deployment_id as "deploymentId", n.deployment, n.pool, n.queue, to_json(n.tags) as tags from slot_line n
      where n.workspace_id = ${args.workspaceId} and n.deployment_id is not null and not ${args.tag} = any(n.tags)
        and exists (select 1 from slot_wait w where w.line_id = n.id and w.workspace_id = n.workspace_id and ${args.isTagged})`,
  );
}

/**
 * Moves waiting requests to other wait lists, where they keep their positions, and marks these for a check. It locks the
 * limits of the old wait lists, in the order of their ids, so that no step grants one of the requests meanwhile. The caller
 * holds `lockWaitLists`.
 * @param args.isMoved The requests that move, as a condition over a row `w` of slot_wait.
 */
export async function moveWaits(
  tx: Tx,
  clock: Clock,
  args: {
    workspaceId: string;
    moves: readonly { readonly from: string; readonly to: string }[];
    isMoved: SQL;
  },
): Promise<void> {
  const { workspaceId, moves } = args;
  const from = textArray(moves.map((one) => one.from));
  await prepared(
    tx,
    sql`select l.id from slot_limit l where l.workspace_id = ${workspaceId}
        and l.id in (select limit_id from slot_line_limit where line_id = any(${from}::uuid[]))
      order by l.id for update`,
  );
  await prepared(
    tx,
    sql`with moves as materialized (
        select * from json_to_recordset(${JSON.stringify(moves)}::json) as m ("from" uuid, "to" uuid)
      ), moved as (
        update slot_wait w set line_id = m."to" from moves m
        where w.line_id = m."from" and w.workspace_id = ${workspaceId} and ${args.isMoved} returning w.line_id
      )
      update slot_line n set look_at = ${now(clock)}
      where n.workspace_id = ${workspaceId} and n.id in (select line_id from moved)`,
  );
}

/** The least number of waiting requests that makes a wait list long. */
const BEHIND_MIN = 10;

/**
 * Finds the wait lists in which a new request cannot be next: one of their limits is full, and many requests wait.
 * Reads committed rows, without locks.
 */
export async function longWaitLists(
  from: Queryable,
  args: { workspaceId: string; waitListIds: readonly string[] },
): Promise<Set<string>> {
  const found = await prepared<{ id: string }>(
    from,
    sql`select n.id from slot_line n
      where n.workspace_id = ${args.workspaceId} and n.id = any(${textArray(args.waitListIds)}::uuid[])
        and exists (select 1 from slot_line_limit m join slot_limit l on l.id = m.limit_id
          where m.line_id = n.id and l.slots - l.taken < m.amount)
        and (select count(*) from (select 1 from slot_wait w where w.line_id = n.id limit ${BEHIND_MIN}) c) = ${BEHIND_MIN}`,
  );
  return new Set(found.map((one) => one.id));
}

/** A request that enters a wait list behind others. */
export interface Behind {
  readonly id: string;
  readonly waitListId: string;
  readonly runId: string;
  readonly attemptId: string | null;
  readonly path: string;
  readonly priority: number;
  readonly dueMs: number | null;
}

/**
 * Inserts requests behind others, and a mark for a check of each wait list. Without the mark nobody would check it, if
 * all requests ahead were granted before this commits.
 */
export async function insertBehind(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; behind: readonly Behind[] },
): Promise<void> {
  await prepared(
    tx,
    sql`with behind as materialized (
        select * from json_to_recordset(${JSON.stringify(args.behind)}::json) as b (id uuid, "waitListId" uuid, "runId" uuid,
          "attemptId" uuid, path text, priority int, "dueMs" float8)
      ), noted as (
        insert into slot_look (workspace_id, line_id) select distinct ${args.workspaceId}::uuid, "waitListId" from behind
      )
      insert into slot_wait (id, workspace_id, line_id, run_id, attempt_id, path, priority, due_at, since)
      select id, ${args.workspaceId}, "waitListId", "runId", "attemptId", path, priority,
        coalesce(to_timestamp("dueMs" / 1000), ${now(clock)}), ${now(clock)} from behind`,
  );
}

/** The most wait lists that one round checks. */
export const LOOK_BATCH = 20;
/** The most marks that are read to find them. */
const LOOKS_MAX = 1_000;

const lineColumns = { workspaceId: sql`n.workspace_id`, id: sql`n.id` } as const;
const noteColumns = { workspaceId: sql`l.workspace_id`, id: sql`l.line_id` } as const;

/** Milliseconds until the first wait list is due for a check, or null. Index slot_line_look, primary key of slot_look. */
export function untilLook(clock: Clock, among: Which["among"]): SQL {
  return sql`select least(
    (select extract(epoch from n.look_at - ${now(clock)}) * 1000 from slot_line n
      where n.look_at is not null and ${among(lineColumns)} order by n.look_at limit 1),
    case when exists (select 1 from slot_look l where ${among(noteColumns)}) then 0 end)`;
}

/** A wait list that is due for a check. */
export interface DueWaitList {
  readonly id: string;
  readonly workspaceId: string;
  /** People never look for a wait list. */
  readonly subjectId: null;
}

/** Wait lists that are due for a check. Not locked: a second check changes nothing. */
export function dueWaitLists(from: Queryable, clock: Clock, which: Which): Promise<DueWaitList[]> {
  return prepared<DueWaitList>(
    from,
    sql`with due as materialized (
        (select n.id, n.workspace_id, n.look_at from slot_line n
          where n.look_at <= ${now(clock)} and ${which.among(lineColumns)} order by n.look_at limit ${LOOKS_MAX})
        union all
        (select distinct line_id, workspace_id, ${now(clock)} from (
          select l.line_id, l.workspace_id from slot_look l where ${which.among(noteColumns)} order by l.id limit ${LOOKS_MAX}) l)
      )
      select id, workspace_id as "workspaceId", null as "subjectId" from due
      group by id, workspace_id order by min(look_at) limit ${which.limit}`,
  );
}

/** The most wait lists that one round deletes. */
export const EMPTY_BATCH = 1_000;

/**
 * Deletes empty wait lists; the next run that needs one creates it again. It locks them first and skips those that are
 * being entered (see `selectWaitLists`). A second statement then sees requests that came meanwhile.
 * @param after The last wait list of the round before. @returns the wait lists that were examined.
 */
export async function deleteEmptyWaitLists(tx: Tx, after: string): Promise<{ id: string }[]> {
  const seen = await prepared<{ id: string }>(
    tx,
    sql`select n.id from slot_line n
      where n.id > ${after}::uuid and n.look_at is null and not exists (select 1 from slot_wait w where w.line_id = n.id)
      order by n.id limit ${EMPTY_BATCH} for update of n skip locked`,
  );
  const ids = textArray(seen.map(({ id }) => id));
  await prepared(
    tx,
    sql`delete from slot_line n where n.id = any(${ids}::uuid[]) and n.look_at is null
      and not exists (select 1 from slot_wait w where w.line_id = n.id)
      and not exists (select 1 from slot_look l where l.line_id = n.id)`,
  );
  return seen;
}
