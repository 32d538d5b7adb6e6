import type { Limit } from "@towpath/contract";
import { sql } from "#sql";
import { prepared, type Queryable, type Tx, textArray } from "../../kernel/index.ts";

/** Moves waiting runs to the positions of their new priorities. Unique index of slot_wait. */
export async function movePriorities(
  tx: Tx,
  args: { workspaceId: string; priorities: readonly { runId: string; priority: number }[] },
): Promise<void> {
  if (args.priorities.length === 0) return;
  await prepared(
    tx,
    sql`update slot_wait w set priority = p.priority
      from json_to_recordset(${JSON.stringify(args.priorities)}::json) as p ("runId" uuid, priority integer)
      where w.workspace_id = ${args.workspaceId} and w.run_id = p."runId" and w.priority <> p.priority`,
  );
}

/** One limit that a request waits for. */
export interface WaitRow {
  readonly id: string;
  readonly kind: Limit["kind"];
  readonly name: string;
  readonly slots: number;
  readonly perMs: number | null;
  readonly taken: number;
  readonly path: string;
  readonly needs: number;
  readonly position: number;
  readonly waiting: number;
  /** The run ahead of this one that has a reservation of free slots. */
  readonly keptFor: string | null;
  readonly kept: number;
  /** When the next token returns, Unix milliseconds. */
  readonly returnsMs: number | null;
}

/** The largest count of waiting requests. */
const COUNTED_MAX = 1_000;

/** The most limits in one answer: eight for each of a few tasks. */
const WAITS_MAX = 64;

/**
 * The limits for which a run and its task runs wait, those that lack slots first. Unique index of slot_wait,
 * slot_line_limit_of, slot_wait_order.
 */
export function listWaits(from: Queryable, args: { workspaceId: string; runId: string }): Promise<WaitRow[]> {
  const line = sql`from slot_line_limit o join slot_wait v on v.line_id = o.line_id
    where o.limit_id = l.id and v.workspace_id = l.workspace_id`;
  const before = sql`(v.priority > w.priority
    or v.priority = w.priority and (v.due_at, v.run_id, v.path) < (w.due_at, w.run_id, w.path))`;
  return prepared<WaitRow>(
    from,
    sql`select l.id, l.kind, l.name, l.slots, l.per_ms::float8 as "perMs", l.taken, w.path, m.amount as needs,
        1 + (select count(*)::int from (select 1 ${line} and ${before} limit ${COUNTED_MAX}) c) as position,
        (select count(*)::int from (select 1 ${line} limit ${COUNTED_MAX}) c) as waiting,
        k.run_id as "keptFor", coalesce(k.amount, 0) as kept,
        (select extract(epoch from min(s.returns_at))::float8 * 1000 from slot s
          where s.limit_id = l.id and s.returns_at is not null) as "returnsMs"
      from slot_wait w join slot_line_limit m on m.line_id = w.line_id join slot_limit l on l.id = m.limit_id
      left join lateral (
        select v.run_id, o.amount from slot_wait v
          join slot_line_limit o on o.line_id = v.line_id and o.limit_id = l.id
        where v.id = l.reserved_by and v.id <> w.id and ${before}) k on true
      where w.workspace_id = ${args.workspaceId} and w.run_id = ${args.runId} and l.workspace_id = w.workspace_id
      order by l.slots - l.taken - coalesce(k.amount, 0) >= m.amount, l.kind, l.name limit ${WAITS_MAX}`,
  );
}

/** The tries of an attempt's tasks that have their slots. A try with only tokens counts while they are in use. */
export async function heldKeys(
  from: Queryable,
  args: { workspaceId: string; attemptId: string; keys: readonly string[] },
): Promise<string[]> {
  const found = await prepared<{ path: string }>(
    from,
    sql`select distinct path from slot where workspace_id = ${args.workspaceId} and attempt_id = ${args.attemptId}
      and path = any(${textArray(args.keys)}::text[])`,
  );
  return found.map((one) => one.path);
}

/** The tries of an attempt's tasks that wait for slots. */
export async function waitingKeys(
  from: Queryable,
  args: { workspaceId: string; attemptId: string; keys: readonly string[] },
): Promise<string[]> {
  const found = await prepared<{ path: string }>(
    from,
    sql`select path from slot_wait where workspace_id = ${args.workspaceId} and attempt_id = ${args.attemptId}
      and path = any(${textArray(args.keys)}::text[])`,
  );
  return found.map((one) => one.path);
}

/** An edge of the wait graph: a run waits for slots that another run holds, or that it holds itself. */
export interface SlotEdge extends Pick<Limit, "kind" | "name"> {
  readonly limitId: string;
  readonly waiter: string;
  /** The path of the task run that waits. Empty for the run itself. */
  readonly path: string;
  readonly holder: string;
  /** The number of slots with which the request and the holders would all fit. */
  readonly enough: number;
}

/** The holders of slots for which these runs wait, at most `limit`. Tokens have no holder: they return by themselves. */
export function listSlotEdges(
  from: Queryable,
  args: { workspaceId: string; runIds: readonly string[]; limit: number },
): Promise<SlotEdge[]> {
  return prepared<SlotEdge>(
    from,
    sql`select distinct l.id as "limitId", l.kind, l.name, w.run_id as waiter, w.path, s.run_id as holder,
        l.taken + m.amount as enough
      from slot_wait w join slot_line_limit m on m.line_id = w.line_id join slot_limit l on l.id = m.limit_id
        join slot s on s.limit_id = l.id
      where w.workspace_id = ${args.workspaceId} and w.run_id = any(${textArray(args.runIds)}::uuid[])
        and l.workspace_id = w.workspace_id and l.slots - l.taken < m.amount and l.per_ms is null
      limit ${args.limit}`,
  );
}
