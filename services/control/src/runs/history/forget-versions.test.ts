import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { openTenancy, openTestEnv, START_MS, type TestEnv } from "../../test-env.fixture.ts";
import { createRun } from "../index.ts";
import { cancelRun } from "../requests/requests.ts";
import { archivePeriodicJob, forgetVersionsPeriodicJob } from "./periodic-jobs.ts";

const DAY_MS = 24 * 3_600_000;

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase(), { historyRetentionMs: 30 * DAY_MS });
});
afterAll(() => testEnv.close());

test("old versions are deleted unless a live run, a run in history or an open job needs them, or they are the latest", async () => {
  const tenancy = await openTenancy(testEnv);
  const { sql } = testEnv.deps.database;
  const { workspaceId } = tenancy.scope;
  const live = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  await tenancy.deploy("flow", { version: 2 });
  const past = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  await cancelRun(testEnv.deps, tenancy.scope, { runId: past.id, reason: "" });
  await tenancy.deploy("flow", { version: 3 });
  await tenancy.deploy("flow", { version: 4 });
  await sql`insert into job (workspace_id, id, run_id, pool_id, deployment, version_id, version, name, state, intended_by, retries, cancels, created_at)
    select workspace_id, gen_random_uuid(), gen_random_uuid(), pool_id, 'flow', id, 4, 'spark', 'intended', gen_random_uuid(), 0, false, now()
    from deployment_version where workspace_id = ${workspaceId} and version = 4`;
  await tenancy.deploy("flow", { version: 5 });
  await tenancy.deploy("flow", { version: 6 });
  await testEnv.pass(testEnv.deps.config.archiveAfterMs + 1_000);
  await archivePeriodicJob.runOnce(testEnv.deps);
  const long = new Date(START_MS - 40 * DAY_MS);
  // The latest version replaced the fifth only now: people may still look at runs of it.
  await sql`update deployment_version set registered_at = ${long} where workspace_id = ${workspaceId} and version < 6`;
  await sql`update deployment_version set registered_at = ${new Date(START_MS)} where workspace_id = ${workspaceId} and version = 6`;
  const versions = async () =>
    (
      await sql<{ version: number }[]>`
        select version from deployment_version where workspace_id = ${workspaceId} order by version`
    ).map(({ version }) => version);
  await forgetVersionsPeriodicJob.runOnce(testEnv.deps);
  expect(await versions()).toEqual([1, 2, 4, 5, 6]);

  await sql`update deployment_version set registered_at = ${long} where workspace_id = ${workspaceId}`;
  await cancelRun(testEnv.deps, tenancy.scope, { runId: live.id, reason: "" });
  await sql`delete from job where workspace_id = ${workspaceId}`;
  await sql`delete from run where workspace_id = ${workspaceId}`;
  await sql`delete from run_history where workspace_id = ${workspaceId}`;
  await forgetVersionsPeriodicJob.runOnce(testEnv.deps);
  expect(await versions()).toEqual([6]);
});
