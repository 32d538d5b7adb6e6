import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, type RecordBody, records } from "../../fake-worker.fixture.ts";
import { cancelRun, createRun, listTaskRuns } from "../../runs/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";

let testEnv: TestEnv;
let tenancy: Tenancy;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  tenancy = await openTenancy(testEnv);
});
afterAll(() => testEnv.close());

const RESULT = { uri: "file:///store/x#0", codec: "json", sizeBytes: 2, sha256: "ab".repeat(32) };
const whole = (path: string): RecordBody[] => [
  records.task(path, "queue", { tries: 0, upstream: { paths: ["list", "rows/2"], more: true } }),
  records.task(path, "begin"),
  records.task(path, "complete", {
    result: RESULT,
    codeVersion: "v1",
    inputHash: "cd".repeat(8),
    dataTime: { saveMs: 20, saveBytes: 2 },
  }),
];

async function running() {
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker(`w${Math.random()}`));
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  const tasks = async () => (await listTaskRuns(testEnv.deps, tenancy.scope, { runId: id, limit: 10 })).items;
  return { fakeWorker, given, id, tasks };
}

/** The changes of a run's task calls, in order. */
async function changesOf(runId: string): Promise<unknown[]> {
  const rows = await testEnv.deps.database.sql<{ data: object }[]>`
    select data - 'attemptId' as data from change where run_id = ${runId} and kind = 'task' order by id`;
  return rows.map(({ data }) => data);
}

test("calls in one report are stored like the same calls in several reports", async () => {
  const [together, apart] = [await running(), await running()];
  const calls = [...whole("load"), ...whole("train"), records.task("wait", "queue", { tries: 0 })];
  expect(await together.fakeWorker.report(together.given, calls, { from: 2 })).toEqual({
    attemptId: together.given.attemptId,
    status: "accepted",
    controlAcked: 8,
    bulkAcked: 0,
    rejected: [],
    outcome: null,
  });
  // A report of two runs takes the other path: a transaction.
  for (const [index, record] of calls.entries())
    await apart.fakeWorker.report(apart.given, [record], { from: 2 + index, bulk: [], bulkFrom: 1 });
  const facts = async (one: typeof apart) => (await one.tasks()).map(({ attemptId: _, ...rest }) => rest);
  expect(await facts(together)).toEqual(await facts(apart));
  expect(await changesOf(together.id)).toHaveLength(3);
  expect((await changesOf(apart.id)).at(-1)).toEqual((await changesOf(together.id)).at(-1));
});

test("a call that is reported twice at once is stored once; a repetition or a hole changes nothing", async () => {
  const { fakeWorker, given, id, tasks } = await running();
  const answers = await Promise.all(
    [1, 2, 3].map(() => fakeWorker.report(given, whole("load"), { from: 2 })),
  );
  expect(answers).toMatchObject(answers.map(() => ({ status: "accepted", controlAcked: 4, rejected: [] })));
  expect(await fakeWorker.report(given, whole("load"), { from: 2 })).toMatchObject({ controlAcked: 4 });
  expect(await fakeWorker.report(given, whole("late"), { from: 6 })).toMatchObject({ controlAcked: 4 });
  expect(await tasks()).toMatchObject([{ path: "load", state: "completed" }]);
  expect(await changesOf(id)).toHaveLength(1);
});

test("a second beginning of a known call is rejected alone", async () => {
  const { fakeWorker, given, tasks } = await running();
  await fakeWorker.report(given, whole("load"), { from: 2 });
  const answer = await fakeWorker.report(given, [...whole("load"), ...whole("next")], { from: 5 });
  expect(answer).toMatchObject({ controlAcked: 10 });
  expect(answer.rejected.map(({ seq }) => seq)).toEqual([5, 6, 7]);
  expect((await tasks()).map(({ path }) => path)).toEqual(["load", "next"]);
});

test("a stale fence stores nothing, and calls of a run that is being cancelled are stored", async () => {
  const { fakeWorker, given, id, tasks } = await running();
  const stale = await fakeWorker.report({ ...given, nonce: "x".repeat(given.nonce.length) }, whole("a"), {
    from: 2,
  });
  expect(stale).toMatchObject({ status: "stale" });
  expect(await tasks()).toEqual([]);
  await cancelRun(testEnv.deps, tenancy.scope, { runId: id, reason: "enough" });
  expect(await fakeWorker.report(given, whole("b"), { from: 2 })).toMatchObject({
    status: "accepted",
    controlAcked: 4,
  });
  expect(await tasks()).toMatchObject([{ path: "b" }]);
});
