import { ATTEMPT_TRANSITIONS, type Fence, type Json, RUN_TRANSITIONS, type Trigger } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import {
  after,
  type Clock,
  columns,
  instantOf,
  now,
  numberArray,
  type Queryable,
  type RawRow,
  rowOf,
  rows,
  type Tx,
  textArray,
  UNHURRIED,
  type WorkerScope,
} from "../../kernel/index.ts";
import { type AttemptRow, attempt } from "../table.ts";
import { CHANGE_COLUMNS, insertRunChanges } from "./changes.ts";
import { literals } from "./state.ts";

/** The content of an assignment. */
export interface AssignedAttempt {
  readonly attemptId: string;
  readonly epoch: number;
  readonly nonce: string;
  readonly workerId: string;
  readonly ordinal: number;
  readonly runId: string;
  readonly deployment: string;
  readonly version: number;
  readonly spec: string;
  readonly parameters: { [key: string]: Json };
  readonly trigger: Trigger;
  readonly scheduledAt: Date;
  /** How much longer its run may take in total. Null: without a limit. */
  readonly endsInMs: number | null;
  /** Of an attempt that runs only a hook: why its run was cancelled. @default it runs the flow */
  readonly hookReason?: string | null;
}

/** The poll whose answer delivers an attempt: its worker's generation, and the poll's number. */
export interface PollNumber {
  readonly generation: number;
  readonly seq: number;
}

/** A free slot of a waiting worker. */
export interface WorkerSlot {
  readonly workerId: string;
  readonly workerName: string;
  readonly poll: PollNumber;
}

/** A slot, and the attempt that is put there. */
export interface ChosenSlot extends WorkerSlot {
  readonly attemptId: string;
}

/** Expressions for the slot that an attempt `c` gets. */
interface SlotColumns {
  readonly worker: SQL;
  readonly name: SQL;
  readonly generation: SQL;
  readonly seq: SQL;
}

const RUN = literals(RUN_TRANSITIONS.claim);
const ATTEMPT = literals(ATTEMPT_TRANSITIONS.claim);

/** The fence of a new claim of an attempt `c`. */
const NEW_FENCE = sql`epoch = c.epoch + 1, nonce = gen_random_uuid()::text`;

/** What a claim writes to an attempt `c`: a short lease, and sequences from 1. */
const claimedBy = (clock: Clock, claimLeaseMs: number, slot: SlotColumns): SQL => sql`state = ${ATTEMPT.to},
  ${takenBy(clock, claimLeaseMs, slot)}`;

/** As `claimedBy`, without the state. */
const takenBy = (
  clock: Clock,
  claimLeaseMs: number,
  slot: SlotColumns,
): SQL => sql`worker_id = ${slot.worker}, worker_name = ${slot.name},
  told_generation = ${slot.generation}, told_seq = ${slot.seq}, lease_expires_at = ${after(clock, claimLeaseMs)},
  claimed_at = ${now(clock)}, not_before = null, control_acked = 0, bulk_acked = 0, line_base = c.next_line`;

/** The valid slot with the position that the attempt has among the chosen ones. */
const NTH = sql`[array_position((select ids from chosen), c.id)]`;
const NTH_SLOT: SlotColumns = {
  worker: sql`(select workers from standing)${NTH}`,
  name: sql`(select names from standing)${NTH}`,
  generation: sql`(select generations from standing)${NTH}`,
  seq: sql`(select seqs from standing)${NTH}`,
};
/** The slot of a joined row `p`. */
const OF_SLOT: SlotColumns = {
  worker: sql`p.worker_id`,
  name: sql`p.worker_name`,
  generation: sql`p.generation`,
  seq: sql`p.seq`,
};

/**
 * The columns of an assignment, of an attempt `a`, its run `r` and its version `v`. Whole rows of runs would be slow to
 * read.
 */
const assignedColumns = (
  clock: Clock,
): SQL => sql`a.id as "attemptId", a.epoch, a.nonce, a.worker_id as "workerId", a.ordinal, r.id as "runId", r.deployment,
  r.version, v.spec_jws as spec, r.parameters, r.trigger, r.scheduled_at as "scheduledAt",
  case when r.ends_by is null then r.run_timeout_ms
    else greatest(1, (extract(epoch from r.ends_by - ${now(clock)}) * 1000)::bigint) end::float8 as "endsInMs"`;

/** The columns of an attempt `c` that an assignment needs, and its run. */
const CLAIMED = sql`c.id, c.epoch, c.nonce, c.worker_id, c.ordinal, c.run_id`;
/** The columns of a run `m` that an assignment needs beside its changes. */
const ASSIGNED_OF_RUN = sql`m.deployment, m.version, m.version_id, m.parameters, m.trigger, m.scheduled_at,
  m.ends_by, m.run_timeout_ms`;

interface RawAssigned extends Omit<AssignedAttempt, "scheduledAt"> {
  readonly scheduledAt: string;
}

/** Ready attempts that were given away. */
export interface ClaimedAttempts {
  readonly claimed: readonly AssignedAttempt[];
  /** Whether the pool has attempts that run only a hook, which `claimHooks` gives away. */
  readonly hooks: boolean;
}

type ClaimRow = { readonly mixed: boolean; readonly hooks: boolean } & (
  | RawAssigned
  | { readonly attemptId: null }
);

function assigned({ scheduledAt, ...raw }: RawAssigned): AssignedAttempt {
  return { ...raw, scheduledAt: instantOf(scheduledAt) };
}

/**
 * Gives the first ready attempts of a pool to the slots of waiting workers, in order. Waits for no lock: an attempt or
 * run that another transaction holds stays in the queue. One statement that includes the changes, so it needs no
 * transaction.
 *
 * Gives only attempts that need nothing but a slot. If any ready attempt of the pool needs more, nothing is given: then
 * all must be matched in one order, see `giveMatched`.
 *
 * A slot counts if its worker has neither restarted nor polled at another process since the poll came. The database is
 * not asked about unchanged polls before this (see `PollCache`).
 *
 * The commit does not wait for the disk. A claim that a crash of the database takes back does no harm: the attempt is
 * in the queue again, and the worker's fence is no longer the stored one, so it cannot confirm the start. A confirmed
 * start brings its claim to disk.
 *
 * Arrays instead of joins keep every step an index scan under a generic plan: attempt_ready, then primary keys.
 */
export async function claimAttempts(
  from: Queryable,
  clock: Clock,
  args: { workspaceId: string; poolId: string; slots: readonly WorkerSlot[]; claimLeaseMs: number },
): Promise<ClaimedAttempts | "mixed"> {
  const workers = textArray(args.slots.map((slot) => slot.workerId));
  const names = textArray(args.slots.map((slot) => slot.workerName));
  const generations = numberArray(args.slots.map((slot) => slot.poll.generation));
  const seqs = numberArray(args.slots.map((slot) => slot.poll.seq));
  const at = now(clock);
  const raws = await rows<ClaimRow>(
    from,
    sql`with mixed as materialized (
        select exists (select 1 from attempt where pool_id = ${args.poolId} and workspace_id = ${args.workspaceId} and state in ${ATTEMPT.from}
          and needs > '') as yes, exists (select 1 from attempt where ${isOpenHook(args)}) as hooks, ${UNHURRIED} as unhurried
      ), standing as materialized (
        select array_agg(p.worker_id order by p.ord) as workers, array_agg(p.name order by p.ord) as names,
          array_agg(p.generation order by p.ord) as generations, array_agg(p.seq order by p.ord) as seqs
        from unnest(${workers}::uuid[], ${names}::text[], ${generations}::bigint[], ${seqs}::bigint[])
          with ordinality as p (worker_id, name, generation, seq, ord)
        join worker w on w.workspace_id = ${args.workspaceId} and w.id = any(${workers}::uuid[]) and w.id = p.worker_id
          and w.generation = p.generation and w.poll_seq <= p.seq
      ), picked as materialized (
        select id, run_id from attempt
        where pool_id = ${args.poolId} and workspace_id = ${args.workspaceId} and state in ${ATTEMPT.from}
          and needs = '' and not (select yes from mixed) and (not_before is null or not_before <= ${at})
        order by priority desc, scheduled_at, id
        limit coalesce((select cardinality(workers) from standing), 0) for update skip locked
      ), free as materialized (
        select array(
          select r.id from run r
          where r.workspace_id = ${args.workspaceId} and r.state in ${RUN.from} and r.id = any(array(select run_id from picked))
          for update skip locked
        ) as ids
      ), chosen as materialized (
        select array(select id from picked where run_id = any((select ids from free)::uuid[])) as ids
      ), claimed as (
        update attempt c set ${NEW_FENCE}, ${claimedBy(clock, args.claimLeaseMs, NTH_SLOT)}
        where c.id = any((select ids from chosen)::uuid[])
        returning ${CLAIMED}
      ), moved as (
        update run m set state = ${RUN.to}
        where m.workspace_id = ${args.workspaceId} and m.id = any((select ids from free)::uuid[])
        returning ${CHANGE_COLUMNS}, ${ASSIGNED_OF_RUN}
      ), changes as (${insertRunChanges(sql`moved`)})
      select m.yes as mixed, m.hooks, ${assignedColumns(clock)}
      from mixed m left join (claimed a join moved r on r.id = a.run_id join deployment_version v on v.id = r.version_id) on true
      order by array_position((select ids from chosen), a.id)`,
  );
  if (raws[0]?.mixed === true) return "mixed";
  const claimed = raws.filter(isAssigned).map(({ mixed: _, hooks: _hooks, ...raw }) => assigned(raw));
  return { claimed, hooks: raws[0]?.hooks === true };
}

/** Attempts of a pool that run only a hook and that no worker has taken. Index attempt_hook. */
const isOpenHook = ({ workspaceId, poolId }: { workspaceId: string; poolId: string }): SQL =>
  sql`pool_id = ${poolId} and workspace_id = ${workspaceId} and hook_until is not null and worker_id is null and ended_at is null`;

/** Of an attempt `a` that runs only a hook, and its run `r`. Its run has no time left to keep. */
const HOOK_REASON = sql`case when a.hook_until is not null then coalesce(r.cancel_reason, '') end as "hookReason"`;

/**
 * Gives attempts that run only a hook to the slots of waiting workers, which must all know such attempts. Their runs stay
 * `cancelling`, and so do they. Waits for no lock, as `claimAttempts`. Index attempt_hook.
 */
export async function claimHooks(
  from: Queryable,
  clock: Clock,
  args: { workspaceId: string; poolId: string; slots: readonly WorkerSlot[]; claimLeaseMs: number },
): Promise<AssignedAttempt[]> {
  const { slots } = args;
  const raws = await rows<RawAssigned>(
    from,
    sql`with standing as materialized (
        select array_agg(p.worker_id order by p.ord) as workers, array_agg(p.name order by p.ord) as names,
          array_agg(p.generation order by p.ord) as generations, array_agg(p.seq order by p.ord) as seqs
        from unnest(${textArray(slots.map((slot) => slot.workerId))}::uuid[], ${textArray(slots.map((slot) => slot.workerName))}::text[],
          ${numberArray(slots.map((slot) => slot.poll.generation))}::bigint[], ${numberArray(slots.map((slot) => slot.poll.seq))}::bigint[])
          with ordinality as p (worker_id, name, generation, seq, ord)
        join worker w on w.workspace_id = ${args.workspaceId} and w.id = p.worker_id
          and w.generation = p.generation and w.poll_seq <= p.seq
      ), picked as materialized (
        select id from attempt where ${isOpenHook(args)} and (not_before is null or not_before <= ${now(clock)})
        order by hook_until, id
        limit coalesce((select cardinality(workers) from standing), 0) for update skip locked
      ), chosen as materialized (select array(select id from picked) as ids), a as (
        update attempt c set ${NEW_FENCE}, ${takenBy(clock, args.claimLeaseMs, NTH_SLOT)}
        where c.id = any((select ids from chosen)::uuid[])
        returning ${CLAIMED}, c.workspace_id, c.hook_until
      )
      select ${assignedColumns(clock)}, ${HOOK_REASON}
      from a join run r on r.workspace_id = a.workspace_id and r.id = a.run_id
      join deployment_version v on v.id = r.version_id`,
  );
  return raws.map(assigned);
}

/** If nothing was claimed, one row still says whether any attempt needs more than a slot. */
function isAssigned(raw: ClaimRow): raw is ClaimRow & RawAssigned {
  return raw.attemptId !== null;
}

/**
 * Gives chosen attempts to the slots that were chosen for them, as `claimAttempts` does. Skips attempts that are no
 * longer ready, or that another transaction holds. Primary keys of attempt and run.
 */
export async function claimChosen(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; chosen: readonly ChosenSlot[]; claimLeaseMs: number },
): Promise<AssignedAttempt[]> {
  const ids = textArray(args.chosen.map((slot) => slot.attemptId));
  const raws = await rows<RawAssigned>(
    tx,
    sql`with slot as materialized (
        select * from unnest(${ids}::uuid[], ${textArray(args.chosen.map((slot) => slot.workerId))}::uuid[],
          ${textArray(args.chosen.map((slot) => slot.workerName))}::text[],
          ${numberArray(args.chosen.map((slot) => slot.poll.generation))}::bigint[],
          ${numberArray(args.chosen.map((slot) => slot.poll.seq))}::bigint[])
          as p (attempt_id, worker_id, worker_name, generation, seq)
      ), picked as materialized (
        select array(
          select id from attempt
          where id = any(${ids}::uuid[]) and workspace_id = ${args.workspaceId} and state in ${ATTEMPT.from} order by id for update skip locked
        ) as ids, ${UNHURRIED} as unhurried
      ), free as materialized (
        select array(
          select r.id from run r
          where r.workspace_id = ${args.workspaceId} and r.state in ${RUN.from}
            and r.id = any(array(select run_id from attempt where id = any((select ids from picked)::uuid[])))
          for update skip locked
        ) as ids
      ), claimed as (
        update attempt c set ${NEW_FENCE}, ${claimedBy(clock, args.claimLeaseMs, OF_SLOT)}
        from slot p
        where c.id = p.attempt_id and c.id = any((select ids from picked)::uuid[])
          and c.run_id = any((select ids from free)::uuid[])
        returning ${CLAIMED}
      ), moved as (
        update run m set state = ${RUN.to}
        where m.workspace_id = ${args.workspaceId} and m.id = any((select ids from free)::uuid[])
        returning ${CHANGE_COLUMNS}, ${ASSIGNED_OF_RUN}
      ), changes as (${insertRunChanges(sql`moved`)})
      select ${assignedColumns(clock)}
      from claimed a join moved r on r.id = a.run_id join deployment_version v on v.id = r.version_id`,
  );
  return raws.map(assigned);
}

/** Delivers unconfirmed assignments again: same epoch, same nonce, a fresh claim lease. Index attempt_held. */
export async function redeliverAttempts(
  tx: Tx,
  clock: Clock,
  args: {
    workspaceId: string;
    workerId: string;
    attemptIds: readonly string[];
    claimLeaseMs: number;
    poll: PollNumber;
  },
): Promise<AssignedAttempt[]> {
  const { generation, seq } = args.poll;
  const raws = await rows<RawAssigned>(
    tx,
    sql`with a as (
        update attempt c set lease_expires_at = ${after(clock, args.claimLeaseMs)},
          told_generation = greatest(c.told_generation, ${generation}::bigint),
          told_seq = case when c.told_generation > ${generation}::bigint then c.told_seq
            when c.told_generation = ${generation}::bigint then greatest(c.told_seq, ${seq}::bigint)
            else ${seq}::bigint end
        where c.id = any(${textArray(args.attemptIds)}::uuid[]) and c.workspace_id = ${args.workspaceId}
          and c.worker_id = ${args.workerId} and (c.state = ${ATTEMPT.to} or c.hook_until is not null and c.ended_at is null)
          and c.started_at is null
        returning ${CLAIMED}, c.workspace_id, c.hook_until
      )
      select ${assignedColumns(clock)}, ${HOOK_REASON}
      from a join run r on r.workspace_id = a.workspace_id and r.id = a.run_id
      join deployment_version v on v.id = r.version_id`,
  );
  return raws.map(assigned);
}

/**
 * Stores a claim from before the database went back, under the fence that its worker names. Primary key.
 * @returns null if the attempt has changed since.
 */
export async function takeBackAttempt(
  tx: Tx,
  clock: Clock,
  args: { held: AttemptRow; worker: WorkerScope; fence: Fence; claimLeaseMs: number },
): Promise<AttemptRow | null> {
  const { held, worker, fence } = args;
  const slot = {
    worker: sql`${worker.workerId}`,
    name: sql`(select w.name from worker w where w.workspace_id = ${held.workspaceId} and w.id = ${worker.workerId})`,
    generation: sql`${worker.generation}`,
    seq: sql`0`,
  };
  const [raw] = await rows<RawRow>(
    tx,
    sql`update attempt c set epoch = ${fence.epoch}, nonce = ${fence.nonce}, ${claimedBy(clock, args.claimLeaseMs, slot)}
      where c.workspace_id = ${held.workspaceId} and c.id = ${held.id}
        and (c.state in ${ATTEMPT.from} or c.state = ${ATTEMPT.to})
        and c.started_at is null and c.epoch < ${fence.epoch}
      returning ${columns(attempt, "c")}`,
  );
  return raw === undefined ? null : rowOf(attempt, raw);
}
