import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import postgres, { type Sql } from "postgres";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createEmptyDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { MigrationError, migrate } from "./migrate.ts";

let database: TestDatabase;
let sql: Sql;
let home: string;

beforeEach(async () => {
  database = await createEmptyDatabase();
  sql = postgres(database.url, { max: 3, onnotice: () => {} });
  home = await mkdtemp(join(tmpdir(), "towpath-migrations-"));
});
afterEach(async () => {
  await sql.end({ timeout: 1 });
  await database.drop();
  await rm(home, { recursive: true });
});

/** Writes a release's migrations. @returns their folder. */
async function release(...files: string[]): Promise<URL> {
  const tag = (index: number) => `${String(index).padStart(4, "0")}_step`;
  const entries = files.map((_, index) => ({ idx: index, tag: tag(index), when: 1_000 + index }));
  await mkdir(join(home, "meta"), { recursive: true });
  await writeFile(join(home, "meta/_journal.json"), JSON.stringify({ entries }));
  for (const [index, text] of files.entries()) await writeFile(join(home, `${tag(index)}.sql`), text);
  return pathToFileURL(`${home}/`);
}

/** A log that resolves a promise at its first warning. */
function listener() {
  const waits = Promise.withResolvers<object>();
  return { waits: waits.promise, log: { info: () => {}, warn: (about: object) => waits.resolve(about) } };
}

const applied = async () =>
  (await sql`select created_at::int as at from drizzle.__drizzle_migrations order by 1`).map(({ at }) => at);

const TABLE = "create table item (id int primary key)";

test("a migration that waits for a busy table lets others through, and is applied once the table is free", async () => {
  const first = await release(TABLE);
  await migrate(database.url, { folder: first });
  const folder = await release(TABLE, "alter table item add column name text");
  const { waits, log } = listener();
  let migrating: Promise<void> | undefined;
  await sql.begin(async (busy) => {
    await busy`select from item`;
    migrating = migrate(database.url, { folder, lockTimeoutMs: 50, log });
    expect(await waits).toMatchObject({ migration: "0001_step" });
    // A later reader waits behind the migration for those 50 ms, not until this transaction ends.
    await sql`select from item`;
  });
  await migrating;
  await sql`select name from item`;
  expect(await applied()).toEqual([1000, 1001]);
});

test("each migration is a transaction of its own: earlier ones stay after a failure, which names its migration", async () => {
  const bad = `${TABLE}_2;\n--> statement-breakpoint\nselect 1/0`;
  const folder = await release(TABLE, bad);
  await expect(migrate(database.url, { folder })).rejects.toMatchObject({
    message: "migration 0001_step failed",
    code: expect.any(String),
  });
  await expect(migrate(database.url, { folder })).rejects.toBeInstanceOf(MigrationError);
  expect(await applied()).toEqual([1000]);
  expect(await sql`select to_regclass('item_2') as none`).toEqual([{ none: null }]);
});

test("concurrent processes apply each migration once, with an index that is built beside running transactions", async () => {
  const folder = await release(
    TABLE,
    "-- migration: concurrent\ncreate index concurrently if not exists item_id on item (id)",
  );
  await Promise.all([1, 2, 3, 4].map(() => migrate(database.url, { folder })));
  expect(await applied()).toEqual([1000, 1001]);
  expect(await sql`select indisvalid from pg_index where indexrelid = 'item_id'::regclass`).toEqual([
    { indisvalid: true },
  ]);
});

test("an index whose build was interrupted is built again", async () => {
  await migrate(database.url, { folder: await release(`${TABLE}; alter table item add column n int`) });
  await sql`insert into item select g, 1 from generate_series(1, 2) g`;
  const build = "create unique index concurrently if not exists item_n on item (n)";
  const folder = await release(TABLE, `-- migration: concurrent\n${build}`);
  await expect(migrate(database.url, { folder })).rejects.toMatchObject({ code: "23505" });
  await sql`update item set n = id`;
  await migrate(database.url, { folder });
  expect(await sql`select indisvalid from pg_index where indexrelid = 'item_n'::regclass`).toEqual([
    { indisvalid: true },
  ]);
});

test("an interrupted backfill in batches continues where it was", async () => {
  const first = `${TABLE}; alter table item add column n int;
    create table batch (ids int[]);
    create function note() returns trigger language plpgsql as $$ begin
      if exists (select from gone where id = 7) then raise 'broken off'; end if;
      insert into batch select array_agg(id order by id) from gone; return null; end $$;
    create trigger noted after update on item referencing new table as gone execute function note()`;
  await migrate(database.url, { folder: await release(first) });
  await sql`insert into item (id) select g from generate_series(1, 10) g`;
  const batch = `-- migration: batches
    update item set n = id * 2 where id = any(array(select id from item where n is null order by id limit 3))`;
  const folder = await release(first, batch);
  await expect(migrate(database.url, { folder })).rejects.toMatchObject({
    message: "migration 0001_step failed",
  });
  expect(await sql`select count(*)::int as done from item where n is not null`).toEqual([{ done: 6 }]);
  await sql`create or replace function note() returns trigger language plpgsql as $$ begin
    insert into batch select array_agg(id order by id) from gone; return null; end $$`;
  await migrate(database.url, { folder });
  expect((await sql`select ids from batch where ids is not null`).map(({ ids }) => ids)).toEqual([
    [1, 2, 3],
    [4, 5, 6],
    [7, 8, 9],
    [10],
  ]);
  expect(await applied()).toEqual([1000, 1001]);
});
