import { Name, PgDialect, SQL, StringChunk, sql } from "#sql";
import type { Queryable } from "./database.ts";

const dialect = new PgDialect();

/**
 * Among what a statement selects: the commit of its transaction, which may be that statement alone, does not wait for the disk.
 * Only for what nobody was promised, and what a crash of the database may take back.
 */
export const UNHURRIED = sql`set_config('synchronous_commit', 'off', true)`;

/**
 * Settles once everything that was committed before, by whichever connection, is on disk: the log is written in order, and this
 * commit waits for its own end of it.
 */
export async function reachDisk(from: Queryable): Promise<void> {
  await prepared(from, sql`select pg_logical_emit_message(true, 'towpath', '')`);
}

/** A statement as the server takes it: its text with `$1`, `$2`…, and their values. */
interface Written {
  sql: string;
  params: unknown[];
}

/**
 * Runs a statement of fixed text as a prepared one: the server parses it once per connection, and it costs one round
 * trip instead of two. Lists must therefore be one parameter each (arrays, JSON), never spliced in.
 *
 * The caller states the shape of the rows in `Row`: instants and bigints arrive as text.
 */
export async function prepared<Row extends object>(from: Queryable, query: SQL): Promise<Row[]> {
  const statement = from._.session.prepareQuery<{ execute: Row[]; all: unknown; values: unknown }>(
    write(query),
    undefined,
    "fixed text",
    false,
  );
  return [...(await statement.execute())];
}

/**
 * The text of a statement, by the short way for what ours are made of (text, names and plain values). The dialect's own
 * writer cost 0.2 ms of a long statement, as much as the database took for it; a thing only it knows goes to it.
 */
function write(query: SQL): Written {
  const written: Written = { sql: "", params: [] };
  return append(written, query) ? written : dialect.sqlToQuery(query);
}

/** @returns false if there is something in it that only the dialect can write. */
function append(to: Written, query: SQL): boolean {
  for (const chunk of query.queryChunks) {
    if (chunk instanceof StringChunk)
      to.sql += chunk.value.length === 1 ? chunk.value[0] : chunk.value.join("");
    else if (chunk instanceof SQL) {
      if (!append(to, chunk)) return false;
    } else if (chunk instanceof Name) to.sql += dialect.escapeName(chunk.value);
    else if (isPlain(chunk)) to.sql += dialect.escapeParam(to.params.push(chunk) - 1);
    else return false;
  }
  return true;
}

/** Whether a value is sent as it is. */
function isPlain(value: unknown): boolean {
  return (
    value === null || ["string", "number", "boolean"].includes(typeof value) || value instanceof Uint8Array
  );
}
