import { type Delivery, type Json, type Notice, RUN_TRANSITIONS, type RunState } from "@towpath/contract";
import { and, asc, eq, gt, inArray, type SQL, sql } from "#sql";
import {
  type Clock,
  now,
  numberArray,
  type Queryable,
  type Tx,
  textArray,
  type Which,
} from "../kernel/index.ts";
import { notifier, notifierDelivery } from "./table.ts";

/** A row of notifier. */
export type NotifierRow = typeof notifier.$inferSelect;

/** A row of notifier_delivery, with the name of its notifier. */
export interface DeliveryRow extends Omit<typeof notifierDelivery.$inferSelect, "notice" | "waitId"> {
  readonly notifier: string;
}

/** States of a run that has not started, whatever it waits for. */
const UNBEGUN: readonly RunState[] = RUN_TRANSITIONS.expire.from;

/** The database's time, or the test's. */
export async function readNow(from: Queryable, clock: Clock): Promise<Date> {
  const [row] = await from.execute<{ at: string }>(sql`select ${now(clock)} as at`);
  return new Date(row?.at ?? 0);
}

/** Inserts a notifier unless one of this name exists. The first notifier of a workspace starts at the end of the feed. */
export async function insertNotifier(tx: Tx, row: NotifierRow): Promise<boolean> {
  await tx.execute(sql`update notifier_feed set position = (select last_position from change_feed)
    where not exists (select 1 from notifier)`);
  const made = await tx.insert(notifier).values(row).onConflictDoNothing().returning({ id: notifier.id });
  return made.length > 0;
}

/** One notifier by its name. */
export async function selectNotifier(
  from: Queryable,
  args: { workspaceId: string; name: string },
): Promise<NotifierRow | null> {
  const [row] = await from
    .select()
    .from(notifier)
    .where(and(eq(notifier.workspaceId, args.workspaceId), eq(notifier.name, args.name)));
  return row ?? null;
}

/** Notifiers by name, one more than a page. */
export function selectNotifiers(
  from: Queryable,
  args: { workspaceId: string; after: string | null; limit: number },
): Promise<NotifierRow[]> {
  const after = args.after === null ? undefined : gt(notifier.name, args.after);
  return from
    .select()
    .from(notifier)
    .where(and(eq(notifier.workspaceId, args.workspaceId), after))
    .orderBy(asc(notifier.name))
    .limit(args.limit + 1);
}

/** Deletes a notifier with its deliveries. */
export async function deleteNotifierRow(
  tx: Tx,
  args: { workspaceId: string; name: string },
): Promise<string | null> {
  const [gone] = await tx
    .delete(notifier)
    .where(and(eq(notifier.workspaceId, args.workspaceId), eq(notifier.name, args.name)))
    .returning({ id: notifier.id });
  return gone?.id ?? null;
}

const COLUMNS = sql`d.id, d.workspace_id as "workspaceId", d.notifier_id as "notifierId", h.name as notifier, d.event,
  d.run_id as "runId", d.state, d.tries, d.next_at as "nextAt", d.status, d.failure, d.created_at as "createdAt"`;

/** Raw statements return instants as text. */
type RawDelivery = Omit<DeliveryRow, "nextAt" | "createdAt"> & {
  readonly nextAt: string | null;
  readonly createdAt: string;
} & Record<string, unknown>;

function deliveryOf(raw: RawDelivery): DeliveryRow {
  return {
    ...raw,
    nextAt: raw.nextAt === null ? null : new Date(raw.nextAt),
    createdAt: new Date(raw.createdAt),
  };
}

/** Deliveries of a workspace or of one notifier, newest first, one more than a page. */
export async function selectDeliveries(
  from: Queryable,
  args: {
    workspaceId: string;
    notifierId: string | null;
    before: readonly [string, string] | null;
    limit: number;
  },
): Promise<DeliveryRow[]> {
  const [at, id] = args.before ?? [null, null];
  const found = await from.execute<RawDelivery>(sql`
    select ${COLUMNS} from notifier_delivery d join notifier h on h.id = d.notifier_id
    where d.workspace_id = ${args.workspaceId} and (${args.notifierId}::uuid is null or d.notifier_id = ${args.notifierId}::uuid)
      and (${at}::timestamptz is null or (d.created_at, d.id) < (${at}::timestamptz, ${id}::uuid))
    order by d.created_at desc, d.id desc limit ${args.limit + 1}`);
  return found.map(deliveryOf);
}

/** The latest delivery of each of these notifiers. */
export async function selectLatest(
  from: Queryable,
  args: { workspaceId: string; notifierIds: readonly string[] },
): Promise<DeliveryRow[]> {
  const found = await from.execute<RawDelivery>(sql`
    select ${COLUMNS} from unnest(${textArray(args.notifierIds)}::uuid[]) as one (id)
      join notifier h on h.id = one.id and h.workspace_id = ${args.workspaceId}
      cross join lateral (select * from notifier_delivery where notifier_id = h.id order by created_at desc, id desc limit 1) d`);
  return found.map(deliveryOf);
}

/** Inserts deliveries, one per notifier, event, run and question. Existing ones stay as they are. @returns how many are new. */
export async function insertDeliveries(
  tx: Queryable,
  rows: readonly (typeof notifierDelivery.$inferInsert)[],
): Promise<number> {
  if (rows.length === 0) return 0;
  const made = await tx
    .insert(notifierDelivery)
    .values([...rows])
    .onConflictDoNothing()
    .returning({ id: notifierDelivery.id });
  return made.length;
}

/** Those of these workspaces that have a deployment whose latest run failed. */
export async function selectFailing(tx: Tx, workspaceIds: readonly string[]): Promise<string[]> {
  const found = await tx.execute<{ id: string }>(sql`
    select distinct workspace_id as id from notifier_standing
    where workspace_id = any(${textArray(workspaceIds)}::uuid[])`);
  return found.map(({ id }) => id);
}

/** Notifiers of these workspaces. */
export function selectNotifiersOf(tx: Tx, workspaceIds: readonly string[]): Promise<NotifierRow[]> {
  return tx
    .select()
    .from(notifier)
    .where(inArray(notifier.workspaceId, [...workspaceIds]));
}

/** The names of these workspaces. */
export async function selectWorkspaceNames(
  from: Queryable,
  workspaceIds: readonly string[],
): Promise<Map<string, string>> {
  const found = await from.execute<{ id: string; name: string }>(
    sql`select id, name from workspace where id = any(${textArray(workspaceIds)}::uuid[])`,
  );
  return new Map(found.map(({ id, name }) => [id, name]));
}

/** Records that a deployment's latest run failed. */
export async function setFailing(
  tx: Tx,
  args: { workspaceId: string; deployment: string; runId: string },
): Promise<void> {
  await tx.execute(sql`
    insert into notifier_standing (workspace_id, deployment, failed_run_id)
    values (${args.workspaceId}, ${args.deployment}, ${args.runId})
    on conflict (workspace_id, deployment) do update set failed_run_id = excluded.failed_run_id`);
}

/** Records that a deployment's latest run succeeded. @returns whether the one before had failed. */
export async function setSucceeding(
  tx: Tx,
  args: { workspaceId: string; deployment: string },
): Promise<boolean> {
  const gone = await tx.execute(sql`
    delete from notifier_standing where workspace_id = ${args.workspaceId} and deployment = ${args.deployment} returning 1`);
  return gone.length > 0;
}

/** A run that has not started in time, and the notifiers that have not reported it. */
export interface LateRun extends Record<string, unknown> {
  readonly workspaceId: string;
  readonly id: string;
  readonly notifierIds: readonly string[];
}

/** Late runs that some notifier has not reported. The live table is small. */
export async function selectLate(from: Queryable, clock: Clock, which: Which): Promise<LateRun[]> {
  return from.execute<LateRun>(sql`
    select r.workspace_id as "workspaceId", r.id, json_agg(h.id::text) as "notifierIds"
    from notifier h join run r on r.workspace_id = h.workspace_id and (h.deployment is null or h.deployment = r.deployment)
    where 'late' = any(h.events) and r.started_at is null and r.ended_at is null
      and r.state = any(${textArray(UNBEGUN)}::text[]) and r.created_at >= h.created_at
      and r.due_at < ${now(clock)} - make_interval(secs => h.late_after_ms / 1000.0)
      and not exists (select 1 from notifier_delivery d where d.notifier_id = h.id and d.event = 'late' and d.run_id = r.id)
      and ${which.among({ workspaceId: sql`r.workspace_id`, id: sql`r.id` })}
    group by r.workspace_id, r.id, r.due_at order by r.due_at limit ${which.limit}`);
}

/** Questions that are older than this are not reported. Otherwise one that outlives its delivery would be reported again. */
const QUESTION_AGE_MAX_DAYS = 7;

/** An open question, and the notifiers that have not reported it. */
export interface UnreportedQuestion extends Record<string, unknown> {
  readonly workspaceId: string;
  readonly id: string;
  /** Its run. */
  readonly subjectId: string;
  readonly title: string;
  readonly schema: { readonly [key: string]: Json };
  readonly who: "operator" | "developer" | "admin";
  readonly askedAt: string;
  readonly deadlineAt: string | null;
  readonly notifierIds: readonly string[];
}

/**
 * Open questions that some notifier has not reported, oldest first. The question of a run that is gone is left out:
 * nothing would record it, so each round would find it again. Indexes wait_open, notifier_delivery_once_each.
 */
export async function selectQuestions(
  from: Queryable,
  clock: Clock,
  which: Which,
): Promise<UnreportedQuestion[]> {
  return from.execute<UnreportedQuestion>(sql`
    select w.workspace_id as "workspaceId", w.id, w.run_id as "subjectId", w.title, w.schema, w.who,
      w.created_at as "askedAt", w.deadline_at as "deadlineAt", json_agg(h.id::text) as "notifierIds"
    from notifier h join wait w on w.workspace_id = h.workspace_id and (h.deployment is null or h.deployment = w.deployment)
      join run r on r.workspace_id = w.workspace_id and r.id = w.run_id
    where 'question' = any(h.events) and w.kind = 'input' and w.state = 'open' and w.created_at >= h.created_at
      and w.created_at > ${now(clock)} - make_interval(days => ${QUESTION_AGE_MAX_DAYS})
      and not exists (select 1 from notifier_delivery d where d.notifier_id = h.id and d.event = 'question'
        and d.run_id = w.run_id and d.wait_id = w.id)
      and ${which.among({ workspaceId: sql`w.workspace_id`, id: sql`w.id` })}
    group by w.workspace_id, w.id order by w.created_at limit ${which.limit}`);
}

/** A delivery to be tried now. */
export interface DueRow extends Record<string, unknown> {
  readonly id: string;
  readonly workspaceId: string;
  readonly notifierId: string;
  readonly tries: number;
  readonly notice: Notice;
  readonly kind: NotifierRow["kind"];
  readonly url: string;
  readonly secret: string;
}

/** Which due deliveries are taken. */
export interface Taking {
  readonly limit: number;
  readonly leaseMs: number;
  /** The most open deliveries of one workspace. */
  readonly share: number;
  /** The number of open deliveries, by workspace. */
  readonly inFlight: ReadonlyMap<string, number>;
}

/**
 * Whether a delivery does not have to wait for an earlier one: a failure and a recovery of one deployment reach a
 * notifier in their order. After 4 failed tries, which take 36 minutes, a delivery no longer delays later ones. Index
 * notifier_delivery_order, whose predicate needs the 4 as a literal: about 4 pages per delivery in a backlog of 100,000.
 */
const inOrder = sql`(d.event not in ('failure', 'recovery') or not exists (
  select 1 from notifier_delivery e
  where e.workspace_id = d.workspace_id and e.notifier_id = d.notifier_id
    and e.notice -> 'run' ->> 'deployment' = d.notice -> 'run' ->> 'deployment'
    and e.event = case d.event when 'failure' then 'recovery' else 'failure' end
    and (e.created_at, e.id) < (d.created_at, d.id)
    and e.next_at is not null and e.event in ('failure', 'recovery') and e.tries <= 4))`;

/**
 * Takes due deliveries, the first of each workspace before the second of any. Each is due again after `leaseMs`, in
 * case its sender dies. It steps over index notifier_delivery_waiting by workspace, so the cost depends on the number
 * of workspaces, not of deliveries.
 */
export function takeDue(to: Queryable, clock: Clock, args: Taking): Promise<DueRow[]> {
  return to.execute<DueRow>(takingDue(clock, args));
}

/** The statement of `takeDue`. */
export function takingDue(clock: Clock, args: Taking): SQL {
  const [busy, counts] = [[...args.inFlight.keys()], [...args.inFlight.values()]];
  const waiting = sql`select workspace_id from notifier_delivery where next_at is not null`;
  return sql`
    with recursive w (id) as (
      (${waiting} order by workspace_id limit 1)
      union all
      select (${waiting} and workspace_id > w.id order by workspace_id limit 1) from w where w.id is not null
    ), picked as (
      select one.id from w
        left join unnest(${textArray(busy)}::uuid[], ${numberArray(counts)}::int[]) as b (id, count) on b.id = w.id
        cross join lateral (
          select due.id, due.next_at, row_number() over (order by due.next_at) + coalesce(b.count, 0) as nth from (
            select d.id, d.next_at from notifier_delivery d
            where d.workspace_id = w.id and d.next_at <= ${now(clock)} and ${inOrder}
            order by d.next_at limit greatest(0, ${args.share}::int - coalesce(b.count, 0))) due) one
      where w.id is not null order by one.nth, one.next_at limit ${args.limit})
    ${take(clock, { leaseMs: args.leaseMs, ids: sql`select id from picked`, due: sql`next_at <= ${now(clock)}` })}`;
}

/** Takes one delivery, due or not. */
export async function takeOne(
  to: Queryable,
  clock: Clock,
  args: { leaseMs: number; id: string },
): Promise<DueRow | null> {
  const ids = sql`select ${args.id}::uuid`;
  const [row] = await to.execute<DueRow>(take(clock, { ids, leaseMs: args.leaseMs, due: sql`true` }));
  return row ?? null;
}

function take(clock: Clock, args: { ids: SQL; due: SQL; leaseMs: number }): SQL {
  return sql`update notifier_delivery d set tries = d.tries + 1, next_at = ${now(clock)} + make_interval(secs => ${args.leaseMs / 1000}::float8)
    from notifier h
    where h.id = d.notifier_id and d.id = any(array(
      select id from notifier_delivery
      where id in (${args.ids}) and next_at is not null and ${args.due} for update skip locked))
    returning d.id, d.workspace_id as "workspaceId", d.notifier_id as "notifierId", d.tries, d.notice, h.kind, h.url, h.secret`;
}

/** The result of a try. */
export interface Outcome {
  readonly id: string;
  /** The number of the try. The result of an older try is ignored. */
  readonly tries: number;
  readonly state: Delivery["state"];
  readonly status: number | null;
  readonly failure: string | null;
  /** The time until the next try. Null if there is none. */
  readonly againMs: number | null;
}

/** Records the result of a try, unless a later try has begun. */
export async function markTried(tx: Tx, clock: Clock, args: Outcome): Promise<void> {
  const seconds = args.againMs === null ? null : args.againMs / 1000;
  await tx.execute(sql`
    update notifier_delivery set state = ${args.state}, status = ${args.status}, failure = ${args.failure},
      next_at = ${now(clock)} + make_interval(secs => ${seconds}::float8)
    where id = ${args.id} and tries = ${args.tries} and state = 'waiting'`);
}

/** Deletes finished deliveries that are older than this. @returns how many. */
export async function forgetDeliveries(
  to: Queryable,
  clock: Clock,
  args: { olderThanMs: number; limit: number },
): Promise<number> {
  const gone = await to.execute(sql`
    delete from notifier_delivery where id = any(array(
      select id from notifier_delivery
      where next_at is null and created_at < ${now(clock)} - make_interval(secs => ${args.olderThanMs / 1000}::float8)
      limit ${args.limit})) returning 1`);
  return gone.length;
}

/** Milliseconds until a delivery is due. Uses index notifier_delivery_due (next_at) where next_at is not null. */
export function untilDue(clock: Clock): SQL {
  return sql`select extract(epoch from d.next_at - ${now(clock)}) * 1000 from notifier_delivery d
    where d.next_at is not null and ${inOrder} order by d.next_at limit 1`;
}
