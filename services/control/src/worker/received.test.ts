import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { FakeWorker, records, refOf } from "../fake-worker.fixture.ts";
import { createRun, runsPeriodicJobs } from "../runs/index.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../test-env.fixture.ts";
import { getReceived } from "./received.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const ref = refOf("a");
const error = { name: "Error", message: "no rate", stack: "at flow.ts:1" };

async function archiveAll(): Promise<void> {
  await testEnv.pass(6 * 60_000);
  const periodicJob = runsPeriodicJobs.find((one) => one.name === "archive");
  while ((await periodicJob?.runOnce(testEnv.deps))?.worked);
}

/** A run with records of every kind. */
async function reported() {
  const { scope, request, worker } = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await worker("worker-1"));
  const { id } = await createRun(testEnv.deps, scope, request());
  const given = await fakeWorker.take();
  const at = "2026-01-15T12:00:00.000Z";
  await fakeWorker.report(
    given,
    [
      records.started,
      records.task("load", "begin"),
      records.task("load", "complete", {
        codeVersion: "l1",
        result: ref,
        dataTime: { saveMs: 20, saveBytes: 10 },
      }),
      records.task("train", "queue", { tries: 0, upstream: { paths: ["load"] } }),
      records.task("train", "begin"),
      records.task("train", "fail", { error }),
      { type: "kept", at, path: "train/epoch", result: ref },
      records.ended("failed", { cause: "error", error, lastBulkSeq: 3 }),
    ],
    {
      bulk: [
        records.log(0, ["one", "two"]),
        { type: "gap", firstLine: 2, lines: 5, reason: "full" },
        {
          type: "artifact",
          at,
          key: "k",
          title: "t",
          task: "load",
          body: { kind: "markdown", text: "**hi**" },
        },
      ],
    },
  );
  return { scope, id };
}

test("the stored records of a run are counted by kind and field, before and after archiving", async () => {
  const { scope, id } = await reported();
  const received = () => getReceived(testEnv.deps, scope, { runId: id });
  const before = await received();
  expect(before.kinds.map(({ kind, records }) => [kind, records])).toEqual([
    ["task", 2],
    ["kept", 1],
    ["log", 2],
    ["gap", 1],
    ["artifact", 1],
    ["ended", 1],
  ]);
  expect(before).toMatchObject({ workers: ["worker-1"], acknowledged: { control: 8, bulk: 3 }, late: 0 });
  expect(before.kinds.every(({ bytes, kind }) => kind === "gap" || bytes > 0)).toBe(true);
  const count = (kind: string, field: string) =>
    before.fields.find((one) => one.kind === kind && one.field === field)?.records;
  expect([count("task", "path"), count("task", "result"), count("task", "error.stack")]).toEqual([2, 1, 1]);
  expect([count("task", "dataTime"), count("task", "upstream")]).toEqual([1, 1]);
  expect([count("task", "inputHash"), count("log", "lines[].task")]).toEqual([undefined, null]);
  await archiveAll();
  expect(await received()).toEqual(before);
});

test("DATA.md lists every counted field", async () => {
  const { scope, id } = await reported();
  const { fields } = await getReceived(testEnv.deps, scope, { runId: id });
  expect(fields.filter(({ listed }) => !listed)).toEqual([]);
});

test("a run without reports has no records; a run of another workspace is not found", async () => {
  const { scope, request } = await openTenancy(testEnv);
  const { id } = await createRun(testEnv.deps, scope, request());
  expect(await getReceived(testEnv.deps, scope, { runId: id })).toMatchObject({
    workers: [],
    kinds: [],
    fields: [],
  });
  const { scope: elsewhere } = await openTenancy(testEnv);
  const absent = getReceived(testEnv.deps, elsewhere, { runId: id });
  await expect(absent).rejects.toMatchObject({ code: "run-not-found" });
});

test("lines whose texts are in the customer's store are counted as such", async () => {
  const { scope, request, worker } = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await worker("worker-2"));
  const { id: runId } = await createRun(testEnv.deps, scope, request());
  const given = await fakeWorker.take();
  const stored = { hash: "a".repeat(64), bytes: 300, store: runId, from: 0 };
  const bulk = [{ ...records.log(0, ["", ""]), stored }, records.log(2, ["here"])];
  await fakeWorker.report(given, [records.started], { bulk });
  const { fields } = await getReceived(testEnv.deps, scope, { runId });
  expect(fields).toContainEqual({ kind: "log", field: "stored", records: 2, listed: true });
  expect(fields).toContainEqual({ kind: "log", field: "lines[].text", records: 3, listed: true });
});
