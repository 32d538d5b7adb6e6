import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { openLimitsEnv } from "../slots.fixture.ts";
import { openTestEnv, type TestEnv } from "../test-env.fixture.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const NAMES = ["a", "b", "c", "d", "e", "f"];

test("admission locks limits in one order: while it waits for the first, it holds no other", async () => {
  const env = await openLimitsEnv(testEnv);
  for (const name of NAMES) await env.limit(name, 5);
  await env.tenancy.deploy("all", { limits: NAMES.map((name) => ({ name })) });
  const { sql } = testEnv.deps.database;
  const { workspaceId } = env.tenancy.scope;
  const limits = await sql<{ id: string }[]>`
    select id from slot_limit where workspace_id = ${workspaceId} order by id`;
  const [first = "", ...others] = limits.map(({ id }) => id);
  const waiting = async () => {
    const rows = await sql`select from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`;
    return rows.length;
  };
  for (let round = 0; round < 3; round++) {
    const { asked } = await sql.begin(async (tx) => {
      await tx`select from slot_limit where id = ${first} for update`;
      const running = env.ask({ deployment: "all" });
      await expect.poll(waiting, { timeout: 60_000 }).toBeGreaterThan(0);
      // A lock that it held would fail here at once.
      const free =
        await tx`select id from slot_limit where id = any(${`{${others.join(",")}}`}::uuid[]) for update nowait`;
      expect(free).toHaveLength(NAMES.length - 1);
      return { asked: running };
    });
    expect(await env.states(await asked)).toEqual(["ready"]);
  }
});
