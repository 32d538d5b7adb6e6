import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { runsPeriodicJobs } from "../periodic-jobs.ts";
import { listTaskRuns } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const second = (number: number) => `2026-01-15T12:00:${String(number).padStart(2, "0")}.000Z`;
const failed = (text: string) => ({ error: { name: "Error", message: text } });

test("a call that was tried more than once tells its tries one by one; one that was not has no list", async () => {
  const tenancy = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const given = await fakeWorker.take();
  const report = (from: number, ...moves: ReturnType<typeof records.task>[]) =>
    fakeWorker.report(given, from === 1 ? [records.started, ...moves] : moves, { from });
  const tries = async () => {
    const { items } = await listTaskRuns(testEnv.deps, tenancy.scope, { runId: id, limit: 10 });
    return items.map(({ path, tryList }) => [path, tryList]);
  };
  await report(
    1,
    records.task("once", "begin", { at: second(1) }),
    records.task("once", "complete", { at: second(2) }),
    records.task("load", "begin", { at: second(3) }),
  );
  expect(await tries()).toEqual([
    ["once", []],
    ["load", []],
  ]);
  await report(5, records.task("load", "retry", { at: second(5), ...failed("away") }));
  const first = { startedAt: second(3), endedAt: second(5), error: "away" };
  expect(await tries()).toContainEqual(["load", [first]]);
  await report(6, records.task("load", "begin", { at: second(8), tries: 2 }));
  expect(await tries()).toContainEqual([
    "load",
    [first, { startedAt: second(8), endedAt: null, error: null }],
  ]);
  await report(7, records.task("load", "complete", { at: second(9), tries: 2 }));
  expect(await tries()).toContainEqual([
    "load",
    [first, { startedAt: second(8), endedAt: second(9), error: null }],
  ]);
});

test("of very many tries the latest are listed", async () => {
  const tenancy = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const given = await fakeWorker.take();
  const again = Array.from({ length: 30 }, (_, index) => [
    records.task("load", "begin", { tries: index + 1 }),
    records.task("load", "retry", { tries: index + 1, ...failed(`try ${index + 1}`) }),
  ]);
  await fakeWorker.report(given, [records.started, ...again.flat()]);
  const { items } = await listTaskRuns(testEnv.deps, tenancy.scope, { runId: id, limit: 10 });
  expect(items[0]?.tryList.length).toBe(20);
  expect(items[0]?.tryList.at(-1)?.error).toBe("try 30");
});

test("a reused result began when its load began", async () => {
  const tenancy = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const given = await fakeWorker.take();
  const dataTime = { loadMs: 4_000, loadBytes: 20_000_000 };
  await fakeWorker.report(given, [
    records.started,
    records.task("load", "reuse", { at: second(5), tries: 0, dataTime }),
    records.task("train", "queue", { at: second(5), tries: 0 }),
    records.task("train", "begin", { at: second(6) }),
    records.task("train", "complete", { at: second(9) }),
  ]);
  const { items } = await listTaskRuns(testEnv.deps, tenancy.scope, { runId: id, limit: 10 });
  expect(items).toMatchObject([
    { path: "load", createdAt: second(1), startedAt: second(1), endedAt: second(5), dataTime },
    { path: "train", createdAt: second(5), startedAt: second(6), endedAt: second(9) },
  ]);
  expect(items[1]).not.toHaveProperty("dataTime");
});

test("a call keeps the calls that its data came from, also after it was reused or moved to history", async () => {
  const tenancy = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const given = await fakeWorker.take();
  const upstream = { paths: ["load", "score/3"], more: true };
  await fakeWorker.report(given, [
    records.started,
    records.task("load", "reuse", { tries: 0 }),
    records.task("train", "queue", { tries: 0, upstream }),
  ]);
  await fakeWorker.report(
    given,
    [
      records.task("train", "begin"),
      records.task("train", "complete"),
      records.task("test", "reuse", { tries: 0, upstream: { paths: ["train"] } }),
      records.ended("completed"),
    ],
    { from: 4 },
  );
  const known = async () =>
    (await listTaskRuns(testEnv.deps, tenancy.scope, { runId: id, limit: 10 })).items.map((task) => [
      task.path,
      task.upstream,
    ]);
  const expected = [
    ["load", undefined],
    ["train", upstream],
    ["test", { paths: ["train"] }],
  ];
  expect(await known()).toEqual(expected);
  await testEnv.pass(6 * 60_000);
  const archive = runsPeriodicJobs.find((one) => one.name === "archive");
  while ((await archive?.runOnce(testEnv.deps))?.worked);
  const [moved] = await testEnv.deps.database.sql<{ count: number }[]>`
    select count(*)::int from task_run_history where workspace_id = ${tenancy.scope.workspaceId} and run_id = ${id}`;
  expect(moved?.count).toBe(3);
  expect(await known()).toEqual(expected);
});
