import { Name, PgDialect, SQL, StringChunk, sql } from "#sql";
import type { Queryable } from "./database.ts";

const dialect = new PgDialect();

/**
 * As a selected column: the statement's transaction commits without waiting for the disk. Only for facts that were
 * promised to nobody and that a crash may undo.
 */
export const UNHURRIED = sql`set_config('synchronous_commit', 'off', true)`;

/**
 * Resolves once every earlier commit of any connection is on disk. The log is written in order, and this commit waits
 * for its own position.
 */
export async function reachDisk(from: Queryable): Promise<void> {
  await prepared(from, sql`select pg_logical_emit_message(true, 'towpath', '')`);
}

/** A statement for the server: its text with `$1`, `$2`…, and their values. */
interface Written {
  sql: string;
  params: unknown[];
}

/**
 * Runs a statement of fixed text as a prepared one: the server parses it once per connection, and it takes one round
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
 * Renders a statement of text, names and plain values without drizzle's renderer, which takes as long as the database
 * needs for the statement. Any other statement goes to that renderer.
 */
function write(query: SQL): Written {
  const written: Written = { sql: "", params: [] };
  return append(written, query) ? written : dialect.sqlToQuery(query);
}

/** @returns false if only drizzle's renderer can render the statement. */
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

/** Whether a value is sent unchanged. */
function isPlain(value: unknown): boolean {
  return (
    value === null || ["string", "number", "boolean"].includes(typeof value) || value instanceof Uint8Array
  );
}

/** A Postgres array literal, for parameters cast to `text[]` or `uuid[]`. Null stays null. */
export function textArray(values: readonly (string | null)[]): string {
  const quoted = values.map((value) =>
    value === null ? "null" : `"${value.replace(/\\/g, "\\\\").replace(/"/g, '\\"')}"`,
  );
  return `{${quoted.join(",")}}`;
}

/** A Postgres array literal of numbers, for parameters cast to `bigint[]` or `integer[]`. */
export function numberArray(values: readonly (number | null)[]): string {
  return `{${values.map((value) => value ?? "null").join(",")}}`;
}
