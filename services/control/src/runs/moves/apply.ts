import {
  type AttemptState,
  type AttemptTransition,
  type Cause,
  FINAL_ATTEMPT_STATES,
  isFinalRunState,
  type Ref,
  type RunError,
  type RunState,
  type RunTransition,
  type Trigger,
} from "@towpath/contract";
import { sql } from "#sql";
import {
  afterCommit,
  type Clock,
  columns,
  failpoint,
  now,
  type RawRow,
  rowOf,
  rows,
  type Tx,
  textArray,
  wakeAfterCommit,
  wakeSequencer,
} from "../../kernel/index.ts";
import { NO_NEEDS } from "../needs.ts";
import { type AttemptRow, attempt } from "../table.ts";
import { CHANGE_COLUMNS, insertRunChanges } from "./changes.ts";
import { effectivePriority } from "./run-columns.ts";
import { attemptMove, notAllowed, runMove } from "./state.ts";

/** One move of a run. The cause and the result become the ones given here, or null. */
export interface RunMove {
  readonly id: string;
  readonly by: RunTransition;
  /** The target of the move, if the table has several. */
  readonly to?: RunState;
  readonly cause?: Cause | null;
  /** @default the error that is stored, or none if an attempt starts */
  readonly error?: RunError | null;
  readonly result?: Ref | null;
  /** The run is due again after this delay, milliseconds. @default its due time stays */
  readonly dueInMs?: number | null;
  /** Whether the move spends a retry. @default false */
  readonly spends?: boolean;
  /** How long ago the end happened, milliseconds. It is never before `attemptFrom`. @default 0 */
  readonly lateMs?: number | undefined;
  /** The start of the attempt that ends with this move, ISO 8601. @default none ends, or it never started */
  readonly attemptFrom?: string | undefined;
  /** Why somebody cancels the run. @default nobody does */
  readonly cancelReason?: string;
  /** With `cancelReason`: the cause of the run when the cancellation has ended. @default a person's request */
  readonly cancelCause?: Cause;
  /** Whether the attempt that ends has reported that its flow has a hook for a cancellation. @default false */
  readonly cancelHook?: boolean;
  /**
   * The attempt that begins with the move, and whether it holds slots. With `hookMs` it runs only a hook: it is given away
   * for so long, milliseconds. @default none begins
   */
  readonly attempt?: { readonly id: string; readonly limited: boolean; readonly hookMs?: number };
}

/** A run after its move. */
export interface MovedRun {
  readonly workspaceId: string;
  readonly id: string;
  readonly poolId: string;
  readonly state: RunState;
  readonly trigger: Trigger;
  readonly hasDependents: boolean;
}

/**
 * Moves runs of one workspace along RUN_TRANSITIONS, in one statement: the states, the attempts that begin, and the
 * changes. Of racing callers one wins. Locks the runs in the order of their ids, so that callers with the same runs cannot
 * deadlock. Primary key of run.
 * @throws Problem `run-transition-not-allowed` if a run's state does not allow its move; nothing is moved then.
 */
export async function moveRuns(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; moves: readonly RunMove[] },
): Promise<MovedRun[]> {
  const { workspaceId, moves } = args;
  if (moves.length === 0) return [];
  const at = now(clock);
  const ids = textArray(moves.map((one) => one.id));
  const end = sql`greatest(${at} - make_interval(secs => w."lateMs" / 1000.0), least(w."attemptFrom", ${at}))`;
  const moved = await rows<MovedRun>(
    tx,
    sql`with locked as materialized (
        select array(select id from run where workspace_id = ${workspaceId} and id = any(${ids}::uuid[])
          order by id for update) as ids
      ), moved as (
        update run m set state = w."to", cause = w.cause, result = w.result,
          error = case when w."setsError" then w.error when not w.starts then m.error end,
          started_at = case when w.starts then coalesce(m.started_at, ${at}) else m.started_at end,
          ended_at = case when w.ends then greatest(${end}, m.started_at) end,
          -- Null for the only attempt of a run, and if an earlier release did not count an earlier attempt.
          worked_ms = case when w."attemptFrom" is null then m.worked_ms
            when m.worked_ms is not null or not w.ends and m.started_at >= w."attemptFrom"
            then coalesce(m.worked_ms, 0) + extract(epoch from ${end} - w."attemptFrom") * 1000 end,
          working_since = case when w.starts then ${at} when w."attemptFrom" is null and not w.ends then m.working_since end,
          reported_at = case when w.ends and w."lateMs" > 0 then ${at} end,
          due_at = case when w."dueInMs" is null then m.due_at
            else ${at} + make_interval(secs => w."dueInMs" / 1000.0) end,
          retries = m.retries + w.spends::int,
          cancel_requested_at = case when w."cancelReason" is null then m.cancel_requested_at else ${at} end,
          cancel_reason = coalesce(w."cancelReason", m.cancel_reason),
          cancel_cause = coalesce(w."cancelCause", m.cancel_cause), cancel_hook = m.cancel_hook or w."cancelHook",
          attempt_id = coalesce(w."attemptId", m.attempt_id), attempts = m.attempts + (w."attemptId" is not null)::int
        from json_to_recordset(${JSON.stringify(moves.map(wantedRun))}::json) as w (id uuid, "from" text[], "to" text,
          cause text, error json, "setsError" boolean, result json, starts boolean, ends boolean, "dueInMs" bigint,
          spends boolean, "lateMs" bigint, "attemptFrom" timestamptz, "cancelReason" text, "cancelCause" text, "cancelHook" boolean, "attemptId" uuid,
          limited boolean, "hookMs" bigint)
        where m.workspace_id = ${workspaceId} and m.id = any((select ids from locked)::uuid[])
          and m.id = w.id and m.state = any(w."from")
        returning ${CHANGE_COLUMNS}, m.attempt_id, m.pool_id, m.queue, m.priority, m.due_at, m.lost_after_ms, m.needs,
          m.trigger, m.tied, w."attemptId" is not null as begins, w.limited,
          ${at} + make_interval(secs => w."hookMs" / 1000.0) as hook_until
      ), begun as (
        insert into attempt (id, workspace_id, run_id, ordinal, pool_id, priority, scheduled_at, state, lost_after_ms,
          created_at, limited, needs, hook_until, lease_expires_at)
        select r.attempt_id, r.workspace_id, r.id, r.attempts, r.pool_id, ${effectivePriority}, r.due_at, r.state,
          r.lost_after_ms, date_trunc('milliseconds', ${at}), r.limited,
          case when r.hook_until is null then r.needs else ${NO_NEEDS} end, r.hook_until, r.hook_until
        from moved r where r.begins
      ), changes as (${insertRunChanges(sql`moved`)})
      select workspace_id as "workspaceId", id, pool_id as "poolId", state, trigger, tied as "hasDependents" from moved`,
  );
  const byId = new Map(moved.map((row) => [row.id, row]));
  for (const { id, by } of moves) if (!byId.has(id)) throw notAllowed("run", id, by);
  const begun = moves.filter((one) => one.attempt !== undefined);
  if (begun.length > 0) failpoint("admit");
  for (const { id } of begun) wakeAfterCommit(tx, "pool", byId.get(id)?.poolId ?? "");
  afterCommit(tx, "changes of runs", wakeSequencer);
  return moved;
}

/** Moves one run, as `moveRuns`. */
export async function moveRun(
  tx: Tx,
  clock: Clock,
  { workspaceId, ...move }: RunMove & { workspaceId: string },
): Promise<MovedRun> {
  const [moved] = await moveRuns(tx, clock, { workspaceId, moves: [move] });
  if (moved === undefined) throw notAllowed("run", move.id, move.by);
  return moved;
}

function wantedRun(move: RunMove): object {
  const { from, to } = runMove(move.id, move.by, move.to);
  return {
    id: move.id,
    from,
    to,
    cause: move.cause,
    error: move.error,
    setsError: move.error !== undefined,
    result: move.result,
    starts: to === "running",
    ends: isFinalRunState(to),
    dueInMs: move.dueInMs,
    spends: move.spends ?? false,
    lateMs: move.lateMs ?? 0,
    attemptFrom: move.attemptFrom,
    cancelReason: move.cancelReason,
    cancelCause: move.cancelCause,
    cancelHook: move.cancelHook ?? false,
    attemptId: move.attempt?.id,
    limited: move.attempt?.limited,
    hookMs: move.attempt?.hookMs,
  };
}

/** One move of an attempt. */
export interface AttemptMove {
  readonly id: string;
  readonly by: AttemptTransition;
  readonly cause?: Cause | null;
  readonly exitCode?: number | null;
  readonly lastBulkSeq?: number | null;
  /** How long ago an end happened, milliseconds. It is never before the start. @default 0 */
  readonly lateMs?: number | undefined;
  /** The control record that reported the move. @default none did */
  readonly seq?: number | null;
  /**
   * The length of its worker's lease from now, milliseconds. @default the lease stays, or ends when no worker holds the
   * attempt
   */
  readonly leaseMs?: number;
  /** Why its worker releases it, and how long it is not given away again, milliseconds. @default it is not released */
  readonly release?: { readonly reason: string; readonly backOffMs: number };
}

/** States in which no worker holds an attempt. */
const UNHELD: readonly AttemptState[] = [...FINAL_ATTEMPT_STATES, "ready"];

/**
 * Moves attempts of one workspace along ATTEMPT_TRANSITIONS, in one statement. Atomic as `moveRuns`. Primary key of
 * attempt: the array keeps it an index scan.
 * @throws Problem `run-transition-not-allowed` if an attempt's state does not allow its move.
 */
export async function moveAttempts(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; moves: readonly AttemptMove[] },
): Promise<AttemptRow[]> {
  const { workspaceId, moves } = args;
  if (moves.length === 0) return [];
  const at = now(clock);
  const raws = await rows<RawRow>(
    tx,
    sql`update attempt t set state = w."to", cause = w.cause, exit_code = w."exitCode", last_bulk_seq = w."lastBulkSeq",
        control_acked = coalesce(w.seq, t.control_acked),
        lease_expires_at = case when w."leaseMs" is not null then ${at} + make_interval(secs => w."leaseMs" / 1000.0)
          when w.held then t.lease_expires_at end,
        started_at = case when w.starts then ${at} else t.started_at end,
        ended_at = case when w.ends then greatest(${at} - make_interval(secs => w."lateMs" / 1000.0), t.started_at) end,
        reported_at = case when w."lateMs" > 0 then ${at} end,
        not_before = case when w."releaseReason" is null then t.not_before
          else ${at} + make_interval(secs => w."backOffMs" / 1000.0) end,
        releases = t.releases + (w."releaseReason" is not null)::int,
        release_reason = coalesce(w."releaseReason", t.release_reason)
      from json_to_recordset(${JSON.stringify(moves.map(wantedAttempt))}::json) as w (id uuid, "from" text[], "to" text,
        cause text, "exitCode" bigint, "lastBulkSeq" bigint, seq bigint, "leaseMs" bigint, held boolean, starts boolean,
        ends boolean, "lateMs" bigint, "releaseReason" text, "backOffMs" bigint)
      where t.id = any(${textArray(moves.map((one) => one.id))}::uuid[]) and t.id = w.id
        and t.workspace_id = ${workspaceId} and t.state = any(w."from")
      returning ${columns(attempt, "t")}`,
  );
  const moved = raws.map((raw) => rowOf(attempt, raw));
  const missing = moves.find(({ id }) => !moved.some((row) => row.id === id));
  if (missing !== undefined) throw notAllowed("attempt", missing.id, missing.by);
  return moved;
}

/** Moves one attempt, as `moveAttempts`. */
export async function moveAttempt(
  tx: Tx,
  clock: Clock,
  { workspaceId, ...move }: AttemptMove & { workspaceId: string },
): Promise<AttemptRow> {
  const [moved] = await moveAttempts(tx, clock, { workspaceId, moves: [move] });
  if (moved === undefined) throw notAllowed("attempt", move.id, move.by);
  return moved;
}

function wantedAttempt(move: AttemptMove): object {
  const { from, to } = attemptMove(move.id, move.by);
  const { id, cause, exitCode, lastBulkSeq, seq, leaseMs, release, lateMs = 0 } = move;
  return {
    id,
    from,
    to,
    cause,
    exitCode,
    lastBulkSeq,
    seq,
    leaseMs,
    held: !UNHELD.includes(to),
    starts: to === "running",
    ends: FINAL_ATTEMPT_STATES.includes(to),
    lateMs,
    releaseReason: release?.reason,
    backOffMs: release?.backOffMs,
  };
}
