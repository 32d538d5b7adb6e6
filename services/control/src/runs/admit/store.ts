import { RUN_TRANSITIONS, type RunState } from "@towpath/contract";
import { sql } from "#sql";
import {
  type Clock,
  columns,
  failpoint,
  now,
  type RawRow,
  rowOf,
  rows,
  type Tx,
  textArray,
} from "../../kernel/index.ts";
import { insertRunChanges } from "../moves/changes.ts";
import { limitedAs } from "../moves/due.ts";
import { type RunRow, run } from "../table.ts";

/** How much a queue's priority outweighs those of its runs, which are from -100 to 100. */
const QUEUE_WEIGHT = 1_000;

/** A run's place in its pool's line, as SQL over a row `r` of run: its queue's priority first, then its own. */
export const effectivePriority =
  sql.raw(`(r.priority + ${QUEUE_WEIGHT} * coalesce((select q.priority from queue q
  where q.pool_id = r.pool_id and q.name = r.queue), 0))`);

/** A run that is to enter its line. */
export interface EnteringRun {
  readonly id: string;
  readonly deploymentId: string;
  readonly deployment: string;
  readonly pool: string;
  readonly queue: string | null;
  readonly priority: number;
  readonly dueMs: number;
  /** Whether it has had no attempt yet. One that goes on is no collision: it waits. */
  readonly isNew: boolean;
  /** The limit of its deployment, with what it says of those that do not fit. Null: it has none. */
  readonly limitId: string | null;
  readonly slots: number | null;
  readonly collision: string | null;
}

/** What lines need to know of runs, whose locks the caller holds. Primary key of run. */
export function readEntering(
  tx: Tx,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<EnteringRun[]> {
  return rows<EnteringRun>(
    tx,
    sql`select r.id, ${limitedAs.deploymentId} as "deploymentId", ${limitedAs.deployment} as deployment, r.pool, r.queue, ${effectivePriority} as priority,
        extract(epoch from r.due_at)::float8 * 1000 as "dueMs", r.attempts = 0 as "isNew", l.id as "limitId", l.slots,
        case when r.attempts = 0 then l.collision end as collision
      from run r left join slot_limit l
        on l.workspace_id = r.workspace_id and l.kind = 'deployment' and l.name = ${limitedAs.deployment}
      where r.workspace_id = ${args.workspaceId} and r.id = any(${textArray(args.runIds)}::uuid[])`,
  );
}

/** Locks runs that wait for slots, without waiting for whoever holds them. */
export async function holdBlocked(
  tx: Tx,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<Set<string>> {
  const held = await rows<{ id: string }>(
    tx,
    sql`select id from run where workspace_id = ${args.workspaceId} and id = any(${textArray(args.runIds)}::uuid[])
        and state = any(${textArray(RUN_TRANSITIONS.admit.from)}::text[])
      for update skip locked`,
  );
  return new Set(held.map((one) => one.id));
}

/** From where runs that have their slots become ready: they were due, waited for slots, or were suspended. */
const TO_READY: readonly RunState[] = [
  ...RUN_TRANSITIONS.due.from,
  ...RUN_TRANSITIONS.admit.from,
  ...RUN_TRANSITIONS.resume.from,
];

/**
 * Makes runs ready that have their slots, with the attempts that own them, and writes the changes of it, in one statement.
 * The caller holds the runs' locks.
 * @returns the pools where they wait for a worker now
 */
export async function admitRuns(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; admitted: readonly { runId: string; attemptId: string }[] },
): Promise<{ id: string; poolId: string }[]> {
  const [ready] = RUN_TRANSITIONS.admit.to;
  const moved = await rows<{ id: string; poolId: string }>(
    tx,
    sql`with given as materialized (
        select * from json_to_recordset(${JSON.stringify(args.admitted)}::json) as g ("runId" uuid, "attemptId" uuid)
      ), moved as (
        update run m set state = ${ready}, attempt_id = g."attemptId", attempts = m.attempts + 1
        from given g where m.workspace_id = ${args.workspaceId} and m.id = g."runId"
          and m.state = any(${textArray(TO_READY)}::text[])
        returning m.*
      ), made as (
        insert into attempt (id, workspace_id, run_id, ordinal, pool_id, priority, scheduled_at, state, lost_after_ms,
          created_at, limited, needs)
        select r.attempt_id, r.workspace_id, r.id, r.attempts, r.pool_id, ${effectivePriority}, r.due_at, ${ready},
          r.lost_after_ms, date_trunc('milliseconds', ${now(clock)}), true, r.needs
        from moved r
      ), changes as (${insertRunChanges(sql`moved`)})
      select id, pool_id as "poolId" from moved`,
  );
  failpoint("admit");
  return moved;
}

/** Blocks runs that have entered their lines, and writes the changes of it. The caller holds the runs' locks. */
export async function blockRuns(
  tx: Tx,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<void> {
  const from: readonly RunState[] = [...RUN_TRANSITIONS.due.from, ...RUN_TRANSITIONS.resume.from];
  const blocked: RunState = "blocked";
  await rows(
    tx,
    sql`with moved as (
        update run m set state = ${blocked} where m.workspace_id = ${args.workspaceId}
          and m.id = any(${textArray(args.runIds)}::uuid[]) and m.state = any(${textArray(from)}::text[])
        returning m.*
      ), changes as (${insertRunChanges(sql`moved`)})
      select 1 from moved`,
  );
}

/** Cancels runs that would not wait, with the reason, and writes the changes of it. The caller holds the runs' locks. */
export async function refuseRuns(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; refused: readonly { runId: string; reason: string }[] },
): Promise<RunRow[]> {
  const to: RunState = "cancelled";
  const raws = await rows<RawRow>(
    tx,
    sql`with moved as (
        update run m set state = ${to}, cause = 'user', cancel_requested_at = ${now(clock)}, ended_at = ${now(clock)},
          cancel_reason = f.reason
        from json_to_recordset(${JSON.stringify(args.refused)}::json) as f ("runId" uuid, reason text)
        where m.workspace_id = ${args.workspaceId} and m.id = f."runId"
          and m.state = any(${textArray(RUN_TRANSITIONS.cancel.from)}::text[])
        returning m.*
      ), changes as (${insertRunChanges(sql`moved`)})
      select ${columns(run, "m")} from moved m`,
  );
  return raws.map((raw) => rowOf(run, raw));
}

/**
 * Runs that have slots of a limit or wait for them, but for these, for those that are being cancelled already, and for the newest,
 * for which there is room. Those that came first first.
 */
export async function listDisplaced(
  tx: Tx,
  args: { workspaceId: string; limitId: string; except: readonly string[]; room: number; limit: number },
): Promise<string[]> {
  const found = await rows<{ id: string }>(
    tx,
    sql`select d.id from (select r.id, r.due_at from run r
      where r.workspace_id = ${args.workspaceId} and r.state <> 'cancelling' and not r.id = any(${textArray(args.except)}::uuid[])
        and r.id = any(array(
          select s.run_id from slot s where s.limit_id = ${args.limitId} and s.workspace_id = ${args.workspaceId} and s.path = ''
          union select w.run_id from slot_line_limit m join slot_wait w on w.line_id = m.line_id
            where m.limit_id = ${args.limitId} and w.workspace_id = ${args.workspaceId} and w.path = ''))
      order by r.due_at desc, r.id desc offset ${args.room}) d
      order by d.due_at, d.id limit ${args.limit}`,
  );
  return found.map((one) => one.id);
}
