import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { archivePeriodicJob } from "../history/periodic-jobs.ts";
import { readLogSources } from "../read/log-sources.ts";
import { getRun, listTaskRuns } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const MINUTE_MS = 60_000;

async function started(spec: Parameters<typeof openTenancy>[1] = {}) {
  const tenancy = await openTenancy(testEnv, spec);
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  const startedMs = testEnv.clock.nowMs();
  const get = () => getRun(testEnv.deps, tenancy.scope, { runId: id });
  /** Reports the end, as a worker whose clock is wrong: it says that the attempt ended this long before the report. */
  const reportEnd = (args: { agoMs: number; skewMs?: number; outcome?: string; over?: object }) => {
    const sentMs = testEnv.clock.nowMs() + (args.skewMs ?? 0);
    const at = new Date(sentMs - args.agoMs).toISOString();
    const ended = records.ended(args.outcome ?? "completed", { at, ...args.over });
    return fakeWorker.report(given, [ended], { from: 2, sentAt: new Date(sentMs).toISOString() });
  };
  return { tenancy, id, fakeWorker, given, startedMs, get, reportEnd };
}

const iso = (ms: number) => new Date(ms).toISOString();

describe("an end that is reported after an outage", () => {
  test.each([
    ["right", 0],
    ["an hour ahead", 60 * MINUTE_MS],
    ["an hour behind", -60 * MINUTE_MS],
  ])("has the time at which it happened, with a worker's clock that is %s", async (_, skewMs) => {
    const { startedMs, get, reportEnd } = await started();
    testEnv.clock.advance(30 * MINUTE_MS);
    const reportedAt = iso(testEnv.clock.nowMs());
    expect(await reportEnd({ agoMs: 20 * MINUTE_MS, skewMs })).toMatchObject({
      outcome: { state: "completed" },
    });
    const endedAt = iso(startedMs + 10 * MINUTE_MS);
    expect(await get()).toMatchObject({
      state: "completed",
      endedAt,
      attemptList: [{ endedAt, reportedAt }],
    });
  });

  test.each([
    ["failed", { outcome: "failed", over: { cause: "error" } }, "failed"],
    ["cancelled", { outcome: "cancelled" }, "failed"],
  ])("has it too if it %s", async (_, more, state) => {
    const { startedMs, get, reportEnd } = await started();
    testEnv.clock.advance(30 * MINUTE_MS);
    await reportEnd({ agoMs: 20 * MINUTE_MS, ...more });
    expect(await get()).toMatchObject({ state, endedAt: iso(startedMs + 10 * MINUTE_MS) });
  });

  test("is never before the start", async () => {
    const { startedMs, get, reportEnd } = await started();
    testEnv.clock.advance(5 * MINUTE_MS);
    await reportEnd({ agoMs: 24 * 60 * MINUTE_MS });
    const endedAt = iso(startedMs);
    expect(await get()).toMatchObject({ endedAt, attemptList: [{ endedAt }] });
  });

  test("of a second attempt is never before that attempt", async () => {
    const retry = { limit: 1, causes: ["error" as const], delayMs: 0 };
    const { get, reportEnd, fakeWorker } = await started({ retry });
    await reportEnd({ agoMs: 0, outcome: "failed", over: { cause: "error" } });
    testEnv.clock.advance(5 * MINUTE_MS);
    const second = await fakeWorker.take();
    await fakeWorker.report(second, [records.started]);
    const startedAt = iso(testEnv.clock.nowMs());
    testEnv.clock.advance(MINUTE_MS);
    const ended = records.ended("completed", { at: iso(testEnv.clock.nowMs() - 60 * MINUTE_MS) });
    await fakeWorker.report(second, [ended], { from: 2, sentAt: iso(testEnv.clock.nowMs()) });
    expect(await get()).toMatchObject({
      endedAt: startedAt,
      attemptList: [{}, { startedAt, endedAt: startedAt }],
    });
  });

  test.each([
    ["says that it ends in the future", { agoMs: -60 * MINUTE_MS }],
    ["was sent within a second", { agoMs: 900 }],
    ["says that it ended years ago, because the clock was set", { agoMs: 20 * 366 * 24 * 60 * MINUTE_MS }],
  ])("has the time of its arrival if the report %s", async (_, more) => {
    const { get, reportEnd } = await started();
    testEnv.clock.advance(5 * MINUTE_MS);
    await reportEnd(more);
    const endedAt = iso(testEnv.clock.nowMs());
    expect(await get()).toMatchObject({ endedAt, attemptList: [{ endedAt, reportedAt: null }] });
  });

  test("has the time of its arrival if the worker's release does not say when it sent the report", async () => {
    const { get, fakeWorker, given } = await started();
    testEnv.clock.advance(5 * MINUTE_MS);
    await fakeWorker.report(given, [records.ended("completed")], { from: 2 });
    expect(await get()).toMatchObject({
      endedAt: iso(testEnv.clock.nowMs()),
      attemptList: [{ reportedAt: null }],
    });
  });

  test("keeps its time if it is reported again, and in history", async () => {
    const { startedMs, get, reportEnd } = await started();
    testEnv.clock.advance(30 * MINUTE_MS);
    const reportedAt = iso(testEnv.clock.nowMs());
    await reportEnd({ agoMs: 20 * MINUTE_MS });
    await testEnv.pass(60 * MINUTE_MS);
    await reportEnd({ agoMs: 80 * MINUTE_MS });
    while ((await archivePeriodicJob.runOnce(testEnv.deps)).worked);
    const endedAt = iso(startedMs + 10 * MINUTE_MS);
    expect(await get()).toMatchObject({ endedAt, attemptList: [{ endedAt, reportedAt }] });
  });

  test("keeps its run among the live ones for as long as the end of any run", async () => {
    const { tenancy, id, reportEnd } = await started();
    const { sql } = testEnv.deps.database;
    const { workspaceId } = tenancy.scope;
    const isLive = async () =>
      (await sql`select 1 from run where workspace_id = ${workspaceId} and id = ${id}`).length === 1;
    const archive = async () => {
      while ((await archivePeriodicJob.runOnce(testEnv.deps)).worked);
    };
    const { archiveAfterMs } = testEnv.deps.config;
    testEnv.clock.advance(2 * archiveAfterMs);
    await reportEnd({ agoMs: archiveAfterMs + MINUTE_MS });
    await archive();
    expect(await isLive()).toBe(true);
    await testEnv.pass(archiveAfterMs - 1_000);
    await archive();
    expect(await isLive()).toBe(true);
    await testEnv.pass(2_000);
    await archive();
    expect(await isLive()).toBe(false);
  });

  test("lets readers of its logs wait for the announced lines from its arrival", async () => {
    const { tenancy, id, reportEnd } = await started();
    const sources = async () => {
      const { db } = testEnv.deps.database;
      const { workspaceId } = tenancy.scope;
      return (await readLogSources(db, testEnv.clock, { workspaceId, runId: id })).sources;
    };
    testEnv.clock.advance(10 * MINUTE_MS);
    await reportEnd({ agoMs: 5 * MINUTE_MS, over: { lastBulkSeq: 7 } });
    expect(await sources()).toMatchObject([{ closed: false }]);
    await testEnv.pass(31_000);
    expect(await sources()).toMatchObject([{ closed: true }]);
  });

  test("ends the tasks that were open at the same time", async () => {
    const { tenancy, id, startedMs, fakeWorker, given } = await started();
    const at = iso(startedMs + MINUTE_MS);
    testEnv.clock.advance(30 * MINUTE_MS);
    const sentMs = testEnv.clock.nowMs();
    const ended = records.ended("failed", { at: iso(sentMs - 20 * MINUTE_MS), cause: "killed" });
    await fakeWorker.report(
      given,
      [records.task("load", "queue", { at }), records.task("load", "begin", { at }), ended],
      { from: 2, sentAt: iso(sentMs) },
    );
    const { items } = await listTaskRuns(testEnv.deps, tenancy.scope, { runId: id, limit: 10 });
    expect(items).toMatchObject([
      { state: "crashed", startedAt: at, endedAt: iso(startedMs + 10 * MINUTE_MS) },
    ]);
  });
});
