import { and, asc, desc, eq, gt, inArray, lt, or, type SQL, sql } from "#sql";
import {
  type Clock,
  isPlain,
  type Month,
  now,
  type Queryable,
  type Tx,
  type Which,
} from "../kernel/index.ts";
import { isRunKept } from "../runs/index.ts";
import { schedule, scheduleInstant } from "./table.ts";

/** A row of schedule. */
export type ScheduleRow = typeof schedule.$inferSelect;
/** A row of schedule_instant: the decision about an instant, or a stretch of instants. */
export type InstantRow = typeof scheduleInstant.$inferSelect;

/** The most schedules that one round decides. */
export const DUE_BATCH = 50;

/** The schedule of a deployment by its name. */
export interface ScheduleName {
  readonly workspaceId: string;
  readonly deployment: string;
  readonly name: string;
}

const named = (args: ScheduleName) =>
  and(
    eq(schedule.workspaceId, args.workspaceId),
    eq(schedule.deployment, args.deployment),
    eq(schedule.name, args.name),
  );

/** The database's time, or the test's, in whole milliseconds. */
export async function readNowMs(from: Queryable, clock: Clock): Promise<number> {
  const [row] = await from.execute<{ ms: string }>(
    sql`select floor(extract(epoch from ${now(clock)}::timestamptz) * 1000)::text as ms`,
  );
  return Number(row?.ms);
}

/** One schedule, or null. */
export async function selectSchedule(from: Queryable, args: ScheduleName): Promise<ScheduleRow | null> {
  const [row] = await from.select().from(schedule).where(named(args));
  return row ?? null;
}

/** One schedule, locked. */
export async function lockSchedule(tx: Tx, args: ScheduleName): Promise<ScheduleRow | null> {
  const [row] = await tx.select().from(schedule).where(named(args)).for("update");
  return row ?? null;
}

/** Schedules by deployment and name, one more than a page. Index schedule_named. */
export function selectSchedules(
  from: Queryable,
  args: {
    workspaceId: string;
    deployment: string | null;
    stage?: string | undefined;
    after: readonly [string, string] | null;
    limit: number;
  },
): Promise<ScheduleRow[]> {
  const [deployment, name] = args.after ?? ["", ""];
  const after = or(
    gt(schedule.deployment, deployment),
    and(eq(schedule.deployment, deployment), gt(schedule.name, name)),
  );
  return from
    .select()
    .from(schedule)
    .where(
      and(
        eq(schedule.workspaceId, args.workspaceId),
        args.deployment === null ? undefined : eq(schedule.deployment, args.deployment),
        args.stage === undefined
          ? undefined
          : sql`split_part(${schedule.deployment}, '@', 2) = ${args.stage}`,
        args.after === null ? undefined : after,
      ),
    )
    .orderBy(asc(schedule.deployment), asc(schedule.name))
    .limit(args.limit + 1);
}

/** The schedules of one deployment, locked. */
export function lockSchedulesOf(
  tx: Tx,
  args: { workspaceId: string; deploymentId: string },
): Promise<ScheduleRow[]> {
  return tx
    .select()
    .from(schedule)
    .where(and(eq(schedule.workspaceId, args.workspaceId), eq(schedule.deploymentId, args.deploymentId)))
    .orderBy(asc(schedule.name))
    .for("update");
}

/** Inserts a schedule. @returns false if one of its name has just been inserted. */
export async function insertSchedule(tx: Tx, row: ScheduleRow): Promise<boolean> {
  const made = await tx.insert(schedule).values(row).onConflictDoNothing().returning({ id: schedule.id });
  return made.length > 0;
}

/** Changes a schedule that the caller has locked. */
export async function updateSchedule(
  tx: Tx,
  args: { workspaceId: string; id: string; set: Partial<ScheduleRow> },
): Promise<ScheduleRow | null> {
  const [row] = await tx
    .update(schedule)
    .set(args.set)
    .where(and(eq(schedule.workspaceId, args.workspaceId), eq(schedule.id, args.id)))
    .returning();
  return row ?? null;
}

/** The state of a schedule after its instants were decided. */
export type Standing = Pick<ScheduleRow, "id" | "cursorAt" | "nextAt" | "waits" | "lastRunId">;

/** Updates schedules of any workspace that the caller has locked. */
export async function moveSchedules(tx: Tx, standings: readonly Standing[]): Promise<void> {
  if (standings.length === 0) return;
  await tx.execute(
    sql`update schedule s set cursor_at = n."cursorAt", next_at = n."nextAt", waits = n.waits, last_run_id = n."lastRunId"
      from json_to_recordset(${JSON.stringify(standings)}::json) as n (id uuid, "cursorAt" timestamptz,
        "nextAt" timestamptz, waits boolean, "lastRunId" uuid)
      where s.id = n.id`,
  );
}

/** Deletes schedules. Their decided instants stay for the retention of history. */
export async function deleteSchedules(
  tx: Tx,
  args: { workspaceId: string; ids: readonly string[] },
): Promise<void> {
  if (args.ids.length === 0) return;
  await tx
    .delete(schedule)
    .where(and(eq(schedule.workspaceId, args.workspaceId), inArray(schedule.id, [...args.ids])));
}

/** Whether the schedule's previous run is open. A run outside the live table has ended. */
const live = sql<boolean>`exists (select 1 from run r where r.workspace_id = ${schedule.workspaceId}
  and r.id = ${schedule.lastRunId} and r.ended_at is null)`;

/** Whether nobody has asked for that run's cancellation. */
const unasked = sql<boolean>`exists (select 1 from run r where r.workspace_id = ${schedule.workspaceId}
  and r.id = ${schedule.lastRunId} and r.ended_at is null and r.cancel_requested_at is null)`;

/** Whether the last run of a schedule is open. Primary key of run. */
export async function isLive(tx: Tx, row: Pick<ScheduleRow, "workspaceId" | "lastRunId">): Promise<boolean> {
  const [found] = await tx.execute<{ live: boolean }>(sql`select exists (select 1 from run r
    where r.workspace_id = ${row.workspaceId} and r.id = ${row.lastRunId}::uuid and r.ended_at is null) as live`);
  return found?.live === true;
}

/** Milliseconds until the first schedule is due, or has stopped waiting. Indexes schedule_due and schedule_waiting. */
export function untilScheduleDue(clock: Clock, among: Which["among"]): SQL {
  const columns = { workspaceId: sql`s.workspace_id`, id: sql`s.id` };
  return sql`select least(
    (select extract(epoch from s.next_at - ${now(clock)}) * 1000 from schedule s
      where s.next_at is not null and not s.waits and ${among(columns)} order by s.next_at limit 1),
    (select 0 from schedule s where s.waits and ${among(columns)} and not exists (select 1 from run r
      where r.workspace_id = s.workspace_id and r.id = s.last_run_id and r.ended_at is null
        and (s.settings ->> 'overlap' <> 'cancel-running' or r.cancel_requested_at is not null)) limit 1))`;
}

/**
 * Locks schedules of all workspaces with undecided instants, first due first. Includes those whose previous run has
 * ended, or must still be cancelled. Skips those that another process has locked.
 */
export function lockUndecided(
  from: Queryable,
  clock: Clock,
  which: Which,
): Promise<(ScheduleRow & { live: boolean })[]> {
  const columns = { workspaceId: sql`${schedule.workspaceId}`, id: sql`${schedule.id}` };
  const due = sql`${schedule.nextAt} <= ${now(clock)} and ${which.among(columns)} and (not ${schedule.waits} or not ${live}
    or (${schedule.settings} ->> 'overlap' = 'cancel-running' and ${unasked}))`;
  const found = from
    .select({ ...rowColumns, live })
    .from(schedule)
    .where(due)
    .orderBy(asc(schedule.nextAt))
    .limit(which.limit);
  return which.looks === true ? found : found.for("update", { skipLocked: true });
}

const rowColumns = {
  id: schedule.id,
  workspaceId: schedule.workspaceId,
  deploymentId: schedule.deploymentId,
  deployment: schedule.deployment,
  name: schedule.name,
  settings: schedule.settings,
  source: schedule.source,
  paused: schedule.paused,
  fault: schedule.fault,
  cursorAt: schedule.cursorAt,
  nextAt: schedule.nextAt,
  waits: schedule.waits,
  lastRunId: schedule.lastRunId,
  createdAt: schedule.createdAt,
  updatedAt: schedule.updatedAt,
};

/** Records decisions. @returns The instants that were not decided before. */
export async function insertInstants(tx: Tx, rows: readonly InstantRow[]): Promise<InstantRow[]> {
  if (rows.length === 0) return [];
  return tx
    .insert(scheduleInstant)
    .values([...rows])
    .onConflictDoNothing()
    .returning();
}

/** Records that a run could not be created after all. */
export async function markSkipped(
  tx: Tx,
  args: Pick<InstantRow, "workspaceId" | "scheduleId" | "at" | "skipped">,
): Promise<void> {
  await tx
    .update(scheduleInstant)
    .set({ runId: null, skipped: args.skipped })
    .where(
      and(
        eq(scheduleInstant.workspaceId, args.workspaceId),
        eq(scheduleInstant.scheduleId, args.scheduleId),
        eq(scheduleInstant.at, args.at),
      ),
    );
}

/** Decisions about instants of a schedule, latest first, one more than a page. */
export function selectInstants(
  from: Queryable,
  args: { workspaceId: string; scheduleId: string; before: Date | null; limit: number },
): Promise<InstantRow[]> {
  return from
    .select()
    .from(scheduleInstant)
    .where(
      and(
        eq(scheduleInstant.workspaceId, args.workspaceId),
        eq(scheduleInstant.scheduleId, args.scheduleId),
        args.before === null ? undefined : lt(scheduleInstant.at, args.before),
      ),
    )
    .orderBy(desc(scheduleInstant.at))
    .limit(args.limit + 1);
}

/**
 * Deletes decisions made before a month, at most `limit`, unless the run is open or ended in or after that month. Index
 * schedule_instant_decided.
 */
export async function forgetInstants(to: Queryable, args: { before: Month; limit: number }): Promise<number> {
  const run = { workspaceId: sql`i.workspace_id`, runId: sql`i.run_id`, since: args.before };
  const gone = await to.execute(sql`
    delete from schedule_instant where ctid = any(array(
      select i.ctid from schedule_instant i
      where i.decided_at < ${new Date(args.before.startMs).toISOString()}::timestamptz and not ${isRunKept(run)}
      order by i.decided_at limit ${args.limit})) returning 1`);
  return gone.length;
}

/** Schedules with readable parameters, as `deployment/schedule`, by name. */
export async function listPlainSchedules(
  from: Queryable,
  args: { workspaceId: string; limit: number },
): Promise<string[]> {
  const rows = await from
    .select({ name: sql<string>`${schedule.deployment} || '/' || ${schedule.name}` })
    .from(schedule)
    .where(
      and(eq(schedule.workspaceId, args.workspaceId), isPlain(sql`(${schedule.settings} -> 'parameters')`)),
    )
    .orderBy(schedule.deployment, schedule.name)
    .limit(args.limit);
  return rows.map(({ name }) => name);
}
