import { expect } from "vitest";
import { sql } from "#sql";
import type { TestEnv } from "./test-env.fixture.ts";

/** Resolves when this many statements of the test's database wait for a lock. */
export async function untilBlocked({ deps }: Pick<TestEnv, "deps">, statements: number = 1): Promise<void> {
  const blocked = async () => {
    const [row] = await deps.database.db.execute<{ count: number }>(sql`select count(*)::int as count
      from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`);
    return row?.count;
  };
  await expect.poll(blocked, { interval: 5, timeout: 60_000 }).toBe(statements);
}
