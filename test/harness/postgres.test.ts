import postgres from "postgres";
import { expect, test } from "vitest";
import { createEmptyDatabase, createTestDatabase } from "./postgres.ts";

test("each test database is separate, and drop removes it", async () => {
  const [first, second] = await Promise.all([createEmptyDatabase(), createEmptyDatabase()]);
  const sql = postgres(first.url, { max: 1 });
  const other = postgres(second.url, { max: 1 });
  await sql`create table sample (id int)`;
  const [seen] = await other`select to_regclass('sample') as found`;
  expect(seen).toEqual({ found: null });
  await other.end();
  await sql.end();
  await Promise.all([first.drop(), second.drop()]);
  await expect(postgres(first.url, { max: 1 })`select 1`).rejects.toMatchObject({ code: "3D000" });
});

test("a test database is migrated, even if many files ask for the template at once", async () => {
  const databases = await Promise.all(Array.from({ length: 4 }, () => createTestDatabase()));
  for (const database of databases) {
    const sql = postgres(database.url, { max: 1 });
    const [applied] = await sql`select count(*)::int as n from drizzle.__drizzle_migrations`;
    expect(applied?.n).toBeGreaterThan(0);
    await sql.end();
  }
  await Promise.all(databases.map((database) => database.drop()));
});
