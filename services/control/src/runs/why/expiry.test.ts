import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { getDeployment } from "../../deployments/index.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { getRun } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

test("a run that waits says when its version expires and, later, that it has expired", async () => {
  const at = (seconds: number) => new Date(testEnv.clock.nowMs() + seconds * 1000).toISOString();
  const expiresAt = at(90);
  const tenancy = await openTenancy(testEnv, { issuedAt: at(0), expiresAt });
  const scheduledAt = at(200);
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request({ scheduledAt }));
  const why = async () => (await getRun(testEnv.deps, tenancy.scope, { runId: id })).why;
  expect(await why()).toBe(`It is scheduled for ${scheduledAt}.`);
  await testEnv.pass(70_000);
  expect(await why()).toContain(
    `Version 1 of "flow" expires at ${expiresAt}. Workers refuse the run after that`,
  );
  await testEnv.pass(25_000);
  expect(await why()).toMatch(/^Version 1 of "flow" expired at .*, so workers refuse it\. Cancel the run/);
  const { workspaceId } = tenancy.scope;
  const { latest } = await getDeployment(testEnv.deps.database.db, { workspaceId, name: "flow" });
  expect(latest.expiresAt).toBe(expiresAt);
});

test("a run whose version never expires, or not soon, says nothing of it", async () => {
  const tenancy = await openTenancy(testEnv, { expiresAt: null });
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  expect((await getRun(testEnv.deps, tenancy.scope, { runId: id })).why).not.toContain("expire");
});
