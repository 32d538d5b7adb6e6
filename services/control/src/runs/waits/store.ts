import {
  type AskedWait,
  type Cause,
  type Json,
  type OverWait,
  overWaitChars,
  type RunState,
  type WaitState,
} from "@towpath/contract";
import { type SQL, sql } from "#sql";
import {
  type Clock,
  columns,
  now,
  type Queryable,
  type RawRow,
  rowOf,
  rows,
  type Tx,
  textArray,
  type Which,
} from "../../kernel/index.ts";
import type { RunName } from "../history/find.ts";
import { runIsLimited } from "../moves/run-columns.ts";
import { type WaitRow, wait } from "../table.ts";

/** The order of locks of several waits. With one order, transactions cannot deadlock. */
export const LOCK_ORDER = sql`w.run_id, w.created_at, w.path`;

const waitsOf = (raws: readonly RawRow[]) => raws.map((raw) => rowOf(wait, raw));

/** The waits of a run, open and settled, in order, after a given one. Null states or kinds: all. Unique index of wait. */
export async function listWaitRows(
  from: Queryable,
  args: RunName & {
    states: readonly WaitState[] | null;
    kinds: readonly WaitRow["kind"][] | null;
    order: "oldest" | "newest";
    after: { readonly createdAt: string; readonly path: string } | null;
    limit: number;
  },
): Promise<WaitRow[]> {
  const state = args.states === null ? sql`` : sql`and w.state = any(${textArray(args.states)}::text[])`;
  const kind = args.kinds === null ? sql`` : sql`and w.kind = any(${textArray(args.kinds)}::text[])`;
  const isOldest = args.order === "oldest";
  const past = isOldest ? sql`>` : sql`<`;
  const direction = isOldest ? sql`asc` : sql`desc`;
  const after =
    args.after === null
      ? sql``
      : sql`and (w.created_at, w.path) ${past} (${args.after.createdAt}::timestamptz, ${args.after.path})`;
  return waitsOf(
    await rows<RawRow>(
      from,
      sql`select ${columns(wait, "w")} from wait w
        where w.workspace_id = ${args.workspaceId} and w.run_id = ${args.runId} ${state} ${kind} ${after}
        order by w.created_at ${direction}, w.path ${direction} limit ${args.limit}`,
    ),
  );
}

/** A wait that does not exist yet. */
export interface NewWait extends RunName {
  readonly id: string;
  readonly path: string;
  readonly asked: AskedWait;
}

/**
 * Inserts an open wait, unless its id exists: a repeated call finds the wait of the first one. The caller holds the lock of the
 * run's attempt, so no other call asks for the same path.
 */
export async function insertWait(tx: Tx, clock: Clock, args: NewWait): Promise<void> {
  const { asked } = args;
  const event = asked.kind === "event" ? asked : null;
  const input = asked.kind === "input" ? asked : null;
  const schema = (input ?? event)?.schema;
  const deadlineMs = "deadlineMs" in asked ? (asked.deadlineMs ?? null) : null;
  await rows(
    tx,
    sql`insert into wait (workspace_id, id, run_id, deployment, path, kind, state, satisfy_at, deadline_at, event_name,
        event_key, title, schema, who, child_run_id, created_at)
      select r.workspace_id, ${args.id}::uuid, r.id, r.deployment, ${args.path}, ${asked.kind}, 'open',
        coalesce(${asked.kind === "until" ? asked.at : null}::timestamptz,
          n.now + make_interval(secs => ${asked.kind === "for" ? asked.ms / 1000 : null}::float8)),
        n.now + make_interval(secs => ${deadlineMs === null ? null : deadlineMs / 1000}::float8),
        ${event?.name ?? null}, ${event?.key ?? null}, ${input?.title ?? null},
        ${schema === undefined ? null : JSON.stringify(schema)}::json, ${input?.who ?? null},
        ${asked.kind === "run" ? asked.runId : null}::uuid, n.now
      from run r, (select date_trunc('milliseconds', ${now(clock)}) as now) n
      where r.workspace_id = ${args.workspaceId} and r.id = ${args.runId}
      on conflict do nothing`,
  );
}

/** A wait, with how far its times are, milliseconds: negative once they are over. */
export interface WaitNow extends WaitRow {
  readonly inMs: number | null;
  readonly leftMs: number | null;
}

async function waitNow(
  from: Queryable,
  clock: Clock,
  args: RunName & { waitId: string; lock: SQL },
): Promise<WaitNow | null> {
  const until = (column: SQL) => sql`extract(epoch from ${column} - ${now(clock)})::float8 * 1000`;
  const [raw] = await rows<RawRow & { in_ms: number | null; left_ms: number | null }>(
    from,
    sql`select ${columns(wait, "w")}, ${until(sql`w.satisfy_at`)} as in_ms, ${until(sql`w.deadline_at`)} as left_ms
      from wait w
      where w.workspace_id = ${args.workspaceId} and w.id = ${args.waitId} and w.run_id = ${args.runId} ${args.lock}`,
  );
  return raw === undefined ? null : { ...rowOf(wait, raw), inMs: raw.in_ms, leftMs: raw.left_ms };
}

/** A wait of a run by its id. Primary key. */
export function findWaitNow(
  from: Queryable,
  clock: Clock,
  args: RunName & { waitId: string },
): Promise<WaitNow | null> {
  return waitNow(from, clock, { ...args, lock: sql`` });
}

/** As `findWaitNow`, locked. A caller that also needs the lock of its run takes that one first. */
export function lockWait(tx: Tx, clock: Clock, args: RunName & { waitId: string }): Promise<WaitNow | null> {
  return waitNow(tx, clock, { ...args, lock: sql`for update` });
}

/**
 * The settled waits of a run, by id, for an attempt that begins. Only waits whose answer is short and in their own row. Unique
 * index of wait.
 */
export function listOverWaits(
  from: Queryable,
  args: RunName & { after: string; limit: number },
): Promise<OverWait[]> {
  return rows<OverWait>(
    from,
    sql`select w.id as "waitId", w.state, case w.state when 'satisfied' then w.answer end as answer,
        case w.state when 'satisfied' then w.answered_by end as "answeredBy"
      from wait w
      where w.workspace_id = ${args.workspaceId} and w.run_id = ${args.runId} and w.id > ${args.after}::uuid
        and w.state in ('satisfied', 'expired') and w.kind in ('for', 'until', 'event', 'input')
        and (w.answer is null or length(w.answer::text) <= ${overWaitChars})
      order by w.id limit ${args.limit}`,
  );
}

/** How many waits a run has had, counted up to `max`. */
export async function countWaits(tx: Tx, args: RunName & { max: number }): Promise<number> {
  const [found] = await rows<{ count: number }>(
    tx,
    sql`select count(*)::int as count from (
      select 1 from wait where workspace_id = ${args.workspaceId} and run_id = ${args.runId} limit ${args.max}) counted`,
  );
  return found?.count ?? 0;
}

/** Stores which attempt waits for the answer of a wait. Null: the attempt has received it. */
export async function saveAsker(
  tx: Tx,
  args: { workspaceId: string; waitId: string; attemptId: string | null },
): Promise<void> {
  await rows(
    tx,
    sql`update wait set asked_by = ${args.attemptId}::uuid where workspace_id = ${args.workspaceId} and id = ${args.waitId}`,
  );
}

/**
 * Moves the open ones of these waits to one state. An answer that is stored already stays. A wait that was satisfied before its
 * deadline does not expire, even if it was satisfied after the caller read it.
 * @returns the waits that were settled
 */
export async function settleRows(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; waitIds: readonly string[]; to: WaitState },
): Promise<WaitRow[]> {
  const still = args.to === "expired" ? sql`and not coalesce(w.satisfy_at <= w.deadline_at, false)` : sql``;
  return waitsOf(
    await rows<RawRow>(
      tx,
      sql`with mine as (
          select w.id from wait w
          where w.workspace_id = ${args.workspaceId} and w.id = any(${textArray(args.waitIds)}::uuid[])
          order by ${LOCK_ORDER} for update
        )
        update wait w set state = ${args.to}, settled_at = ${now(clock)}
        where w.workspace_id = ${args.workspaceId} and w.id = any(array(select id from mine)) and w.state = 'open' ${still}
        returning ${columns(wait, "w")}`,
    ),
  );
}

/** Stores an answer on an open wait. The wait is then due at once. The caller holds its lock. */
export async function noteAnswer(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; waitId: string; answer: Json; answeredBy: string; eventId: string | null },
): Promise<void> {
  await rows(
    tx,
    sql`update wait set satisfy_at = ${now(clock)}, answer = ${JSON.stringify(args.answer)}::json,
        answered_by = ${args.answeredBy}, event_id = ${args.eventId}::uuid
      where workspace_id = ${args.workspaceId} and id = ${args.waitId} and state = 'open'`,
  );
}

/** The most waits that one round of the periodic job settles. */
export const WAITS_BATCH = 200;

/** When a wait is to be looked at, as SQL over a row `w` of wait: the expression of index wait_due. */
const dueOf = sql`least(w.satisfy_at, w.deadline_at)`;
const isTimed = sql`w.state = 'open' and (w.satisfy_at is not null or w.deadline_at is not null)`;

/** Milliseconds until the first wait is due, or null. Index wait_due. */
export function untilWaitDue(clock: Clock, among: Which["among"]): SQL {
  return sql`select extract(epoch from ${dueOf} - ${now(clock)}) * 1000 from wait w
    where ${isTimed} and ${among(waitColumns)} order by ${dueOf} limit 1`;
}

const waitColumns = { workspaceId: sql`w.workspace_id`, id: sql`w.id` } as const;

/** A wait whose time has come. */
export interface DueWait {
  readonly workspaceId: string;
  readonly id: string;
  /** Its run. */
  readonly subjectId: string;
  /** Whether what it waits for came no later than its deadline. */
  readonly satisfied: boolean;
}

/** Waits whose time has come, first due first, without locks. Index wait_due. */
export function listDueWaits(from: Queryable, clock: Clock, which: Which): Promise<DueWait[]> {
  return rows<DueWait>(from, dueWaits(clock, which));
}

/** The statement of `listDueWaits`, for tests of its plan. */
export function dueWaits(clock: Clock, which: Which): SQL {
  return sql`select w.workspace_id as "workspaceId", w.run_id as "subjectId", w.id,
      w.satisfy_at is not null and w.satisfy_at <= coalesce(w.deadline_at, w.satisfy_at) as satisfied
    from wait w where ${isTimed} and ${dueOf} <= ${now(clock)} and ${which.among(waitColumns)}
    order by ${dueOf} limit ${which.limit}`;
}

/** A run whose wait settles. */
export interface WaitingRun {
  readonly workspaceId: string;
  readonly id: string;
  readonly state: RunState;
  /** Of one that is being cancelled: the cause of the cancellation. Null: a person's request. */
  readonly cancelCause: Cause | null;
  readonly createdAt: string;
  readonly limited: boolean;
  /** Who holds its attempt now. */
  readonly workerId: string | null;
}

/** Locks live runs in the order of their ids, and reads what their continuation needs. Primary key, attempt_one_active. */
export function lockWaiting(
  tx: Tx,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<WaitingRun[]> {
  return rows<WaitingRun>(
    tx,
    sql`select r.workspace_id as "workspaceId", r.id, r.state, r.cancel_cause as "cancelCause", r.created_at as "createdAt", ${runIsLimited} as limited,
        (select a.worker_id from attempt a where a.workspace_id = r.workspace_id and a.run_id = r.id
          and a.lease_expires_at is not null and a.ended_at is null) as "workerId"
      from run r where r.workspace_id = ${args.workspaceId} and r.id = any(${textArray(args.runIds)}::uuid[])
      order by r.id for update of r`,
  );
}
