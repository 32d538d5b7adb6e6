import { uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records, refOf } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { getRun } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";
import { cancelRuns, planReruns, rerunRuns } from "./bulk.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const ref = refOf("a");
const newId = () => uuidv7(testEnv.clock.nowMs());
const how = { fromFailure: true, sameVersion: false };

/** A tenant with a run that failed after it had completed `load`, and one that waits. */
async function failedAndWaiting() {
  const tenancy = await openTenancy(testEnv, { tasks: { load: "l1" } });
  const { scope, request } = tenancy;
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const failed = await createRun(testEnv.deps, scope, request());
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [
    records.started,
    records.task("load", "begin"),
    records.task("load", "complete", { codeVersion: "l1", result: ref }),
    records.task("train", "begin"),
    records.task("train", "fail"),
    records.ended("failed", { cause: "error" }),
  ]);
  const waiting = await createRun(testEnv.deps, scope, request());
  return { scope, failed: failed.id, waiting: waiting.id, nobody: newId() };
}

test("several runs are asked to end, and each is answered by itself", async () => {
  const { scope, failed, waiting, nobody } = await failedAndWaiting();
  const asked = { runIds: [waiting, failed, nobody, waiting], reason: "by hand" };
  const { items } = await cancelRuns(testEnv.deps, scope, asked);
  expect(items).toMatchObject([
    { runId: waiting, state: "cancelled", problem: null },
    { runId: failed, state: null, problem: { code: "run-transition-not-allowed" } },
    { runId: nobody, state: null, problem: { code: "run-not-found" } },
  ]);
  expect(await getRun(testEnv.deps, scope, { runId: waiting })).toMatchObject({ cancelReason: "by hand" });
  expect((await cancelRuns(testEnv.deps, scope, asked)).items).toEqual(items);
});

test("the plan of several counts what each would take over and run, and changes nothing", async () => {
  const { scope, failed, waiting, nobody } = await failedAndWaiting();
  const { items } = await planReruns(testEnv.deps, scope, { runIds: [failed, waiting, nobody], ...how });
  expect(items).toMatchObject([
    { plan: { deployment: "flow", versionBefore: 1, version: 1, reuse: 1, run: 1 }, problem: null },
    { plan: null, problem: { code: "run-transition-not-allowed" } },
    { plan: null, problem: { code: "run-not-found" } },
  ]);
  expect(await getRun(testEnv.deps, scope, { runId: waiting })).toMatchObject({ state: "ready" });
});

test("several runs are run again; the same request again makes no second one", async () => {
  const { scope, failed, waiting } = await failedAndWaiting();
  const runs = [
    { runId: failed, id: newId() },
    { runId: waiting, id: newId() },
  ];
  const made = await rerunRuns(testEnv.deps, scope, { runs, ...how });
  expect(made.items).toMatchObject([
    { runId: failed, id: runs[0]?.id, problem: null },
    { runId: waiting, id: null, problem: { code: "run-transition-not-allowed" } },
  ]);
  const again = await getRun(testEnv.deps, scope, { runId: runs[0]?.id ?? "" });
  expect(again).toMatchObject({
    state: "ready",
    trigger: { kind: "rerun", runId: failed, fromFailure: true },
  });
  expect(await rerunRuns(testEnv.deps, scope, { runs, ...how })).toEqual(made);
});

test("another workspace's runs are none, for each of the verbs", async () => {
  const { failed, waiting } = await failedAndWaiting();
  const { scope } = await openTenancy(testEnv);
  const none = { problem: { code: "run-not-found" } };
  expect((await cancelRuns(testEnv.deps, scope, { runIds: [waiting], reason: "" })).items).toMatchObject([
    none,
  ]);
  expect((await planReruns(testEnv.deps, scope, { runIds: [failed], ...how })).items).toMatchObject([none]);
  const runs = [{ runId: failed, id: newId() }];
  expect((await rerunRuns(testEnv.deps, scope, { runs, ...how })).items).toMatchObject([none]);
});
