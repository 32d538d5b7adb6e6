import { FINAL_RUN_STATES } from "@towpath/contract";
import { and, desc, eq, getTableColumns, isNull, lt, or, type SQL, sql } from "#sql";
import {
  type Clock,
  lockedOf,
  now,
  type Queryable,
  type Tx,
  textArray,
  type Which,
} from "../../kernel/index.ts";
import { backfill, backfillRun } from "../table.ts";

/** A row of backfill. */
export type BackfillRow = typeof backfill.$inferSelect;

/** The most backfills that one round advances. */
export const BACKFILL_BATCH = 10;

/** The progress of a backfill. */
export interface Progress {
  readonly ended: number;
  readonly failed: number;
}

/** Inserts a backfill unless its id exists. */
export async function insertBackfill(tx: Tx, row: BackfillRow): Promise<boolean> {
  const made = await tx.insert(backfill).values(row).onConflictDoNothing().returning({ id: backfill.id });
  return made.length > 0;
}

/** One backfill, or null. */
export async function selectBackfill(
  from: Queryable,
  args: { workspaceId: string; id: string },
): Promise<BackfillRow | null> {
  const [row] = await from
    .select()
    .from(backfill)
    .where(and(eq(backfill.workspaceId, args.workspaceId), eq(backfill.id, args.id)));
  return row ?? null;
}

/** The final states of runs whose instants `missing-or-failed` runs again. */
const UNDONE = FINAL_RUN_STATES.filter((state) => state !== "completed");

/** Instants of a schedule in a range. */
export interface Range extends Pick<BackfillRow, "workspaceId" | "deployment" | "schedule" | "from" | "to"> {
  readonly scheduleId: string;
}

/** The runs of the schedule and of its backfills in a range. Each is found by its instant. */
function seenRuns(args: Range): SQL {
  const { workspaceId, deployment } = args;
  const inRange = (at: SQL) => sql`${at} >= ${args.from.toISOString()} and ${at} < ${args.to.toISOString()}`;
  return sql`
    select i.at, i.run_id, null::boolean as completed from schedule_instant i
    where i.workspace_id = ${workspaceId} and i.schedule_id = ${args.scheduleId} and ${inRange(sql`i.at`)} and i.run_id is not null
    union all
    select br.at, br.run_id, br.completed from backfill_run br
    join backfill b on b.workspace_id = br.workspace_id and b.id = br.backfill_id
    where b.workspace_id = ${workspaceId} and b.deployment = ${deployment} and b.schedule = ${args.schedule} and ${inRange(sql`br.at`)}`;
}

/** Those runs with their states, live or archived. */
function knownRuns(args: Range): SQL {
  return sql`
    select s.*, coalesce(r.state, h.state) as state, coalesce(r.created_at, h.created_at) as created_at
    from (${seenRuns(args)}) s
    left join run r on r.workspace_id = ${args.workspaceId} and r.id = s.run_id
    left join run_history h on r.id is null and h.workspace_id = ${args.workspaceId} and h.id = s.run_id`;
}

/** The ids of the runs in a range, and when the oldest was created. ISO 8601; null if there is none. */
export async function selectRange(
  from: Queryable,
  args: Range,
): Promise<{ ids: string[]; since: string | null }> {
  const [row] = await from.execute<{ ids: string[] | null; since: string | null }>(sql`
    select json_agg(k.run_id) as ids, to_json(min(k.created_at))#>>'{}' as since from (${knownRuns(args)}) k`);
  return { ids: row?.ids ?? [], since: row?.since ?? null };
}

/** A completed run in history, by which the next page begins. */
type RerunCursor = readonly [createdAt: string, id: string];

/** Runs that reruns have completed or may still complete: the run of each rerun, and the first of its chain. */
export interface RerunPage {
  readonly ids: readonly string[];
  /** Null: there is no further page. */
  readonly next: RerunCursor | null;
}

interface RerunQuery {
  readonly workspaceId: string;
  readonly deployment: string;
  /** ISO 8601. Reruns were created later than the first run. */
  readonly since: string;
}

/** For each rerun, its run and the first run of its chain. */
type RerunIds = readonly (readonly (string | null)[])[] | null;

const idsIn = (pairs: RerunIds | undefined): string[] => (pairs ?? []).flat().filter((id) => id !== null);

const RERUN_IDS = sql`json_agg(json_build_array(trigger->>'runId', trigger->>'origin')) filter (where trigger->>'kind' = 'rerun')`;

/** Those by runs in the live table, which is small. */
export async function selectLiveReruns(from: Queryable, args: RerunQuery): Promise<string[]> {
  const [row] = await from.execute<{ ids: RerunIds }>(sql`
    select ${RERUN_IDS} as ids from run
    where workspace_id = ${args.workspaceId} and deployment = ${args.deployment} and created_at >= ${args.since}
      and state <> all(${textArray(UNDONE)}::text[])`);
  return idsIn(row?.ids);
}

/** Those by runs in history, among so many completed runs, newest first. Index run_history_deployment. */
export async function selectPastReruns(
  from: Queryable,
  args: RerunQuery & { before: RerunCursor | null; limit: number },
): Promise<RerunPage> {
  const [at, id] = args.before ?? [null, null];
  const [row] = await from.execute<{ ids: RerunIds; runs: number; last: RerunCursor | null }>(sql`
    with page as (
      select created_at, id, trigger from run_history
      where workspace_id = ${args.workspaceId} and deployment = ${args.deployment} and state = 'completed'
        and created_at >= ${args.since}
        and (${at}::timestamptz is null or (created_at, id) < (${at}::timestamptz, ${id}::uuid))
      order by created_at desc, id desc limit ${args.limit})
    select ${RERUN_IDS} as ids, count(*)::int as runs,
      (select json_build_array(created_at, id) from page order by created_at, id limit 1) as last
    from page`);
  const next = (row?.runs ?? 0) < args.limit ? null : (row?.last ?? null);
  return { ids: idsIn(row?.ids), next };
}

/** What `only` leaves out. */
export interface Covering extends Range {
  readonly only: "missing" | "missing-or-failed";
  /** Runs of the range that reruns have done. For `missing`, which leaves out all runs: none. */
  readonly rerun: readonly string[];
}

/** The statement of `selectCovered`. */
export function coveredInstants(args: Covering): SQL {
  const isCovered =
    args.only === "missing"
      ? sql`k.state is not null or k.completed is not null`
      : sql`k.completed or k.state <> all(${textArray(UNDONE)}::text[]) or k.run_id = any(${textArray(args.rerun)}::uuid[])`;
  return sql`select distinct (extract(epoch from k.at) * 1000)::bigint::text as ms from (${knownRuns(args)}) k where ${isCovered}`;
}

/**
 * The instants of a range that `only` leaves out, because the schedule or a backfill has run them. Unix times in
 * milliseconds. It reads the runs of the range alone.
 */
export async function selectCovered(from: Queryable, args: Covering): Promise<number[]> {
  const rows = await from.execute<{ ms: string }>(coveredInstants(args));
  return rows.map(({ ms }) => Number(ms));
}

/** The running backfills of a schedule. Index backfill_running. */
export function selectRunning(
  from: Queryable,
  args: Pick<BackfillRow, "workspaceId" | "deployment" | "schedule">,
): Promise<BackfillRow[]> {
  return from
    .select()
    .from(backfill)
    .where(
      and(
        eq(backfill.workspaceId, args.workspaceId),
        eq(backfill.deployment, args.deployment),
        eq(backfill.schedule, args.schedule),
        eq(backfill.state, "running"),
      ),
    );
}

/** A running backfill of a deployment, or null. Small: quotas limit backfills that run. */
export async function selectRunningOf(
  from: Queryable,
  args: Pick<BackfillRow, "workspaceId" | "deployment">,
): Promise<BackfillRow | null> {
  const [row] = await from
    .select()
    .from(backfill)
    .where(
      and(
        eq(backfill.workspaceId, args.workspaceId),
        eq(backfill.deployment, args.deployment),
        eq(backfill.state, "running"),
      ),
    )
    .limit(1);
  return row ?? null;
}

/** Records the end of a run that is about to be deleted, in the backfills that have not recorded it. Index backfill_run_open. */
export async function noteEnd(
  tx: Tx,
  args: { workspaceId: string; runId: string; completed: boolean },
): Promise<void> {
  await tx
    .update(backfillRun)
    .set({ completed: args.completed })
    .where(
      and(
        eq(backfillRun.workspaceId, args.workspaceId),
        eq(backfillRun.runId, args.runId),
        isNull(backfillRun.completed),
      ),
    );
}

/** One backfill, locked. */
export async function lockBackfill(
  tx: Tx,
  args: { workspaceId: string; id: string },
): Promise<BackfillRow | null> {
  const [row] = await tx
    .select()
    .from(backfill)
    .where(and(eq(backfill.workspaceId, args.workspaceId), eq(backfill.id, args.id)))
    .for("update");
  return row ?? null;
}

/**
 * A backfill as a list shows it. `skips` has up to 10,000 instants, so it is read only for a row of an earlier release,
 * which has no `firstInstants`.
 */
export interface ListedBackfill extends Omit<BackfillRow, "skips"> {
  readonly skips: readonly number[] | null;
}

const { skips: _, ...LISTED } = getTableColumns(backfill);

/** Backfills, newest first, one more than a page. Index backfill_newest. */
export function selectBackfills(
  from: Queryable,
  args: {
    workspaceId: string;
    deployment: string | null;
    before: readonly [string, string] | null;
    limit: number;
  },
): Promise<ListedBackfill[]> {
  const [at, id] = args.before ?? [null, ""];
  const createdAt = at === null ? null : new Date(at);
  const before =
    createdAt === null
      ? undefined
      : or(lt(backfill.createdAt, createdAt), and(eq(backfill.createdAt, createdAt), lt(backfill.id, id)));
  const skips = sql<
    readonly number[] | null
  >`case when ${backfill.firstInstants} is null then ${backfill.skips} end`;
  return from
    .select({ ...LISTED, skips })
    .from(backfill)
    .where(
      and(
        eq(backfill.workspaceId, args.workspaceId),
        args.deployment === null ? undefined : eq(backfill.deployment, args.deployment),
        before,
      ),
    )
    .orderBy(desc(backfill.createdAt), desc(backfill.id))
    .limit(args.limit + 1);
}

/** The progress of backfills, by id. */
export async function readProgress(
  from: Queryable,
  args: { workspaceId: string; ids: readonly string[] },
): Promise<Map<string, Progress>> {
  if (args.ids.length === 0) return new Map();
  const rows = await from
    .select({
      id: backfillRun.backfillId,
      ended: sql<number>`count(${backfillRun.completed})::int`,
      failed: sql<number>`(count(*) filter (where not ${backfillRun.completed}))::int`,
    })
    .from(backfillRun)
    .where(
      and(eq(backfillRun.workspaceId, args.workspaceId), sql`${backfillRun.backfillId} in ${[...args.ids]}`),
    )
    .groupBy(backfillRun.backfillId);
  return new Map(rows.map(({ id, ended, failed }) => [id, { ended, failed }]));
}

/** Whether a backfill has runs that have ended, in the live table or outside it, but are not recorded as ended. */
const hasChanges = sql`exists (select 1 from backfill_run br
  left join run r on r.workspace_id = br.workspace_id and r.id = br.run_id
  where br.backfill_id = b.id and br.completed is null and (r.id is null or r.ended_at is not null))`;

const hasRoom = sql`b.created < b.instants and b.concurrency >
  (select count(*) from backfill_run br where br.backfill_id = b.id and br.completed is null)`;

const isOver = sql`b.created = b.instants
  and not exists (select 1 from backfill_run br where br.backfill_id = b.id and br.completed is null)`;

const backfillColumns = { workspaceId: sql`b.workspace_id`, id: sql`b.id` } as const;

/** 0 if a backfill can advance, else null: only the end of a run lets it advance. Index backfill_running. */
export function untilBackfillMoves(among: Which["among"]): SQL {
  return sql`select 0 from backfill b where b.state = 'running' and ${among(backfillColumns)} and (${hasChanges} or ${hasRoom} or ${isOver}) limit 1`;
}

/** Locks backfills of all workspaces that can advance. Skips those that another process has locked. */
export async function lockMovable(from: Queryable, which: Which): Promise<BackfillRow[]> {
  const ids = await from.execute<{ id: string; workspaceId: string }>(sql`
    select b.id, b.workspace_id as "workspaceId" from backfill b
    where b.state = 'running' and ${which.among(backfillColumns)} and (${hasChanges} or ${hasRoom} or ${isOver})
    order by b.id limit ${which.limit} ${lockedOf(which, sql`b`)}`);
  const rows: BackfillRow[] = [];
  for (const one of ids) {
    const row = await selectBackfill(from, one);
    if (row !== null) rows.push(row);
  }
  return rows;
}

/**
 * Records which runs of a backfill have ended. A run that exists nowhere was deleted long after its end; it does not
 * count as completed, because its outcome is unknown.
 */
export async function noteEnds(tx: Tx, args: { workspaceId: string; id: string }): Promise<void> {
  await tx.execute(sql`
    update backfill_run br set completed = coalesce(e.state, 'forgotten') = 'completed'
    from (
      select o.at, coalesce(r.state, h.state) as state
      from backfill_run o
      left join run r on r.workspace_id = o.workspace_id and r.id = o.run_id
      left join run_history h on r.id is null and h.workspace_id = o.workspace_id and h.id = o.run_id
      where o.backfill_id = ${args.id} and o.workspace_id = ${args.workspaceId} and o.completed is null
        and (r.id is null or r.ended_at is not null)
    ) e
    where br.backfill_id = ${args.id} and br.workspace_id = ${args.workspaceId} and br.at = e.at`);
}

/** The runs of a backfill that are not recorded as ended. */
export async function selectOpen(
  from: Queryable,
  args: { workspaceId: string; id: string },
): Promise<string[]> {
  const rows = await from
    .select({ runId: backfillRun.runId })
    .from(backfillRun)
    .where(
      and(
        eq(backfillRun.workspaceId, args.workspaceId),
        eq(backfillRun.backfillId, args.id),
        isNull(backfillRun.completed),
      ),
    );
  return rows.map((row) => row.runId);
}

/** Records a run of a backfill when it is created. */
export async function insertBackfillRun(tx: Tx, row: typeof backfillRun.$inferInsert): Promise<void> {
  await tx.insert(backfillRun).values(row);
}

/** Changes a backfill that the caller has locked. */
export async function updateBackfill(
  tx: Tx,
  args: { workspaceId: string; id: string; set: Partial<BackfillRow> },
): Promise<void> {
  await tx
    .update(backfill)
    .set(args.set)
    .where(and(eq(backfill.workspaceId, args.workspaceId), eq(backfill.id, args.id)));
}

/**
 * Deletes backfills that ended longer ago than `retentionMs` with the record of their runs, at most `limit`. Index
 * backfill_ended. @returns how many.
 */
export async function forgetBackfills(
  tx: Tx,
  args: { clock: Clock; retentionMs: number; limit: number },
): Promise<number> {
  const old = await tx.execute<{ id: string }>(sql`
    select id from backfill where ended_at < ${now(args.clock)} - make_interval(secs => ${args.retentionMs / 1000})
    order by ended_at limit ${args.limit} for update skip locked`);
  const ids = textArray(old.map(({ id }) => id));
  await tx.execute(sql`delete from backfill_run where backfill_id = any(${ids}::uuid[])`);
  await tx.execute(sql`delete from backfill where id = any(${ids}::uuid[])`);
  return old.length;
}
