import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { getTableColumns, getTableName, is, PgTable } from "#sql";
import { createTestDatabase, type TestDatabase } from "../../../test/harness/index.ts";
import * as deployments from "./deployments/table.ts";
import * as identity from "./identity/table.ts";
import * as kernel from "./kernel/table.ts";
import * as limits from "./limits/table.ts";
import * as logs from "./logs/table.ts";
import * as notify from "./notify/table.ts";
import * as pools from "./pools/table.ts";
import * as runs from "./runs/table.ts";
import * as schedules from "./schedules/table.ts";

const TABLES = [kernel, identity, pools, deployments, limits, runs, schedules, logs, notify]
  .flatMap((slice): unknown[] => Object.values(slice))
  .filter((value): value is PgTable => is(value, PgTable));

/** The names of types in information_schema where drizzle's differ. */
const TYPE_NAMES: Record<string, string> = { timestamptz: "timestamp with time zone" };

interface Column {
  readonly table: string;
  readonly name: string;
  readonly type: string;
  readonly nullable: boolean;
}

let database: TestDatabase;
let columns: Column[];
beforeAll(async () => {
  database = await createTestDatabase();
  const sql = postgres(database.url, { max: 1 });
  columns = await sql<Column[]>`
    select c.table_name as table, c.column_name as name, c.data_type as type, c.is_nullable = 'YES' as nullable
    from information_schema.columns c
    join pg_class k on k.oid = format('%I.%I', c.table_schema, c.table_name)::regclass
    where c.table_schema = 'public' and not k.relispartition and c.is_generated = 'NEVER'`;
  await sql.end();
});
afterAll(() => database.drop());

function declared(table: PgTable): Column[] {
  return Object.values(getTableColumns(table)).map((column) => {
    const type = column.getSQLType();
    const base = type.endsWith("[]") ? "ARRAY" : type;
    return {
      table: getTableName(table),
      name: column.name,
      nullable: !column.notNull,
      type: TYPE_NAMES[base] ?? base,
    };
  });
}

const byName = (a: Column, b: Column) => (a.name < b.name ? -1 : 1);

describe("the tables that slices declare equal those of the migrations", () => {
  test.each(TABLES.map((table) => [getTableName(table), table] as const))("%s", (name, table) => {
    const made = columns.filter((column) => column.table === name);
    expect(declared(table).sort(byName)).toEqual(made.sort(byName));
  });
});

test("a slice declares every table of the migrations", () => {
  const made = [...new Set(columns.map((column) => column.table))].sort();
  expect(TABLES.map(getTableName).sort()).toEqual(made);
});
