import { sql } from "#sql";
import { type Clock, now } from "./clock.ts";
import type { Database, Queryable } from "./database.ts";
import { sqlState } from "./database-errors.ts";
import { rows } from "./statements.ts";

/** How many months are prepared beside the current one. */
const MONTHS_AHEAD = 2;

/** One calendar month in UTC. */
export interface Month {
  /** `y2026m01` */
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
}

function monthAt(year: number, index: number): Month {
  const startMs = Date.UTC(year, index);
  const start = new Date(startMs);
  const month = `${start.getUTCMonth() + 1}`.padStart(2, "0");
  return { name: `y${start.getUTCFullYear()}m${month}`, startMs, endMs: Date.UTC(year, index + 1) };
}

/** The month that holds an instant. */
function monthOf(atMs: number): Month {
  const at = new Date(atMs);
  return monthAt(at.getUTCFullYear(), at.getUTCMonth());
}

/** The month that holds an instant, and the next ones: those that need partitions. */
export function comingMonths(nowMs: number): Month[] {
  const now = new Date(nowMs);
  return Array.from({ length: 1 + MONTHS_AHEAD }, (_, ahead) =>
    monthAt(now.getUTCFullYear(), now.getUTCMonth() + ahead),
  );
}

/** A partition that must exist: rows of `parent` between two bounds. */
export interface Partition {
  readonly parent: string;
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

/** Another process made it first, or its range already has rows in the default partition, where they may stay. */
const HARMLESS_STATES = ["42P07", "23505", "23514"];

/** The statement contains only text of our own code: names and bounds of digits, letters, `_`, `-` and `:`. */
const PLAIN = /^[0-9A-Za-z_:.-]+$/;

/**
 * Makes a partition if it is missing. DDL takes no parameters, so the inserted text is checked.
 * @returns Whether it was made.
 */
export async function makePartition(db: Queryable, args: Partition): Promise<boolean> {
  if (![args.name, args.parent, args.from, args.to].every((part) => PLAIN.test(part))) return false;
  const [found] = await db.execute<{ there: boolean }>(
    sql`select to_regclass(${args.name}) is not null as there`,
  );
  if (found?.there) return false;
  try {
    await db.execute(
      sql`create table ${sql.identifier(args.name)} partition of ${sql.identifier(args.parent)}
        for values from (${sql.raw(`'${args.from}'`)}) to (${sql.raw(`'${args.to}'`)})`,
    );
    return true;
  } catch (error) {
    if (HARMLESS_STATES.includes(sqlState(error) ?? "")) return false;
    throw error;
  }
}

/** How long a drop waits for readers. Every other statement waits behind it, so this must stay short. */
const DROP_WAIT = "2s";

/** A reader uses the partition, or another process drops it. */
const NOT_NOW_STATES = ["55P03", "42P01", "40P01"];

/**
 * The month before which everything has outlived its retention, by the database's clock: a process with a wrong clock
 * must not decide what is deleted.
 */
export async function keptSince(
  from: Queryable,
  clock: Clock,
  args: { retentionMs: number },
): Promise<Month> {
  const [found] = await rows<{ cutoffMs: number }>(
    from,
    sql`select extract(epoch from ${now(clock)} - make_interval(secs => ${args.retentionMs / 1000}))::float8 * 1000
      as "cutoffMs"`,
  );
  return monthOf(found?.cutoffMs ?? 0);
}

/** A partition of a month. */
export interface MonthPartition {
  readonly name: string;
  readonly month: Month;
}

/** The partitions of whole months before one, oldest first. */
export async function listPartitions(
  from: Queryable,
  args: { parent: string; before: Month },
): Promise<MonthPartition[]> {
  const found = await from.execute<{ name: string; startMs: number }>(
    sql`select c.relname as name,
        extract(epoch from to_date(right(c.relname, 7), 'YYYY"m"MM')::timestamp)::float8 * 1000 as "startMs"
      from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = to_regclass(${args.parent}) and c.relname ~ ${`^${args.parent}_y[0-9]{4}m[0-9]{2}$`}
        and c.relname < ${`${args.parent}_${args.before.name}`}
      order by 1`,
  );
  return found.map(({ name, startMs }) => ({ name, month: monthOf(startMs) }));
}

/**
 * Drops the partitions of whole months before one. A drop costs the same for any number of rows.
 * @returns Whether none is left. False if one is in use; the next round tries again.
 */
export async function dropPartitions(
  db: Database["db"],
  args: { parent: string; before: Month },
): Promise<boolean> {
  let done = true;
  for (const { name } of await listPartitions(db, args)) done = (await dropPartition(db, name)) && done;
  return done;
}

/** Drops a partition. @returns Whether it is gone; false when it is in use. */
export async function dropPartition(db: Database["db"], name: string): Promise<boolean> {
  try {
    await db.transaction(async (tx) => {
      await tx.execute(sql`select set_config('lock_timeout', ${DROP_WAIT}, true)`);
      await tx.execute(sql`drop table if exists ${sql.identifier(name)}`);
    });
    return true;
  } catch (error) {
    if (NOT_NOW_STATES.includes(sqlState(error) ?? "")) return false;
    throw error;
  }
}
