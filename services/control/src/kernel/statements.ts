import type { PgColumn, PgTable } from "#sql";
import { getTableColumns, getTableName, type SQL, sql } from "#sql";
import type { Queryable } from "./database.ts";
import { prepared } from "./prepared.ts";

/**
 * Runs a statement of fixed text as a prepared one: the server parses it once per connection, and it takes one round
 * trip instead of two. Lists must therefore be array parameters (`textArray`), never spliced in.
 *
 * The caller states the shape of the rows in `Row`: instants and bigints arrive as text (see `rowOf`).
 */
export function rows<Row extends object>(from: Queryable, query: SQL): Promise<Row[]> {
  return prepared<Row>(from, query);
}

/**
 * Runs a statement that is planned for its parameters, with one more round trip. For filters whose best index depends
 * on their values: a generic plan for a rare state would walk all of history.
 */
export async function rowsPlannedAnew<Row extends object>(from: Queryable, query: SQL): Promise<Row[]> {
  // The caller states the shape, as for `rows`.
  return [...(await from.execute(query))] as Row[];
}

const selections = new Map<string, SQL>();

/** The columns of a table under an alias, for select lists and `returning`. Cached, because hot statements use them. */
export function columns(table: PgTable, alias: string, omit: readonly string[] = []): SQL {
  const name = [getTableName(table), alias, ...omit].join(" ");
  const known = selections.get(name);
  if (known !== undefined) return known;
  const kept = Object.entries(getTableColumns(table)).filter(([key]) => !omit.includes(key));
  const written = sql.raw(kept.map(([, column]) => `"${alias}"."${column.name}"`).join(", "));
  selections.set(name, written);
  return written;
}

/** The columns of a table by their bare names, for insert lists, in the order of `columns`. */
export function columnNames(table: PgTable): SQL {
  return sql.join(
    Object.values(getTableColumns(table)).map((column) => sql.identifier(column.name)),
    sql`, `,
  );
}

/** A row of our own statements, before its columns are decoded. */
export type RawRow = Record<string, unknown>;

const entries = new WeakMap<PgTable, [string, PgColumn][]>();

/** The columns of a table by their names in rows. Cached, because every row uses them. */
function entriesOf(table: PgTable): [string, PgColumn][] {
  const known = entries.get(table) ?? Object.entries<PgColumn>(getTableColumns(table));
  entries.set(table, known);
  return known;
}

/**
 * Decodes the columns of `table` in a row from `rows`. The columns in `omit` are missing in the result, as in
 * `columns`.
 */
export function rowOf<T extends PgTable, Omitted extends keyof T["$inferSelect"] & string = never>(
  table: T,
  raw: RawRow,
  omit: readonly Omitted[] = [],
): Omit<T["$inferSelect"], Omitted> {
  const decoded: Record<string, unknown> = {};
  for (const [key, column] of entriesOf(table)) {
    if (omit.includes(key as Omitted)) continue;
    const value = raw[column.name];
    decoded[key] = value === null || value === undefined ? null : column.mapFromDriverValue(value);
  }
  // Every other column of the table was decoded by its own definition.
  return decoded as Omit<T["$inferSelect"], Omitted>;
}

/** A value for JSON. Bytes get the format of Postgres; a Buffer would serialise itself otherwise. */
function inJson(value: unknown): unknown {
  return value instanceof Uint8Array ? `\\x${Buffer.from(value).toString("hex")}` : value;
}

/**
 * Inserts many rows in one statement. All must have the fields of the first; other columns get their defaults. Rows
 * with an existing key are skipped.
 */
export async function insertAll<T extends PgTable>(
  tx: Queryable,
  table: T,
  list: readonly T["$inferInsert"][],
): Promise<void> {
  const [first] = list;
  if (first === undefined) return;
  const given = Object.entries(getTableColumns(table)).filter(([key]) => key in first);
  const named = list.map((row) =>
    Object.fromEntries(
      given.map(([key, column]) => [column.name, inJson((row as Record<string, unknown>)[key])]),
    ),
  );
  const names = sql.join(
    given.map(([, column]) => sql.identifier(column.name)),
    sql`, `,
  );
  await rows(
    tx,
    sql`insert into ${sql.identifier(getTableName(table))} (${names})
      select ${names} from json_populate_recordset(null::${sql.identifier(getTableName(table))}, ${JSON.stringify(named)}::json)
      on conflict do nothing`,
  );
}

/** Parses an instant of Postgres. */
export function instantOf(text: string): Date {
  return new Date(text);
}

/** Parses an instant of Postgres, or null. */
export function instantOrNull(text: string | null): Date | null {
  return text === null ? null : instantOf(text);
}
