import { type SQL, sql } from "#sql";
import { textArray } from "../arrays.ts";
import { isNobodysFault } from "../away.ts";
import type { Queryable, Tx } from "../database.ts";
import type { Deps, PeriodicJob, Retried } from "../deps.ts";
import { prepared } from "../prepared.ts";
import { inTransaction } from "../transaction.ts";
import {
  isSound,
  listRetries,
  type Poisoned,
  postpone,
  type RowColumns,
  type RowName,
  setAside,
  takeUp,
  untilRetry,
} from "./poison.ts";

/** A row that is to be worked on. Where people look at something else than it, `subjectId` says at what. */
export interface WorkRow extends RowName {
  readonly subjectId?: string | null;
}

/** Which rows are asked for. */
export interface Which {
  readonly limit: number;
  /** The condition that says so, as SQL over the columns of the row. */
  among(columns: RowColumns): SQL;
  /** Only looks: locks no row, and skips none that is locked. @default false */
  readonly looks?: boolean;
}

/** How a statement that finds rows ends: it locks those of a table or alias, and skips what others hold, unless it only looks. */
export function lockedOf({ looks }: Which, table: SQL): SQL {
  return looks === true ? sql`` : sql`for update of ${table} skip locked`;
}

/** Work on rows that come due. */
export interface RowWork<Row extends WorkRow>
  extends Pick<PeriodicJob, "name" | "everyMs" | "restMs" | "wakeOn" | "wakeKey"> {
  /** As of a periodic job; `among` leaves out what was set aside. */
  nextInMs?(deps: Pick<Deps, "clock" | "config">, among: Which["among"]): SQL;
  /** The most rows of one round. */
  readonly batch: number;
  /** Whether another round follows each that handled some: handling a row may make it due again. @default when it was full */
  readonly repeats?: boolean;
  /**
   * How a round claims its share, where several processes run it at once.
   * - `locks`: `find` locks what it finds, and skips what others hold. A round is one transaction.
   * - `claims`: `find` locks nothing, since `act` takes other locks first. A transaction for each tenant of a round.
   * - `claims-each`: as `claims`, with a transaction for each row, since the locks of two rows have no order.
   */
  readonly hold: "locks" | "claims" | "claims-each";
  /** Rows whose turn it is. */
  find(from: Queryable, deps: Deps, which: Which): Promise<Row[]>;
  /** Handles rows, all of them or, by throwing, none. */
  act(tx: Tx, deps: Deps, rows: readonly Row[]): Promise<void>;
}

/** A periodic job whose rows cannot hold each other up. */
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
 * Sets a row aside that could not be handled, and tells the operator. Throws the error on if the database is away: that is
 * no fault of the row.
 */
export async function poisoned(deps: Deps, row: Poisoned, error: unknown): Promise<void> {
  if (isNobodysFault(error)) throw error;
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

/** One row at a time, each found anew: one that fails is set aside, and so not found again. */
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
    if (isNobodysFault(error)) throw error;
    deps.log.warn(
      { err: error, periodicJob: work.name },
      "a batch of rows failed; its rows are handled one by one",
    );
    return oneByOne(deps, work);
  }
}

/** Of these rows of one tenant, those that nobody else works on at this moment. The claim ends with the transaction. */
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
      if (isNobodysFault(error)) throw error;
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
 * Makes a periodic job of work on rows. Each row, or each tenant's, commits by itself where it matters: a row that cannot be handled
 * is set aside with a growing pause, shown where people look for it, and nothing else waits for it. Several processes may
 * run the periodic job at once: each takes other rows.
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

/** The most rows that one round tries again. */
const RETRY_BATCH = 50;

/**
 * Tries rows again that were set aside, of all periodic jobs: so that the periodic jobs themselves need not look for them. A row that is
 * gone, or no longer due, is taken up as well. One that somebody else works on is tried a little later. Rows of other periodic jobs than
 * these are left alone: another release of the control plane has them.
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
      if (await by.retry(tx, deps, row)) await takeUp(tx, row);
      else await postpone(tx, deps.clock, row);
    });
  } catch (error) {
    await poisoned(deps, row, error);
  }
}
