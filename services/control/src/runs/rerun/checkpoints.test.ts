import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records, refOf } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { listTaskRuns } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";
import { listCheckpoints } from "./checkpoints.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const made = { codeVersion: "v1", inputHash: "0123456789abcdef" };

async function running() {
  const tenancy = await openTenancy(testEnv, { retry: { limit: 5, delayMs: 0, causes: ["error"] } });
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  return { tenancy, fakeWorker, id, given };
}

test("the next attempt gets completed tasks with a kept result, and no task of its own", async () => {
  const { tenancy, fakeWorker, id, given } = await running();
  await fakeWorker.report(
    given,
    [
      records.task("done", "begin"),
      records.task("done", "complete", { ...made, result: refOf("done") }),
      records.task("unkept", "begin"),
      records.task("unkept", "complete"),
      { type: "kept", at: "2026-01-15T12:00:01.000Z", path: ":now" },
      { type: "kept", at: "2026-01-15T12:00:02.000Z", path: "open/:keep:rows", result: refOf("one") },
      { type: "kept", at: "2026-01-15T12:00:03.000Z", path: "open/:keep:rows", result: refOf("two") },
      records.task("open", "begin"),
      records.ended("failed", { cause: "error" }),
    ],
    { from: 2 },
  );
  expect((await listTaskRuns(testEnv.deps, tenancy.scope, { runId: id, limit: 10 })).items).toMatchObject([
    { path: "done", state: "completed", reused: false, ...made },
    { path: "unkept", codeVersion: null, inputHash: null },
    { path: "open", state: "cancelled" },
  ]);
  const again = await fakeWorker.take();
  await fakeWorker.report(again, [
    records.started,
    records.task("done", "reuse", { ...made, tries: 0, result: refOf("done") }),
    records.task("open", "begin"),
  ]);
  const { items, next } = await listCheckpoints(testEnv.deps, fakeWorker.worker, { ...again, after: null });
  expect(next).toBeNull();
  expect(items).toEqual([
    { path: "done", kind: "task", own: true, at: "2026-01-15T12:00:00.000Z", ...made, result: refOf("done") },
    {
      path: ":now",
      kind: "kept",
      own: true,
      at: "2026-01-15T12:00:01.000Z",
      codeVersion: null,
      inputHash: null,
      result: null,
    },
    {
      path: "open/:keep:rows",
      kind: "kept",
      own: true,
      at: "2026-01-15T12:00:03.000Z",
      codeVersion: null,
      inputHash: null,
      result: refOf("two"),
    },
  ]);
  expect(
    (await listTaskRuns(testEnv.deps, tenancy.scope, { runId: id, limit: 10 })).items.at(-2),
  ).toMatchObject({
    path: "done",
    state: "completed",
    reused: true,
    tries: 0,
  });
});

test("after forty attempts, the next gets the latest result under each path, once", async () => {
  const attempts = 40;
  const tenancy = await openTenancy(testEnv, { retry: { limit: 100, delayMs: 0, causes: ["error"] } });
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  for (let ordinal = 1; ordinal <= attempts; ordinal++) {
    const given = await fakeWorker.take();
    const steps = Array.from({ length: ordinal }, (_, step) => `step-${step}`);
    await fakeWorker.report(given, [
      records.started,
      // As an SDK of an earlier release tells what it takes over.
      ...steps
        .slice(0, -1)
        .map((path) => records.task(path, "reuse", { ...made, tries: 0, result: refOf(path) })),
      records.task(`step-${ordinal - 1}`, "begin"),
      records.task(`step-${ordinal - 1}`, "complete", { ...made, result: refOf(`step-${ordinal - 1}`) }),
      {
        type: "kept",
        at: "2026-01-15T12:00:01.000Z",
        path: ":keep:cursor",
        result: refOf(`cursor-${ordinal}`),
      },
      records.ended("failed", { cause: "error" }),
    ]);
  }
  const again = await fakeWorker.take();
  await fakeWorker.report(again, [records.started]);
  const { items } = await listCheckpoints(testEnv.deps, fakeWorker.worker, { ...again, after: null });
  expect(items.map((one) => one.path).toSorted()).toEqual(
    [":keep:cursor", ...Array.from({ length: attempts }, (_, step) => `step-${step}`)].toSorted(),
  );
  expect(items.find((one) => one.path === ":keep:cursor")?.result).toEqual(refOf(`cursor-${attempts}`));
});

test("a call that has begun cannot be reused, and a path is a task's or a kept value's", async () => {
  const { fakeWorker, given } = await running();
  const kept = { type: "kept", at: "2026-01-15T12:00:01.000Z" };
  const { rejected } = await fakeWorker.report(
    given,
    [
      records.task("begun", "begin"),
      records.task("begun", "reuse", { result: refOf("x") }),
      { ...kept, path: "begun" },
      { ...kept, path: "value" },
      records.task("value", "begin"),
    ],
    { from: 2 },
  );
  expect(rejected.map(({ seq, code }) => [seq, code])).toEqual(
    [3, 4, 6].map((seq) => [seq, "run-transition-not-allowed"]),
  );
});

test("409: another worker's attempt, an old fence, and an attempt that has ended", async () => {
  const { tenancy, fakeWorker, given } = await running();
  const ask = (worker: typeof fakeWorker.worker, over = {}) =>
    listCheckpoints(testEnv.deps, worker, { ...given, after: null, ...over });
  const stale = { code: "stale-fence" };
  await expect(ask(await tenancy.worker("other"))).rejects.toMatchObject(stale);
  await expect(ask((await running()).fakeWorker.worker)).rejects.toMatchObject(stale);
  await expect(ask(fakeWorker.worker, { epoch: given.epoch + 1 })).rejects.toMatchObject(stale);
  await expect(ask(fakeWorker.worker, { nonce: "another-nonce-of-some-length" })).rejects.toMatchObject(
    stale,
  );
  expect((await ask(fakeWorker.worker)).items).toEqual([]);
  await fakeWorker.report(given, [records.ended("completed")], { from: 2 });
  await expect(ask(fakeWorker.worker)).rejects.toMatchObject(stale);
});
