import { afterAll, beforeAll, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { FakeWorker, records } from "../fake-worker.fixture.ts";
import type { PeriodicJob } from "../kernel/index.ts";
import { cancelRun, createRun, getRun, listRuns, listTaskRuns, runsPeriodicJobs } from "../runs/index.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../test-env.fixture.ts";
import { getLogs, listArtifacts, logsPeriodicJobs } from "./index.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

async function archiveAll(): Promise<void> {
  await testEnv.pass(6 * 60_000);
  while ((await periodicJob("archive").runOnce(testEnv.deps)).worked);
}

function periodicJob(name: string): PeriodicJob {
  const found = runsPeriodicJobs.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no periodicJob ${name}`);
  return found;
}

async function liveRows(runId: string): Promise<number> {
  const [found] = await testEnv.deps.database.db.execute<{ count: number }>(sql`
    select ((select count(*) from run where id = ${runId}) + (select count(*) from attempt where run_id = ${runId})
      + (select count(*) from task_run where run_id = ${runId}))::int as count`);
  return found?.count ?? -1;
}

test("reads of an archived run return what they returned before", async () => {
  for (const one of [periodicJob("history-partitions"), ...logsPeriodicJobs]) await one.runOnce(testEnv.deps);
  const { tenancy, id } = await ended();
  const { scope } = tenancy;
  const waiting = await createRun(testEnv.deps, scope, tenancy.request());
  const read = async () => [
    await getRun(testEnv.deps, scope, { runId: id }),
    await listTaskRuns(testEnv.deps, scope, { runId: id, limit: 10 }),
    await getLogs(testEnv.deps, scope, { runId: id, after: "0:0", limit: 100 }),
    await listArtifacts(testEnv.deps, scope, { runId: id, limit: 10 }),
    (await listRuns(testEnv.deps, scope, { limit: 10 })).items.map((run) => ({ ...run, labels: [] })),
    await listRuns(testEnv.deps, scope, { limit: 10, state: ["completed"] }),
  ];
  const before = await read();
  await archiveAll();
  expect(await liveRows(id)).toBe(0);
  expect(await liveRows(waiting.id)).toBe(2);
  expect(await read()).toEqual(before);
  const [partition] = await testEnv.deps.database.db.execute<{ name: string }>(
    sql`select tableoid::regclass::text as name from run_history where id = ${id}`,
  );
  expect(partition?.name).toBe("run_history_y2026m01");
});

async function ended(lastBulkSeq = 2) {
  const tenancy = await openTenancy(testEnv);
  const asked = tenancy.request({
    idempotencyKey: "once",
    parameters: { island: "Dream\u0001" },
    tags: ['a "b"', "{c}"],
  });
  await createRun(testEnv.deps, tenancy.scope, asked);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  const artifact = { type: "artifact", at: "2026-01-15T12:00:00Z", key: "k", title: "K", task: null };
  await fakeWorker.report(
    given,
    [
      records.started,
      records.task("a", "begin"),
      records.task("a", "complete"),
      records.ended("completed", { lastBulkSeq }),
    ],
    { bulk: [records.log(0, ["one", "two"]), { ...artifact, body: { kind: "markdown", text: "**k**" } }] },
  );
  return { tenancy, fakeWorker, given, id: asked.id, asked };
}

test("a repeated create, cancel or end of an archived run returns the stored outcome", async () => {
  const { tenancy, fakeWorker, given, id, asked } = await ended();
  await archiveAll();
  expect(await liveRows(id)).toBe(0);
  expect(await createRun(testEnv.deps, tenancy.scope, asked)).toMatchObject({ id, state: "completed" });
  const sameKey = { ...asked, id: tenancy.request().id };
  expect(await createRun(testEnv.deps, tenancy.scope, sameKey)).toMatchObject({ id, state: "completed" });
  const cancelled = cancelRun(testEnv.deps, tenancy.scope, { runId: id, reason: "" });
  await expect(cancelled).rejects.toMatchObject({ code: "run-transition-not-allowed" });
  const again = await fakeWorker.report(given, [records.ended("failed", { cause: "error" })], { from: 4 });
  expect(again).toMatchObject({
    status: "accepted",
    controlAcked: 4,
    outcome: { state: "completed", cause: null },
  });
});

test("log lines up to the announced last record are stored after the run was archived", async () => {
  const { tenancy, fakeWorker, given, id } = await ended(3);
  await archiveAll();
  const late = await fakeWorker.report(given, [], {
    bulkFrom: 3,
    bulk: [records.log(2, ["three"]), records.log(3, ["too late"])],
  });
  expect(late).toMatchObject({ status: "accepted", bulkAcked: 4, rejected: [{ lane: "bulk", seq: 4 }] });
  const page = await getLogs(testEnv.deps, tenancy.scope, { runId: id, after: "0:0", limit: 100 });
  const texts = page.entries.map((entry) => (entry.kind === "line" ? entry.text : entry.reason));
  expect(texts).toEqual(["one", "two", "three"]);
  expect(page.end).toBe(true);
});

test("lists page through live and archived runs as one", async () => {
  const tenancy = await openTenancy(testEnv);
  const ids: string[] = [];
  for (let index = 0; index < 6; index++) {
    const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    ids.unshift(id);
    if (index < 3) await cancelRun(testEnv.deps, tenancy.scope, { runId: id, reason: "" });
    testEnv.clock.advance(1);
  }
  await archiveAll();
  const seen: string[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < 10; pages++) {
    const page = await listRuns(testEnv.deps, tenancy.scope, { limit: 2, cursor });
    seen.push(...page.items.map((run) => run.id));
    if (page.next === null) break;
    cursor = page.next;
  }
  expect(seen).toEqual(ids);
});
