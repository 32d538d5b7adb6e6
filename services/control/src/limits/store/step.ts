import { sql } from "#sql";
import { type Clock, now, prepared, type Tx, textArray } from "../../kernel/index.ts";
import type { Request } from "../choose.ts";

/** The most requests of one wait list in one step. The next step follows at once. */
export const STEP_MAX = 50;

/** The scope of a step, in one workspace. */
export interface StepScope {
  readonly workspaceId: string;
  /** Attempts that end. Their slots return, and their task runs stop waiting. */
  readonly ended: readonly string[];
  /** Task runs that return their slots or stop waiting. */
  readonly givenBack: readonly { readonly attemptId: string; readonly path: string }[];
  /** Runs that stop waiting. */
  readonly left: readonly string[];
  /** Wait lists that get new requests or are due for a check. */
  readonly waitListIds: readonly string[];
}

const uuids = (ids: readonly string[]) => sql`${textArray(ids)}::uuid[]`;
const backJson = (args: StepScope) => JSON.stringify(args.givenBack);
const BACK = sql.raw(`as b ("attemptId" uuid, path text)`);

/**
 * Locks every limit that the step may change, in the order of their ids: limits whose slots return, limits of the wait
 * lists in the scope, and all limits of wait lists that share one of these. Any change of a limit needs its lock. Take
 * it after the locks of attempts and of the transaction's own runs.
 * @returns each limit, and whether it is of the first two kinds.
 */
export async function lockLimits(tx: Tx, args: StepScope): Promise<{ id: string; touched: boolean }[]> {
  return prepared<{ id: string; touched: boolean }>(
    tx,
    sql`with back as materialized (
        select b."attemptId" as attempt_id, b.path from json_to_recordset(${backJson(args)}::json) ${BACK}
      ), lines as materialized (
        select unnest(${uuids(args.waitListIds)}) as id
        union select line_id from slot_wait w where w.attempt_id = any(${uuids(args.ended)}) and w.workspace_id = ${args.workspaceId}
        union select line_id from slot_wait w join back on w.attempt_id = back.attempt_id and w.path = back.path
          where w.workspace_id = ${args.workspaceId}
        union select line_id from slot_wait w where w.workspace_id = ${args.workspaceId} and w.run_id = any(${uuids(args.left)})
      ), touched as materialized (
        select limit_id from slot s where s.attempt_id = any(${uuids(args.ended)}) and s.workspace_id = ${args.workspaceId}
        union select s.limit_id from slot s join back on s.attempt_id = back.attempt_id and s.path = back.path
          where s.workspace_id = ${args.workspaceId}
        union select m.limit_id from slot_line_limit m join lines on m.line_id = lines.id
      ), near as materialized (
        select distinct m.line_id from slot_line_limit m
        where m.limit_id in (select limit_id from touched)
          and exists (select 1 from slot_wait w where w.line_id = m.line_id)
      ), ids as materialized (
        select limit_id from touched
        union select m.limit_id from slot_line_limit m where m.line_id in (select line_id from near)
      )
      select l.id, l.id in (select limit_id from touched) as touched from slot_limit l
      where l.workspace_id = ${args.workspaceId} and l.id in (select limit_id from ids)
      order by l.id for update`,
  );
}

/**
 * Returns slots of ended attempts and tasks and tokens whose time has come, removes requests that stop waiting, and
 * deletes the marks of the wait lists. The caller holds the limits' locks; a statement of its own sees earlier grants.
 * Each kind of row is found by its own index: one condition with "or" would read all slots and requests.
 */
export async function takeBack(
  tx: Tx,
  clock: Clock,
  args: StepScope & { limitIds: readonly string[] },
): Promise<void> {
  await prepared(
    tx,
    sql`with back as materialized (
        select b."attemptId" as attempt_id, b.path from json_to_recordset(${backJson(args)}::json) ${BACK}
      ), gone as (
        delete from slot where workspace_id = ${args.workspaceId} and ctid = any(array(
          select s.ctid from slot s where s.returns_at is null and s.attempt_id = any(${uuids(args.ended)})
          union select s.ctid from back join slot s on s.attempt_id = back.attempt_id and s.path = back.path
            where s.returns_at is null
          union select s.ctid from slot s where s.limit_id = any(${uuids(args.limitIds)}) and s.returns_at <= ${now(clock)}))
        returning limit_id, amount
      ), left_lines as (
        delete from slot_wait where workspace_id = ${args.workspaceId} and id = any(array(
          select w.id from slot_wait w where w.attempt_id = any(${uuids(args.ended)})
          union select w.id from back join slot_wait w on w.attempt_id = back.attempt_id and w.path = back.path
          union select w.id from slot_wait w where w.workspace_id = ${args.workspaceId} and w.run_id = any(${uuids(args.left)})))
        returning id
      ), looked as (
        delete from slot_look k where k.workspace_id = ${args.workspaceId} and k.line_id = any(${uuids(args.waitListIds)})
      ), sums as (select limit_id, sum(amount)::int as amount from gone group by limit_id)
      update slot_limit l set
        taken = l.taken - coalesce((select amount from sums where sums.limit_id = l.id), 0),
        reserved_by = case when l.reserved_by in (select id from left_lines) then null else l.reserved_by end
      where l.id = any(${uuids(args.limitIds)}) and l.workspace_id = ${args.workspaceId}
        and (l.id in (select limit_id from sums) or l.reserved_by in (select id from left_lines))`,
  );
}

/** The state of a limit for `choose`. */
export interface LimitNow {
  readonly id: string;
  readonly free: number;
  readonly perMs: number | null;
  /** When the next token returns, Unix milliseconds. */
  readonly returnsMs: number | null;
  readonly reserved: (Request & { readonly amount: number }) | null;
}

const ms = (column: string) => sql.raw(`extract(epoch from ${column})::float8 * 1000`);

/** Reads locked limits and the statement's time. */
export async function readLimits(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; limitIds: readonly string[] },
): Promise<{ nowMs: number; limits: LimitNow[] }> {
  const raws = await prepared<LimitNow & { nowMs: number }>(
    tx,
    sql`select l.id, l.slots - l.taken as free, l.per_ms::float8 as "perMs",
        extract(epoch from ${now(clock)}::timestamptz)::float8 * 1000 as "nowMs",
        (select ${ms("min(s.returns_at)")} from slot s
          where s.limit_id = l.id and s.returns_at is not null) as "returnsMs",
        (select json_build_object('id', w.id, 'priority', w.priority, 'dueMs', ${ms("w.due_at")}, 'runId', w.run_id,
            'path', w.path, 'passedMs', ${ms("w.passed_at")}, 'amount', m.amount)
          from slot_wait w join slot_line_limit m on m.line_id = w.line_id and m.limit_id = l.id
          where w.id = l.reserved_by and w.workspace_id = l.workspace_id) as reserved
      from slot_limit l where l.workspace_id = ${args.workspaceId} and l.id = any(${uuids(args.limitIds)})`,
  );
  return { nowMs: raws[0]?.nowMs ?? clock.nowMs(), limits: raws };
}

/** A wait list with its first requests. */
export interface WaitListNow {
  readonly id: string;
  readonly needs: readonly { readonly limitId: string; readonly amount: number }[];
  readonly waits: readonly (Request & { readonly attemptId: string | null })[];
  /** The most requests that were read: as many as its limits have slots for, between 1 and STEP_MAX. */
  readonly cap: number;
  /** When its next check was due, Unix milliseconds. */
  readonly lookMs: number | null;
}

/**
 * Reads wait lists that share a limit with these, or are named, with the first requests of each. Empty ones are
 * returned only if they are named. Indexes slot_line_limit_of, slot_wait_order. With one free slot, as after most ends,
 * it reads one request of each.
 */
export function readWaitLists(
  tx: Tx,
  args: { workspaceId: string; limitIds: readonly string[]; waitListIds: readonly string[] },
): Promise<WaitListNow[]> {
  return prepared<WaitListNow>(
    tx,
    sql`with near as materialized (
        select distinct m.line_id as id from slot_line_limit m where m.limit_id = any(${uuids(args.limitIds)})
          and exists (select 1 from slot_wait w where w.line_id = m.line_id)
        union select unnest(${uuids(args.waitListIds)})
      ), capped as materialized (
        select n.id, greatest(1, least(${STEP_MAX}, (select min((l.slots - l.taken) / m.amount)
          from slot_line_limit m join slot_limit l on l.id = m.limit_id where m.line_id = n.id))) as cap
        from near n
      )
      select n.id, n.cap, ${ms("l.look_at")} as "lookMs",
        coalesce((select json_agg(json_build_object('limitId', m.limit_id, 'amount', m.amount) order by m.limit_id)
          from slot_line_limit m where m.line_id = n.id), '[]') as needs,
        coalesce((select json_agg(json_build_object('id', w.id, 'priority', w.priority, 'dueMs', ${ms("w.due_at")},
            'runId', w.run_id, 'path', w.path, 'passedMs', ${ms("w.passed_at")}, 'attemptId', w.attempt_id))
          from (select * from slot_wait w where w.line_id = n.id
            order by w.priority desc, w.due_at, w.run_id, w.path limit n.cap) w), '[]') as waits
      from capped n join slot_line l on l.id = n.id and l.workspace_id = ${args.workspaceId}`,
  );
}

/** The result of a step, to be written. */
export interface StepOutcome {
  readonly workspaceId: string;
  readonly slots: readonly {
    readonly attemptId: string;
    readonly path: string;
    readonly limitId: string;
    readonly runId: string;
    readonly amount: number;
    readonly perMs: number | null;
  }[];
  /** Requests that leave their wait lists. */
  readonly granted: readonly string[];
  readonly passed: readonly string[];
  readonly entered: readonly {
    readonly id: string;
    readonly waitListId: string;
    readonly runId: string;
    readonly attemptId: string | null;
    readonly path: string;
    readonly priority: number;
    readonly dueMs: number;
    readonly passed: boolean;
  }[];
  /** Limits whose reservation changes or ends. */
  readonly reserved: readonly { readonly limitId: string; readonly by: string | null }[];
  /** When wait lists are next due for a check. Null: when slots of their limits return. */
  readonly looks: readonly { readonly waitListId: string; readonly atMs: number | null }[];
}

/** Writes the result of a step in one statement. The caller holds the limits' locks. */
export async function saveStep(tx: Tx, clock: Clock, args: StepOutcome): Promise<void> {
  const json = (rows: readonly object[]) => sql`json_to_recordset(${JSON.stringify(rows)}::json)`;
  const at = now(clock);
  await prepared(
    tx,
    sql`with went as (
        delete from slot_wait where id = any(${uuids(args.granted)}) and workspace_id = ${args.workspaceId}
      ), passed as (
        update slot_wait set passed_at = ${at} where id = any(${uuids(args.passed)}) and workspace_id = ${args.workspaceId}
      ), entered as (
        insert into slot_wait (id, workspace_id, line_id, run_id, attempt_id, path, priority, due_at, since, passed_at)
        select id, ${args.workspaceId}, "waitListId", "runId", "attemptId", path, priority,
          to_timestamp("dueMs" / 1000), ${at}, case when e.passed then ${at} end
        from ${json(args.entered)} as e (id uuid, "waitListId" uuid, "runId" uuid, "attemptId" uuid, path text,
          priority int, "dueMs" float8, passed boolean)
      ), looked as (
        update slot_line l set look_at = to_timestamp(k."atMs" / 1000)
        from ${json(args.looks)} as k ("waitListId" uuid, "atMs" float8)
        where l.id = k."waitListId" and l.workspace_id = ${args.workspaceId}
          and l.look_at is distinct from to_timestamp(k."atMs" / 1000)
      ), taken as (
        insert into slot (attempt_id, path, limit_id, workspace_id, run_id, amount, taken_at, returns_at)
        select "attemptId", path, "limitId", ${args.workspaceId}, "runId", amount, ${at},
          ${at} + make_interval(secs => "perMs" / 1000)
        from ${json(args.slots)} as s ("attemptId" uuid, path text, "limitId" uuid, "runId" uuid, amount int, "perMs" float8)
        returning limit_id, amount
      ), sums as (
        select limit_id, sum(amount)::int as amount from taken group by limit_id
      ), kept as materialized (
        select * from ${json(args.reserved)} as r ("limitId" uuid, by uuid)
      )
      update slot_limit l set taken = l.taken + coalesce((select amount from sums where sums.limit_id = l.id), 0),
        reserved_by = case when l.id in (select "limitId" from kept)
          then (select by from kept where "limitId" = l.id) else l.reserved_by end
      where l.workspace_id = ${args.workspaceId}
        and l.id in (select limit_id from sums union select "limitId" from kept)`,
  );
}
