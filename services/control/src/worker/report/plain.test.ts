import { SetLimit } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, type RecordBody, records } from "../../fake-worker.fixture.ts";
import { readChanges } from "../../kernel/index.ts";
import { cancelRun, createRun, getRun, listTaskRuns, setLimit } from "../../runs/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { plainRecord } from "./plain.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const fence = { attemptId: "a", epoch: 1, nonce: "n" };
const completed = records.ended("completed", { exitCode: 0 });

async function claimed(tenancy?: Tenancy) {
  const own = tenancy ?? (await openTenancy(testEnv));
  const { id: runId } = await createRun(testEnv.deps, own.scope, own.request());
  const fakeWorker = new FakeWorker(testEnv, await own.worker(`w${runId}`));
  const given = await fakeWorker.take();
  const detail = () => getRun(testEnv.deps, own.scope, { runId });
  const changes = async () => {
    await testEnv.stamp();
    const { workspaceId } = own.scope;
    const of = { workspaceId, runId, after: 0, limit: 20 };
    return (await readChanges(testEnv.deps.database.db, of)).map(({ kind, data }) => ({ kind, data }));
  };
  return { tenancy: own, runId, fakeWorker, given, detail, changes };
}

describe("a report is plain", () => {
  const is = (control: RecordBody[], bulk: RecordBody[] = []) => {
    const numbered = (list: RecordBody[]) => list.map((record, index) => ({ seq: index + 1, ...record }));
    return plainRecord({ ...fence, control: numbered(control), bulk: numbered(bulk) }, "w") !== null;
  };
  test.each<[string, boolean, RecordBody[], RecordBody[]?]>([
    ["if its attempt starts", true, [records.started]],
    ["if its attempt has completed", true, [completed]],
    ["not if it has both", false, [records.started, completed]],
    ["not if its attempt has failed", false, [records.ended("failed")]],
    ["not if its attempt is suspended", false, [records.ended("suspended", { waits: ["w"] })]],
    ["not if it has log lines", false, [records.started], [records.log(0, ["line"])]],
    ["not if the record cannot be read", false, [{ type: "started" }]],
    ["not if it has another record", false, [records.released]],
    ["not if it is empty", false, []],
  ])("%s", (_, plain, control, bulk) => {
    expect(is(control, bulk)).toBe(plain);
  });
});

test("plain reports have the same result as the same records in a larger report", async () => {
  const [plain, other] = [await claimed(), await claimed()];
  const result = { uri: "s3://bucket/result", codec: "json", sizeBytes: 2, sha256: "ab".repeat(32) };
  const end = records.ended("completed", { exitCode: 3, lastBulkSeq: 0, result });
  await plain.fakeWorker.report(plain.given, [records.started]);
  const answer = await plain.fakeWorker.report(plain.given, [end], { from: 2 });
  const among = await other.fakeWorker.report(other.given, [records.started, end]);
  expect(answer).toEqual({ ...among, attemptId: plain.given.attemptId });
  const rows = async ({ runId, given }: typeof plain) => {
    const found =
      await testEnv.deps.database.db.execute(sql`select to_jsonb(r) - 'id' - 'workspace_id' - 'deployment_id' - 'version_id' - 'pool_id'
      - 'attempt_id' as run, to_jsonb(a) - 'id' - 'workspace_id' - 'run_id' - 'pool_id' - 'worker_id' - 'worker_name' - 'nonce' as attempt
      from run r join attempt a on a.run_id = r.id where r.id = ${runId} and a.id = ${given.attemptId}`);
    return [...found];
  };
  expect(await plain.detail()).toMatchObject({ state: "completed", result });
  expect(await rows(plain)).toEqual(await rows(other));
  expect(await plain.changes()).toEqual(await other.changes());
});

test("an end that is reported twice at once and again later has one outcome and one change", async () => {
  const { fakeWorker, given, changes } = await claimed();
  await fakeWorker.report(given, [records.started]);
  const reportEnd = () => fakeWorker.report(given, [completed], { from: 2 });
  const answers = [...(await Promise.all([reportEnd(), reportEnd()])), await reportEnd()];
  for (const answer of answers)
    expect(answer).toMatchObject({ status: "accepted", controlAcked: 2, outcome: { state: "completed" } });
  expect((await changes()).map(({ data }) => data.state)).toEqual([
    "ready",
    "claimed",
    "running",
    "completed",
  ]);
});

describe("a completion with further effects", () => {
  test("completes a run that was being cancelled", async () => {
    const { tenancy, runId, fakeWorker, given, detail } = await claimed();
    await fakeWorker.report(given, [records.started]);
    await cancelRun(testEnv.deps, tenancy.scope, { runId, reason: "enough" });
    await fakeWorker.report(given, [completed], { from: 2 });
    expect(await detail()).toMatchObject({ state: "completed" });
  });

  test("ends the open tasks", async () => {
    const { tenancy, runId, fakeWorker, given } = await claimed();
    await fakeWorker.report(given, [records.started, records.task("load", "begin")]);
    await fakeWorker.report(given, [completed], { from: 3 });
    const { items } = await listTaskRuns(testEnv.deps, tenancy.scope, { runId, limit: 10 });
    expect(items).toMatchObject([{ path: "load", state: "cancelled" }]);
  });

  test("gives slots back, and the next waiting run is admitted", async () => {
    const tenancy = await openTenancy(testEnv);
    const input = SetLimit.parse({ kind: "deployment", name: "flow", slots: 1 });
    await setLimit(testEnv.deps, { scope: tenancy.scope, input });
    const { fakeWorker, given } = await claimed(tenancy);
    const { id: next } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    await fakeWorker.report(given, [records.started]);
    expect(await getRun(testEnv.deps, tenancy.scope, { runId: next })).toMatchObject({ state: "blocked" });
    await fakeWorker.report(given, [completed], { from: 2 });
    expect(await getRun(testEnv.deps, tenancy.scope, { runId: next })).toMatchObject({ state: "ready" });
  });
});

test("a completion that arrives before earlier records is not applied", async () => {
  const { fakeWorker, given, detail } = await claimed();
  await fakeWorker.report(given, [records.started]);
  expect(await fakeWorker.report(given, [completed], { from: 3 })).toMatchObject({
    controlAcked: 1,
    outcome: null,
  });
  expect(await detail()).toMatchObject({ state: "running" });
});
