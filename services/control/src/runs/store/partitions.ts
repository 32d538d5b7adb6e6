import { sql } from "drizzle-orm";
import { type Queryable, sqlState } from "../../kernel/index.ts";

/** A partition that should be there: rows of `parent` from one bound to the next. */
export interface Partition {
  readonly parent: string;
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

/** Another process made it first; or its range already has rows in the default partition, where they may stay. */
const HARMLESS_STATES = ["42P07", "23505", "23514"];

/** Only what our own code writes goes into the statement: names and bounds of digits, letters, `_`, `-` and `:`. */
const PLAIN = /^[0-9A-Za-z_:.-]+$/;

/**
 * Makes a partition if it is missing. DDL takes no parameters, hence the check of what is spliced in.
 * @returns Whether it was made.
 */
export async function makePartition(db: Queryable, a: Partition): Promise<boolean> {
  if (![a.name, a.parent, a.from, a.to].every((part) => PLAIN.test(part))) return false;
  const [found] = await db.execute<{ there: boolean }>(
    sql`select to_regclass(${a.name}) is not null as there`,
  );
  if (found?.there) return false;
  try {
    await db.execute(
      sql`create table ${sql.identifier(a.name)} partition of ${sql.identifier(a.parent)}
        for values from (${sql.raw(`'${a.from}'`)}) to (${sql.raw(`'${a.to}'`)})`,
    );
    return true;
  } catch (error) {
    if (HARMLESS_STATES.includes(sqlState(error) ?? "")) return false;
    throw error;
  }
}
