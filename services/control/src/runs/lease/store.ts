import type { AttemptState, Fence } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import {
  after,
  answeringSince,
  type Clock,
  type Config,
  columns,
  graceMs,
  lockedOf,
  now,
  type Queryable,
  type RawRow,
  reachableSince,
  rowOf,
  rows,
  type Tx,
  textArray,
  type Which,
} from "../../kernel/index.ts";
import { type AttemptRow, attempt } from "../table.ts";

/** The names of the secrets that a run's version lists. Primary keys of run and deployment_version. */
export async function listSecretNames(
  from: Queryable,
  args: { workspaceId: string; runId: string },
): Promise<string[]> {
  const found = await rows<{ name: string }>(
    from,
    sql`select secret ->> 'name' as name
      from run r join deployment_version v on v.workspace_id = r.workspace_id and v.id = r.version_id,
        jsonb_array_elements(v.spec -> 'secrets') secret
      where r.workspace_id = ${args.workspaceId} and r.id = ${args.runId}`,
  );
  return found.map(({ name }) => name);
}

/** An attempt that a worker holds, with the columns that commands and leases need. */
export interface HeldAttempt extends Fence {
  readonly workerId: string;
  readonly state: AttemptState;
  readonly started: boolean;
  /** Whether it runs only a hook. It is `cancelling` from its beginning, and nobody asks it to stop. */
  readonly onlyHook: boolean;
  readonly cancelStage: string | null;
  readonly cancelReason: string | null;
  /** Paths of waits that the flow asked for and whose end it has not heard of yet. Null: none. */
  readonly answers: readonly string[] | null;
  /** The latest poll whose answer delivered the attempt to the worker. */
  readonly toldGeneration: number;
  readonly toldSeq: number;
}

const HELD = sql`a.id as "attemptId", a.epoch, a.nonce, a.worker_id as "workerId", a.state,
  coalesce(a.told_generation, 0)::float8 as "toldGeneration", coalesce(a.told_seq, 0)::float8 as "toldSeq",
  a.started_at is not null as started, a.hook_until is not null as "onlyHook", a.cancel_stage as "cancelStage",
  (select r.cancel_reason from run r where a.state = 'cancelling' and r.workspace_id = a.workspace_id and r.id = a.run_id)
    as "cancelReason",
  (select json_agg(w.path) from wait w where w.asked_by = a.id and w.state <> 'open') as answers`;

/** The attempts that a worker may have a command for: unconfirmed, to be stopped, or with an answer for a wait. */
const HAS_CHANGED = sql`and (a.state in ('claimed', 'cancelling')
  or exists (select 1 from wait w where w.asked_by = a.id and w.state <> 'open'))`;

/**
 * The attempts that these workers hold: all of them, or only those for which there may be a command. Indexes attempt_held,
 * wait_untold.
 */
export function listHeld(
  from: Queryable,
  args: { workspaceId: string; workerIds: readonly string[]; changed: boolean },
): Promise<HeldAttempt[]> {
  return rows<HeldAttempt>(
    from,
    sql`select ${HELD} from attempt a
      where a.workspace_id = ${args.workspaceId} and a.worker_id = any(${textArray(args.workerIds)}::uuid[])
        and a.lease_expires_at is not null ${args.changed ? HAS_CHANGED : sql``}`,
  );
}

/**
 * Renews the leases of the current fences, in one statement. Rows are locked in the order of their ids, as reports do.
 * Index attempt_held or the primary key.
 */
export function renewLeases(
  tx: Tx,
  clock: Clock,
  args: {
    workspaceId: string;
    workerId: string;
    fences: readonly Fence[];
    leaseMs: number;
    claimLeaseMs: number;
  },
): Promise<HeldAttempt[]> {
  return rows<HeldAttempt>(
    tx,
    sql`with offered as materialized (
        select * from json_to_recordset(${JSON.stringify(args.fences)}::json)
          as f ("attemptId" uuid, epoch bigint, nonce text)
      ), held as materialized (
        select h.id from attempt h
        where h.id = any(array(select "attemptId" from offered)) and h.workspace_id = ${args.workspaceId}
          and h.worker_id = ${args.workerId} and h.lease_expires_at is not null
          and exists (select 1 from offered f where f."attemptId" = h.id and f.epoch = h.epoch and f.nonce = h.nonce)
        order by h.id for update
      )
      update attempt a set lease_expires_at = greatest(a.lease_expires_at,
        case a.state when 'claimed' then ${after(clock, args.claimLeaseMs)} else ${after(clock, args.leaseMs)} end)
      where a.id = any(array(select id from held)) and a.lease_expires_at is not null
      returning ${HELD}`,
  );
}

/** Milliseconds until the first lease ends; negative if one has. Null when nothing is held. Index attempt_lease. */
export function untilLeaseEnds(clock: Clock): SQL {
  return sql`select extract(epoch from min(lease_expires_at) - ${now(clock)}) * 1000
    from attempt where lease_expires_at is not null`;
}

/** The most attempts that one round of a lease periodic job handles. */
export const LEASE_BATCH = 100;

/** An attempt whose lease is over, of a run that people look at. */
export type LapsedRow = AttemptRow & { readonly subjectId: string };

/** An attempt that is lost. `goneBy`: its worker's machine was declared gone, by whom and when. */
export type LostRow = LapsedRow & { readonly goneBy: string | null; readonly goneMs: number | null };

const lapsedOf = (raw: RawRow): LapsedRow => {
  const row = rowOf(attempt, raw);
  return { ...row, subjectId: row.runId };
};

/** Which attempt, in statements over a row `a` of attempt. */
const attemptColumns = { workspaceId: sql`a.workspace_id`, id: sql`a.id` } as const;

/** Whether workers have had a grace to report again since the database went back, if it ever did. */
function offeredAgain(clock: Clock, config: Config): SQL {
  return sql`coalesce(${answeringSince} + make_interval(secs => ${graceMs(config) / 1000}::float8), '-infinity') < ${now(clock)}`;
}

/**
 * Locks started attempts whose worker was silent for the lease and `lost_after_ms`, while the control plane was
 * reachable for as long, and after the grace to report again. If the worker's machine was declared gone and the lease
 * was not renewed since, the end of the lease is enough. Skips attempts that another transaction holds. Index
 * attempt_lease, primary key of worker.
 */
export async function lockLost(
  from: Queryable,
  clock: Clock,
  args: Which & { config: Config },
): Promise<LostRow[]> {
  const at = now(clock);
  const { leaseMs } = args.config;
  const raws = await rows<RawRow & { goneBy: string | null; goneMs: number | null }>(
    from,
    sql`select ${columns(attempt, "a")}, w.gone_by as "goneBy", extract(epoch from w.gone_at)::float8 * 1000 as "goneMs"
      from attempt a left join worker w on w.workspace_id = a.workspace_id and w.id = a.worker_id
        and a.lease_expires_at <= w.gone_at + make_interval(secs => ${leaseMs / 1000}::float8)
      where a.lease_expires_at < ${at} and a.started_at is not null
        and a.lease_expires_at + make_interval(secs => ${silenceMs} / 1000.0) < ${at}
        and ${reachableSince(clock, args.config)} + make_interval(secs => greatest(${silenceMs}, ${leaseMs}) / 1000.0) < ${at}
        and ${offeredAgain(clock, args.config)}
        and ${args.among(attemptColumns)}
      order by a.lease_expires_at limit ${args.limit} ${lockedOf(args, sql`a`)}`,
  );
  return raws.map(({ goneBy, goneMs, ...raw }) => ({ ...lapsedOf(raw), goneBy, goneMs }));
}

/** How long a worker must be silent after the end of a lease. A worker `w` is joined if its machine is gone. */
const silenceMs = sql`case when w.gone_at is null then a.lost_after_ms else 0 end`;

/** Locks claims whose start was not confirmed within the claim's lease. Skips as `lockLost`. Index attempt_lease. */
export async function lockLapsed(
  from: Queryable,
  clock: Clock,
  args: Which & { config: Config },
): Promise<LapsedRow[]> {
  const at = now(clock);
  const raws = await rows<RawRow>(
    from,
    sql`select ${columns(attempt, "a")} from attempt a
      where a.lease_expires_at < ${at} and a.started_at is null
        and ${reachableSince(clock, args.config)} + make_interval(secs => ${args.config.claimLeaseMs / 1000}::float8) < ${at}
        and ${offeredAgain(clock, args.config)}
        and ${args.among(attemptColumns)}
      order by a.lease_expires_at limit ${args.limit} ${lockedOf(args, sql`a`)}`,
  );
  return raws.map(lapsedOf);
}

/** Starts an attempt that runs only a hook, if a worker has taken it and it has neither started nor ended. Primary key. */
export async function saveHookStart(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; attemptId: string; seq: number; leaseMs: number },
): Promise<AttemptRow[]> {
  const raws = await rows<RawRow>(
    tx,
    sql`update attempt a set started_at = ${now(clock)}, control_acked = ${args.seq}, lease_expires_at = ${after(clock, args.leaseMs)}
      where a.workspace_id = ${args.workspaceId} and a.id = ${args.attemptId} and a.hook_until is not null
        and a.worker_id is not null and a.started_at is null and a.ended_at is null
      returning ${columns(attempt, "a")}`,
  );
  return raws.map((raw) => rowOf(attempt, raw));
}

/**
 * Takes an attempt that runs only a hook from its worker, which has not started it. It is given away again after a back-off,
 * under a new fence. Primary key.
 * @returns null if it has started or ended, or if its time is over: nothing was changed.
 */
export async function saveHookRelease(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; attemptId: string; reason: string; backOffMs: number },
): Promise<AttemptRow | null> {
  const [raw] = await rows<RawRow>(
    tx,
    sql`update attempt a set worker_id = null, lease_expires_at = a.hook_until, releases = a.releases + 1,
        release_reason = ${args.reason}, not_before = ${after(clock, args.backOffMs)}
      where a.workspace_id = ${args.workspaceId} and a.id = ${args.attemptId} and a.hook_until > ${now(clock)}
        and a.started_at is null and a.ended_at is null
      returning ${columns(attempt, "a")}`,
  );
  return raw === undefined ? null : rowOf(attempt, raw);
}
