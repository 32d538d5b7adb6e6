import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { createPool } from "../../pools/index.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { getRun } from "../read/read.ts";
import { cancelRun, createRun } from "../requests/requests.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const REASON = 'The secret "db-password" has no value on this worker.';
const RELEASED = { ...records.released, reason: REASON, code: "secret-missing" };
const NEEDED = [
  { name: "token", env: null },
  { name: "db-password", env: null },
];
/** A name of the worker's configuration, and a variable. */
const ALL = ["token", "TOWPATH_SECRET_DB_PASSWORD"];

/** A claimed run whose version lists two secrets. Its worker reports the values of none. */
async function claimed() {
  const tenancy = await openTenancy(testEnv, { secrets: NEEDED });
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const lacking = new FakeWorker(testEnv, await tenancy.worker("lacking"));
  const given = await lacking.take();
  const get = () => getRun(testEnv.deps, tenancy.scope, { runId: id });
  return { tenancy, id, lacking, given, get };
}

/** What a worker has reported, and whether it is away or draining. */
async function report(
  { worker: { workspaceId, workerId } }: FakeWorker,
  args: { secrets: readonly string[] | null; draining?: boolean; awaySeconds?: number },
): Promise<void> {
  const secrets = args.secrets && JSON.stringify(args.secrets);
  await testEnv.deps.database.sql`
    update worker set secrets = ${secrets}::text::jsonb, draining = ${args.draining ?? false},
      last_seen_at = last_seen_at - make_interval(secs => ${args.awaySeconds ?? 0})
    where workspace_id = ${workspaceId} and id = ${workerId}`;
}

const FAILED = { state: "failed", cause: "refused", attempts: 1, error: { message: REASON } };

describe("a run that is released for a missing secret", () => {
  test("fails if no other worker is online, and a repeated report changes nothing", async () => {
    const { lacking, given, get } = await claimed();
    expect(await lacking.report(given, [RELEASED])).toMatchObject({ rejected: [], controlAcked: 1 });
    const ended = await get();
    expect(ended).toMatchObject(FAILED);
    await lacking.report(given, [RELEASED]);
    expect(await get()).toEqual(ended);
  });

  test("goes to a worker that reports all its secrets, after a back-off", async () => {
    const { tenancy, lacking, given, get } = await claimed();
    const other = new FakeWorker(testEnv, await tenancy.worker("other"));
    await report(other, { secrets: ALL });
    await lacking.report(given, [RELEASED]);
    expect(await get()).toMatchObject({ state: "ready", attemptList: [{ releases: 1 }] });
    await testEnv.pass(1_001);
    const again = await other.take();
    await other.report(again, [records.started, records.ended("completed")]);
    expect(await get()).toMatchObject({ state: "completed", attempts: 1 });
  });

  test.each([
    ["reports one of them alone", { secrets: ["token", "TOWPATH_SECRET_DB"] }],
    ["is of an earlier release and reports none", { secrets: null }],
    ["is draining", { secrets: ALL, draining: true }],
    ["is not online", { secrets: ALL, awaySeconds: 3_600 }],
  ])("fails if the other worker %s", async (_, has) => {
    const { tenancy, lacking, given, get } = await claimed();
    await report(new FakeWorker(testEnv, await tenancy.worker("other")), has);
    await lacking.report(given, [RELEASED]);
    expect(await get()).toMatchObject(FAILED);
  });

  test("fails if only its own worker, another pool and another workspace report the secrets", async () => {
    const { tenancy, lacking, given, get } = await claimed();
    const stranger = await openTenancy(testEnv);
    await report(lacking, { secrets: ALL });
    await report(new FakeWorker(testEnv, await stranger.worker()), { secrets: ALL });
    await createPool(testEnv.deps, { scope: tenancy.scope, input: { name: "gpu" } });
    const elsewhere = new FakeWorker(testEnv, await tenancy.worker("elsewhere", {}, "gpu"));
    await report(elsewhere, { secrets: ALL });
    await lacking.report(given, [RELEASED]);
    expect(await get()).toMatchObject(FAILED);
  });

  test("is cancelled if its cancellation was requested before", async () => {
    const { tenancy, id, lacking, given, get } = await claimed();
    await cancelRun(testEnv.deps, tenancy.scope, { runId: id, reason: "" });
    await lacking.report(given, [RELEASED]);
    expect(await get()).toMatchObject({ state: "cancelled" });
  });
});
