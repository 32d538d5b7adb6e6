import type { SQL } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";
import type { Queryable } from "./database.ts";

const dialect = new PgDialect();

/**
 * Runs a statement of fixed text as a prepared one: the server parses it once per connection, and it costs one round
 * trip instead of two. Lists must therefore be one parameter each (arrays, JSON), never spliced in.
 *
 * The caller states the shape of the rows in `Row`: instants and bigints arrive as text.
 */
export async function prepared<Row extends object>(from: Queryable, query: SQL): Promise<Row[]> {
  const statement = from._.session.prepareQuery<{ execute: Row[]; all: unknown; values: unknown }>(
    dialect.sqlToQuery(query),
    undefined,
    "fixed text",
    false,
  );
  return [...(await statement.execute())];
}
