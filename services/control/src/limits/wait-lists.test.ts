import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { inTransaction } from "../kernel/index.ts";
import { openLimitsEnv } from "../slots.fixture.ts";
import { openTestEnv, type TestEnv } from "../test-env.fixture.ts";
import { limitsPeriodicJobs } from "./periodic-jobs.ts";
import { selectWaitLists } from "./store/wait-lists.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const forget = () =>
  limitsPeriodicJobs.find(({ name }) => name === "forget-wait-lists")?.runOnce(testEnv.deps);

async function linesOf(workspaceId: string) {
  return testEnv.deps.database.sql<{ key: string; deployment: string; lookAt: Date | null }[]>`
    select key, deployment, look_at as "lookAt" from slot_line where workspace_id = ${workspaceId} order by deployment`;
}

test("an empty wait list is deleted, but not while a request enters it or waits in it", async () => {
  const env = await openLimitsEnv(testEnv);
  const { workspaceId } = env.tenancy.scope;
  await env.limit("flow", 1, { kind: "deployment" });
  const [first, second] = [await env.ask(), await env.ask()];
  expect(await env.states(first, second)).toEqual(["ready", "blocked"]);
  await forget();
  const [line] = await linesOf(workspaceId);
  expect(line).toBeDefined();
  await env.serve();
  await env.serve();
  await env.look();
  await inTransaction(testEnv.deps, async (tx) => {
    await selectWaitLists(tx, { workspaceId, keys: [line?.key ?? ""] });
    await forget();
    expect(await linesOf(workspaceId)).toHaveLength(1);
  });
  await forget();
  expect(await linesOf(workspaceId)).toHaveLength(0);
  const [third, fourth] = [await env.ask(), await env.ask()];
  expect(await env.states(third, fourth)).toEqual(["ready", "blocked"]);
});

test("a deploy marks only the wait lists of its deployment for a check", async () => {
  const env = await openLimitsEnv(testEnv);
  const { workspaceId } = env.tenancy.scope;
  await env.tenancy.deploy("other");
  for (const name of ["flow", "other"]) {
    await env.limit(name, 1, { kind: "deployment" });
    await env.ask({ deployment: name });
    await env.ask({ deployment: name });
  }
  await env.look();
  await testEnv.deps.database.sql`update slot_line set look_at = null where workspace_id = ${workspaceId}`;
  await env.tenancy.deploy("other", { version: 2 });
  expect((await linesOf(workspaceId)).map(({ deployment, lookAt }) => [deployment, lookAt !== null])).toEqual(
    [
      ["flow", false],
      ["other", true],
    ],
  );
});
