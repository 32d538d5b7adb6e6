import { sql } from "#sql";
import { type Clock, now, prepared, type Tx, textArray } from "../../kernel/index.ts";
import type { Request } from "../choose.ts";

/** The most requests of one line that one step looks at. What is left is looked at in the next step, at once. */
export const STEP_MAX = 50;

/** What a step is about: all of one workspace. */
export interface StepScope {
  readonly workspaceId: string;
  /** Attempts that end: their slots return, and their task runs leave the lines. */
  readonly ended: readonly string[];
  /** Task runs that give their slots back, or no longer want them. */
  readonly givenBack: readonly { readonly attemptId: string; readonly path: string }[];
  /** Runs that no longer wait. */
  readonly left: readonly string[];
  /** Lines that somebody enters, or that must be looked at. */
  readonly lineIds: readonly string[];
}

const uuids = (ids: readonly string[]) => sql`${textArray(ids)}::uuid[]`;
const backJson = (args: StepScope) => JSON.stringify(args.givenBack);
const BACK = sql.raw(`as b ("attemptId" uuid, path text)`);

/**
 * Locks, in the order of their ids, every limit that the step may change: those whose slots return, those of the lines
 * that are looked at, and all others of lines that wait for any of these. Whoever changes a limit holds its lock, and
 * takes it after those of attempts and of its own runs.
 * @returns each limit, and whether it is one of the first two sorts.
 */
export async function lockLimits(tx: Tx, args: StepScope): Promise<{ id: string; touched: boolean }[]> {
  return prepared<{ id: string; touched: boolean }>(
    tx,
    sql`with back as materialized (
        select b."attemptId" as attempt_id, b.path from json_to_recordset(${backJson(args)}::json) ${BACK}
      ), lines as materialized (
        select unnest(${uuids(args.lineIds)}) as id
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
 * Takes back slots whose attempts or tasks are over and tokens whose time has come, and takes those who left out of
 * their lines; forgets the notes that the lines are to be looked at, before it is done. The caller holds the limits'
 * locks: a statement of its own, so that it sees what was granted before. Whatever goes is looked up by an index of its own: in
 * one condition with "or" every end would walk all that have slots or wait.
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
        delete from slot_look k where k.workspace_id = ${args.workspaceId} and k.line_id = any(${uuids(args.lineIds)})
      ), sums as (select limit_id, sum(amount)::int as amount from gone group by limit_id)
      update slot_limit l set
        taken = l.taken - coalesce((select amount from sums where sums.limit_id = l.id), 0),
        reserved_by = case when l.reserved_by in (select id from left_lines) then null else l.reserved_by end
      where l.id = any(${uuids(args.limitIds)}) and l.workspace_id = ${args.workspaceId}
        and (l.id in (select limit_id from sums) or l.reserved_by in (select id from left_lines))`,
  );
}

/** A limit as `choose` needs it. */
export interface LimitNow {
  readonly id: string;
  readonly free: number;
  readonly perMs: number | null;
  /** When the next token returns, Unix milliseconds. */
  readonly returnsMs: number | null;
  readonly reserved: (Request & { readonly amount: number }) | null;
}

const ms = (column: string) => sql.raw(`extract(epoch from ${column})::float8 * 1000`);

/** Reads locked limits. The instant is the statement's. */
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

/** A line with the first that wait in it. */
export interface LineNow {
  readonly id: string;
  readonly needs: readonly { readonly limitId: string; readonly amount: number }[];
  readonly waits: readonly (Request & { readonly attemptId: string | null })[];
  /** How many of it were read at most: no more than its limits have room for, one at least, and STEP_MAX at most. */
  readonly cap: number;
  /** When it was to be looked at, Unix milliseconds. */
  readonly lookMs: number | null;
}

/**
 * The lines that share a limit with these, or are named, with the first of each in order. Lines in which nobody waits are
 * told only if they are named. Indexes slot_line_limit_of, slot_wait_order. With one slot free, as it is after most ends,
 * one of each line is read.
 */
export function readLines(
  tx: Tx,
  args: { workspaceId: string; limitIds: readonly string[]; lineIds: readonly string[] },
): Promise<LineNow[]> {
  return prepared<LineNow>(
    tx,
    sql`with near as materialized (
        select distinct m.line_id as id from slot_line_limit m where m.limit_id = any(${uuids(args.limitIds)})
          and exists (select 1 from slot_wait w where w.line_id = m.line_id)
        union select unnest(${uuids(args.lineIds)})
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

/** What a step has decided. */
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
  /** Requests that leave their lines. */
  readonly granted: readonly string[];
  readonly passed: readonly string[];
  readonly entered: readonly {
    readonly id: string;
    readonly lineId: string;
    readonly runId: string;
    readonly attemptId: string | null;
    readonly path: string;
    readonly priority: number;
    readonly dueMs: number;
    readonly passed: boolean;
  }[];
  /** Limits whose reservation is another now, or none. */
  readonly reserved: readonly { readonly limitId: string; readonly by: string | null }[];
  /** When lines must be looked at next; null: when something of theirs returns. */
  readonly looks: readonly { readonly lineId: string; readonly atMs: number | null }[];
}

/** Writes what a step has decided, in one statement. The caller holds the limits' locks. */
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
        select id, ${args.workspaceId}, "lineId", "runId", "attemptId", path, priority,
          to_timestamp("dueMs" / 1000), ${at}, case when e.passed then ${at} end
        from ${json(args.entered)} as e (id uuid, "lineId" uuid, "runId" uuid, "attemptId" uuid, path text,
          priority int, "dueMs" float8, passed boolean)
      ), looked as (
        update slot_line l set look_at = to_timestamp(k."atMs" / 1000)
        from ${json(args.looks)} as k ("lineId" uuid, "atMs" float8)
        where l.id = k."lineId" and l.workspace_id = ${args.workspaceId}
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
