import postgres from "postgres";
import { expect, test } from "vitest";
import { createEmptyDatabase } from "./postgres.ts";

test("each test database is its own and is gone after it is dropped", async () => {
  const [first, second] = await Promise.all([createEmptyDatabase(), createEmptyDatabase()]);
  const sql = postgres(first.url, { max: 1 });
  const other = postgres(second.url, { max: 1 });
  await sql`create table barge (id int)`;
  const [seen] = await other`select to_regclass('barge') as found`;
  expect(seen).toEqual({ found: null });
  await other.end();
  await sql.end();
  await Promise.all([first.drop(), second.drop()]);
  await expect(postgres(first.url, { max: 1 })`select 1`).rejects.toMatchObject({ code: "3D000" });
});
