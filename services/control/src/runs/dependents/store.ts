import { DEFAULTS, JOB_TRANSITIONS } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import {
  after,
  type Clock,
  columns,
  type NewChange,
  now,
  prepared,
  type Queryable,
  type RawRow,
  rowOf,
  rows,
  type Tx,
  textArray,
  type Which,
} from "../../kernel/index.ts";
import { type JobRow, job } from "../table.ts";

/** The most tasks in other pools that call each other, one in the other. */
const CALLERS_MAX = 16;

/** The most children that one round cancels. */
export const ORPHANS_BATCH = 200;

const isOrphan = (
  workspaceId: SQL,
  parentId: SQL,
) => sql`c.workspace_id = ${workspaceId} and c.parent_id = ${parentId}
  and c.on_parent_end = 'cancel' and c.ended_at is null and c.state <> 'cancelling'`;

/** Stores the parent of a run. Runs in the transaction that creates the child. */
export async function saveParent(
  tx: Tx,
  args: { workspaceId: string; runId: string; parentId: string; onParentEnd: "cancel" | "abandon" },
): Promise<void> {
  await rows(
    tx,
    sql`update run set parent_id = ${args.parentId}, on_parent_end = ${args.onParentEnd}
      where workspace_id = ${args.workspaceId} and id = ${args.runId}`,
  );
}

/** A call in the attempt of a run that waits for another run: a task in another pool. */
export interface TaskCaller {
  readonly attemptId: string;
  /** The path of the call. */
  readonly path: string;
}

/**
 * The calls of tasks in other pools that led to a run, nearest first. None for a run that is no such task. Primary key of run.
 */
export async function selectTaskCallers(
  from: Queryable,
  args: { workspaceId: string; runId: string },
): Promise<TaskCaller[]> {
  const found = await prepared<{ attemptId: string | null; path: string }>(
    from,
    sql`with recursive caller (parent_id, trigger, depth) as (
        select parent_id, trigger, 1 from run where workspace_id = ${args.workspaceId} and id = ${args.runId} and task is not null
        union all
        select p.parent_id, p.trigger, c.depth + 1 from caller c
        join run p on p.workspace_id = ${args.workspaceId} and p.id = c.parent_id
        where p.task is not null and c.depth < ${CALLERS_MAX})
      select p.attempt_id as "attemptId", c.trigger::jsonb ->> 'path' as path from caller c
      join run p on p.workspace_id = ${args.workspaceId} and p.id = c.parent_id
      order by c.depth`,
  );
  return found.flatMap(({ attemptId, path }) => (attemptId === null ? [] : [{ attemptId, path }]));
}

/** Marks which of these ending runs have children to cancel. Index run_children. */
export async function noteOrphans(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<boolean> {
  const noted = await rows(
    tx,
    sql`insert into orphaning (workspace_id, parent_id, since)
      select ${args.workspaceId}::uuid, p.id, ${now(clock)} from unnest(${textArray(args.runIds)}::uuid[]) as p (id)
      where exists (select 1 from run c where ${isOrphan(sql`${args.workspaceId}`, sql`p.id`)})
      on conflict do nothing returning 1`,
  );
  return noted.length > 0;
}

/** The child, in statements over a row `c` of run. */
const childColumns = { workspaceId: sql`c.workspace_id`, id: sql`c.id` } as const;
const isOrphanOf = isOrphan(sql`o.workspace_id`, sql`o.parent_id`);

/** 0 if a child is to be cancelled, or a marked parent has none left; else null. */
export function untilOrphans(among: Which["among"]): SQL {
  return sql`select 0 from orphaning o
    where exists (select 1 from run c where ${isOrphanOf} and ${among(childColumns)})
      or not exists (select 1 from run c where ${isOrphanOf}) limit 1`;
}

/** A run that is to be cancelled with its parent. */
export interface Orphan {
  readonly workspaceId: string;
  readonly id: string;
}

/** Runs that must be cancelled with their parents and were not asked to end yet. Index run_children. */
export function listOrphans(from: Queryable, which: Which): Promise<Orphan[]> {
  return rows<Orphan>(
    from,
    sql`select c.workspace_id as "workspaceId", c.id from orphaning o join run c on ${isOrphanOf}
      where ${which.among(childColumns)} order by o.since, c.id limit ${which.limit}`,
  );
}

/** Removes the marks of parents without such children: of all parents, or of one child's parent. */
export async function forgetOrphaning(from: Queryable, child?: Orphan): Promise<void> {
  const its =
    child === undefined
      ? sql`true`
      : sql`o.workspace_id = ${child.workspaceId} and o.parent_id = (select p.parent_id from run p
          where p.workspace_id = ${child.workspaceId} and p.id = ${child.id})`;
  await rows(
    from,
    sql`delete from orphaning o where ${its} and not exists (select 1 from run c where ${isOrphanOf})`,
  );
}

/**
 * Settles jobs that no run waits for: jobs that can be cancelled are to be cancelled, the others run on. Selected by
 * their runs, or by their ids. Index job_of_run, primary key.
 */
export async function closeJobs(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string } & ({ runIds: readonly string[] } | { jobIds: readonly string[] }),
): Promise<JobRow[]> {
  const { from, to } = JOB_TRANSITIONS.cancel;
  const which =
    "runIds" in args
      ? sql`j.run_id = any(${textArray(args.runIds)}::uuid[])`
      : sql`j.id = any(${textArray(args.jobIds)}::uuid[])`;
  const raws = await rows<RawRow>(
    tx,
    sql`update job j set state = case when j.cancels then ${to[0]} else ${JOB_TRANSITIONS.leave.to[0]} end,
          ended_at = case when j.cancels then null else ${now(clock)} end,
          cancel_until = case when j.cancels then ${after(clock, DEFAULTS.jobCancelMs)} end
        where j.workspace_id = ${args.workspaceId} and ${which} and j.state = any(${textArray(from)}::text[])
        returning ${columns(job, "j")}`,
  );
  return raws.map((raw) => rowOf(job, raw));
}

/** Of these runs, those that cannot end yet because one of their jobs is being cancelled. Index job_of_run. */
export async function keptOpen(
  tx: Tx,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<Set<string>> {
  const kept = await rows<{ runId: string }>(
    tx,
    sql`select distinct run_id as "runId" from job where workspace_id = ${args.workspaceId}
      and run_id = any(${textArray(args.runIds)}::uuid[]) and state = 'cancelling'`,
  );
  return new Set(kept.map((one) => one.runId));
}

/** Cancels the open waits of runs. @returns the run of each */
export function cancelWaits(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<{ workspaceId: string; runId: string }[]> {
  return rows(
    tx,
    sql`update wait set state = 'cancelled', settled_at = ${now(clock)}
      where workspace_id = ${args.workspaceId} and run_id = any(${textArray(args.runIds)}::uuid[]) and state = 'open'
      returning workspace_id as "workspaceId", run_id as "runId"`,
  );
}

/**
 * Makes waits for the end of these runs due. The first mark stays. It only marks the wait: a transaction that holds one
 * run's lock must not take another's. The periodic job of waits finds the mark and holds no run. Index wait_child.
 */
export async function noteEnds(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<boolean> {
  const noted = await rows(
    tx,
    sql`update wait set satisfy_at = ${now(clock)}
      where workspace_id = ${args.workspaceId} and child_run_id = any(${textArray(args.runIds)}::uuid[]) and state = 'open'
        and satisfy_at is null
      returning 1`,
  );
  return noted.length > 0;
}

/** Marks runs whose ends have dependents. The caller holds their locks. */
export async function markDependents(
  tx: Tx,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<void> {
  await rows(
    tx,
    sql`update run set tied = true
      where workspace_id = ${args.workspaceId} and id = any(${textArray(args.runIds)}::uuid[]) and not tied`,
  );
}

/** The state of a run's waits. */
interface Counted {
  readonly runId: string;
  readonly settled: number;
  readonly open: number;
}

const counts = sql`w.run_id as "runId", count(*) filter (where w.state in ('satisfied', 'expired'))::int as settled,
  count(*) filter (where w.state = 'open')::int as open`;

/**
 * How many waits that these attempts asked for are over but not delivered, and how many are open. Unique index of wait.
 */
export function countAskedFor(
  tx: Tx,
  args: { workspaceId: string; asked: readonly { runId: string; attemptId: string }[] },
): Promise<Counted[]> {
  return rows(
    tx,
    sql`select ${counts}
      from json_to_recordset(${JSON.stringify(args.asked)}::json) as n ("runId" uuid, "attemptId" uuid)
        join wait w on w.workspace_id = ${args.workspaceId} and w.run_id = n."runId" and w.asked_by = n."attemptId"
      group by w.run_id`,
  );
}

/** How many of the named waits of runs are over, and how many are not. Unique index of wait. */
export function countSuspendedOn(
  tx: Tx,
  args: { workspaceId: string; named: readonly { runId: string; path: string }[] },
): Promise<Counted[]> {
  return rows(
    tx,
    sql`select ${counts}
      from json_to_recordset(${JSON.stringify(args.named)}::json) as n ("runId" uuid, path text)
        join wait w on w.workspace_id = ${args.workspaceId} and w.run_id = n."runId" and w.path = n.path
      group by w.run_id`,
  );
}

/** The changes for runs whose waits changed, one for each run. */
export function waitChanges(waits: readonly { workspaceId: string; runId: string }[]): NewChange[] {
  const byRun = new Map(waits.map(({ workspaceId, runId }) => [runId, { workspaceId, runId }]));
  return [...byRun.values()].map((name) => ({ ...name, kind: "wait" }));
}
