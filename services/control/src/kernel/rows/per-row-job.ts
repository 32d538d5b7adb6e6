import { type SQL, sql } from "#sql";
import type { Queryable, Tx } from "../database.ts";
import { isDatabaseFault } from "../database-errors.ts";
import type { Deps, PeriodicJob, Retried } from "../deps.ts";
import { prepared, textArray } from "../prepared.ts";
import { inTransaction } from "../transaction.ts";
import {
  clearRow,
  isSound,
  listRetries,
  type Poisoned,
  postpone,
  type RowColumns,
  type RowName,
  setAside,
  untilRetry,
} from "./poison.ts";

/** A row to be handled. `subjectId` is set if people look at another thing than the row. */
export interface WorkRow extends RowName {
  readonly subjectId?: string | null;
}

/** The rows to find. */
export interface Which {
  readonly limit: number;
  /** The condition for them, as SQL over the columns of the row. */
  among(columns: RowColumns): SQL;
  /** Only looks: locks no row, and skips none that is locked. @default false */
  readonly looks?: boolean;
}

/**
 * The end of a statement that finds rows. Unless it only looks, it locks the rows of a table or alias and skips locked
 * ones.
 */
export function lockedOf({ looks }: Which, table: SQL): SQL {
  return looks === true ? sql`` : sql`for update of ${table} skip locked`;
}

/** The work on rows that come due. */
export interface RowWork<Row extends WorkRow>
  extends Pick<PeriodicJob, "name" | "everyMs" | "restMs" | "wakeOn" | "wakeKey"> {
  /** As of a periodic job; `among` excludes rows that were set aside. */
  nextInMs?(deps: Pick<Deps, "clock" | "config">, among: Which["among"]): SQL;
  /** The most rows of one round. */
  readonly batch: number;
  /**
   * Whether another round follows each round that handled a row, because a handled row may be due again. @default only
   * after a full round
   */
  readonly repeats?: boolean;
  /**
   * How concurrent processes divide the rows.
   * - `locks`: `find` locks its rows and skips locked ones. A round is one transaction.
   * - `claims`: `find` locks nothing, because `act` takes other locks first. A round has a transaction for each tenant.
   * - `claims-each`: as `claims`, with a transaction for each row, because the locks of two rows have no order.
   */
  readonly hold: "locks" | "claims" | "claims-each";
  /** Finds due rows. */
  find(from: Queryable, deps: Deps, which: Which): Promise<Row[]>;
  /** Handles all rows. Handles none if it throws. */
  act(tx: Tx, deps: Deps, rows: readonly Row[]): Promise<void>;
}

/** A periodic job whose rows cannot delay each other. */
export interface PerRowJob extends PeriodicJob {
  readonly retried: Retried;
}

const sound =
  (name: string): Which["among"] =>
  (columns) =>
    isSound(name, columns);

const only =
  (args: { workspaceId: string; ids: readonly string[] }): Which["among"] =>
  ({ workspaceId, id }) =>
    sql`${workspaceId} = ${args.workspaceId} and ${id} = any(${textArray(args.ids)}::uuid[])`;

/**
 * Sets a failed row aside and logs it. Rethrows the error if the database is away, because that is not the fault of the
 * row.
 */
export async function poisoned(deps: Deps, row: Poisoned, error: unknown): Promise<void> {
  if (isDatabaseFault(error)) throw error;
  const { failures, notBefore } = await setAside(deps.database.db, deps.clock, { row, error });
  const { job, workspaceId, id, subjectId } = row;
  const which = { periodicJob: job, workspace: workspaceId, row: id, subject: subjectId };
  deps.log.error(
    { err: error, ...which, failures, notBefore },
    "a row could not be handled and was set aside",
  );
}

const named = (job: string, { workspaceId, id, subjectId }: WorkRow): Poisoned => ({
  job,
  workspaceId,
  id,
  subjectId: subjectId === undefined ? id : subjectId,
});

/** Handles one row at a time, each in a search of its own. A failed row is set aside, so the next search skips it. */
async function oneByOne<Row extends WorkRow>(deps: Deps, work: RowWork<Row>): Promise<number> {
  let handled = 0;
  for (let count = 0; count < work.batch; count++) {
    let row: Row | undefined;
    try {
      await inTransaction(deps, async (tx) => {
        [row] = await work.find(tx, deps, { limit: 1, among: sound(work.name) });
        if (row !== undefined) await work.act(tx, deps, [row]);
      });
      if (row === undefined) return handled;
      handled += 1;
    } catch (error) {
      if (row === undefined) throw error;
      await poisoned(deps, named(work.name, row), error);
    }
  }
  return handled;
}

async function lockedRound<Row extends WorkRow>(deps: Deps, work: RowWork<Row>): Promise<number> {
  const which = { limit: work.batch, among: sound(work.name) };
  try {
    return await inTransaction(deps, async (tx) => {
      const rows = await work.find(tx, deps, which);
      if (rows.length > 0) await work.act(tx, deps, rows);
      return rows.length;
    });
  } catch (error) {
    if (isDatabaseFault(error)) throw error;
    deps.log.warn(
      { err: error, periodicJob: work.name },
      "a batch of rows failed; its rows are handled one by one",
    );
    return oneByOne(deps, work);
  }
}

/** Those of these rows of one tenant that nobody else handles now. The claim ends with the transaction. */
async function claimed(tx: Tx, job: string, rows: readonly RowName[]): Promise<string[]> {
  const found = await prepared<{ id: string }>(
    tx,
    sql`select r.id from unnest(${textArray(rows.map(({ id }) => id))}::text[]) as r (id)
      where pg_try_advisory_xact_lock(hashtextextended(${`${job} ${rows[0]?.workspaceId} `} || r.id, 0))`,
  );
  return found.map(({ id }) => id);
}

/** Claims rows of one tenant, and handles those that are still due. */
async function handleClaimed<Row extends WorkRow>(
  tx: Tx,
  deps: Deps,
  args: { work: RowWork<Row>; rows: readonly RowName[] },
): Promise<number> {
  return handleDue(tx, deps, { ...args, ids: await claimed(tx, args.work.name, args.rows) });
}

async function handleDue<Row extends WorkRow>(
  tx: Tx,
  deps: Deps,
  args: { work: RowWork<Row>; rows: readonly RowName[]; ids: readonly string[] },
): Promise<number> {
  const { work, rows, ids } = args;
  const workspaceId = rows[0]?.workspaceId ?? "";
  const mine =
    ids.length === 0
      ? []
      : await work.find(tx, deps, { limit: ids.length, among: only({ workspaceId, ids }) });
  if (mine.length > 0) await work.act(tx, deps, mine);
  return mine.length;
}

async function claimedRound<Row extends WorkRow>(deps: Deps, work: RowWork<Row>): Promise<number> {
  const rows = await work.find(deps.database.db, deps, { limit: work.batch, among: sound(work.name) });
  const isEach = work.hold === "claims-each";
  const parts = isEach ? rows.map((row) => [row]) : [...Map.groupBy(rows, (row) => row.workspaceId).values()];
  let handled = 0;
  for (const part of parts) {
    try {
      handled += await inTransaction(deps, (tx) => handleClaimed(tx, deps, { work, rows: part }));
    } catch (error) {
      if (isDatabaseFault(error)) throw error;
      handled += await eachClaimed(deps, { work, rows: part });
    }
  }
  return handled;
}

async function eachClaimed<Row extends WorkRow>(
  deps: Deps,
  args: { work: RowWork<Row>; rows: readonly Row[] },
): Promise<number> {
  let handled = 0;
  for (const row of args.rows) {
    try {
      handled += await inTransaction(deps, (tx) => handleClaimed(tx, deps, { work: args.work, rows: [row] }));
    } catch (error) {
      await poisoned(deps, named(args.work.name, row), error);
    }
  }
  return handled;
}

/**
 * Makes a periodic job that handles rows. Each row, or each tenant's rows, commit by themselves where it matters. A row
 * that fails is set aside with a growing pause and shown to people; nothing else waits for it. Several processes may
 * run the job at once: each takes different rows.
 */
export function perRowJob<Row extends WorkRow>(work: RowWork<Row>): PerRowJob {
  const { name, everyMs, restMs, wakeOn, wakeKey, nextInMs } = work;
  return {
    name,
    everyMs,
    ...(restMs !== undefined && { restMs }),
    ...(wakeOn !== undefined && { wakeOn }),
    ...(wakeKey !== undefined && { wakeKey }),
    ...(nextInMs !== undefined && { nextInMs: (deps) => nextInMs(deps, sound(name)) }),
    async runOnce(deps) {
      const handled = await (work.hold === "locks" ? lockedRound(deps, work) : claimedRound(deps, work));
      return { worked: work.repeats === true ? handled > 0 : handled === work.batch };
    },
    retried: { name, retry: (tx, deps, row) => retryRow(tx, deps, { work, row }) },
  };
}

/** As `Retried.retry`. */
async function retryRow<Row extends WorkRow>(
  tx: Tx,
  deps: Deps,
  { work, row }: { work: RowWork<Row>; row: RowName },
): Promise<boolean> {
  if (work.hold !== "locks") {
    const ids = await claimed(tx, work.name, [row]);
    await handleDue(tx, deps, { work, rows: [row], ids });
    return ids.length > 0;
  }
  const which = { limit: 1, among: only({ workspaceId: row.workspaceId, ids: [row.id] }) };
  const found = await work.find(tx, deps, which);
  if (found.length > 0) await work.act(tx, deps, found);
  return found.length > 0 || (await work.find(tx, deps, { ...which, looks: true })).length === 0;
}

/** The most rows that one round retries. */
const RETRY_BATCH = 50;

/**
 * Retries rows of all periodic jobs that were set aside, so that the jobs need not look for them. A row that is gone or
 * no longer due is taken off the list. A row that another process handles is retried a little later. Rows of unknown
 * jobs are left alone: they belong to another release of the control plane.
 */
export function retryPeriodicJob(periodicJobs: readonly PeriodicJob[]): PeriodicJob {
  const byName = new Map(
    periodicJobs.flatMap(({ retried }) => (retried === undefined ? [] : [[retried.name, retried]])),
  );
  const jobs = [...byName.keys()];
  return {
    name: "retry-rows",
    everyMs: 5_000,
    nextInMs: ({ clock }) => untilRetry(clock, jobs),
    async runOnce(deps) {
      const rows = await listRetries(deps.database.db, deps.clock, { jobs, limit: RETRY_BATCH });
      for (const row of rows) await retryOne(deps, { row, by: byName.get(row.job) });
      return { worked: rows.length === RETRY_BATCH };
    },
  };
}

async function retryOne(deps: Deps, args: { row: Poisoned; by: Retried | undefined }): Promise<void> {
  const { row, by } = args;
  try {
    await inTransaction(deps, async (tx) => {
      if ((await claimed(tx, `retry ${row.job}`, [row])).length === 0) return;
      if (by === undefined) return;
      if (await by.retry(tx, deps, row)) await clearRow(tx, row);
      else await postpone(tx, deps.clock, row);
    });
  } catch (error) {
    await poisoned(deps, row, error);
  }
}
