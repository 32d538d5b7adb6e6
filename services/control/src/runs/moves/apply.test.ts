import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { inTransaction } from "../../kernel/index.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { createRun } from "../requests/requests.ts";
import { moveRuns } from "./apply.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

test("moves lock runs in the order of their ids: two callers with opposite orders do not deadlock, and one wins", async () => {
  const { deps } = testEnv;
  const { scope, request } = await openTenancy(testEnv);
  const { workspaceId } = scope;
  const ids: string[] = [];
  for (let n = 0; n < 3; n++) ids.push((await createRun(deps, scope, request())).id);
  ids.sort();
  const [first = "", ...others] = ids;
  const cancel = (runIds: string[]) =>
    inTransaction(deps, (tx) =>
      moveRuns(tx, deps.clock, {
        workspaceId,
        moves: runIds.map((id) => ({
          id,
          by: "cancel" as const,
          to: "cancelled" as const,
          cause: "user" as const,
        })),
      }),
    );
  const waiting = async () => {
    const rows = await deps.database.sql`select from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`;
    return rows.length;
  };
  const { callers } = await deps.database.sql.begin(async (tx) => {
    // The callers must read the run again, because it changes while they wait for its lock.
    await tx`update run set name = 'changed' where workspace_id = ${workspaceId} and id = ${first}`;
    const callers = Promise.allSettled([cancel(ids), cancel(ids.toReversed())]);
    await expect.poll(waiting, { timeout: 60_000 }).toBe(2);
    // A lock that a caller held would fail here at once.
    const free =
      await tx`select id from run where id = any(${`{${others.join(",")}}`}::uuid[]) for update nowait`;
    expect(free).toHaveLength(others.length);
    return { callers };
  });
  const [moved, refused] = (await callers).toSorted((one, other) => (one.status < other.status ? -1 : 1));
  expect(moved).toMatchObject({ status: "fulfilled", value: ids.map(() => ({ state: "cancelled" })) });
  expect(refused).toMatchObject({ status: "rejected", reason: { code: "run-transition-not-allowed" } });
});
