import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { FakeWorker, type RecordBody, records } from "../fake-worker.fixture.ts";
import { createRun } from "../runs/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../test-env.fixture.ts";
import { getRunFailure } from "./failure.ts";

let testEnv: TestEnv;
let tenancy: Tenancy;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const error = (message: string, stack?: string) => ({
  error: { name: "RangeError", message, ...(stack === undefined ? {} : { stack }) },
});
const at = (second: number) => `2026-01-15T12:00:${String(second).padStart(2, "0")}.000Z`;

/** Ends a run with these records and this log: the second, text and task of each line. */
async function ended(
  reported: readonly RecordBody[],
  log: readonly (readonly [second: number, text: string, task?: string])[] = [],
): Promise<string> {
  testEnv.clock.advance(1_000);
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  const lines = log.map(([second, text, task]) => ({
    at: at(second),
    level: "info",
    stream: "log",
    text,
    ...(task === undefined ? {} : { task }),
  }));
  const bulk = lines.map((line, index) => ({ type: "log", firstLine: index, lines: [line] }));
  await fakeWorker.report(given, [records.started], { bulk });
  await fakeWorker.report(given, reported, { from: 2 });
  return id;
}

const failed = (message: string, over = {}) =>
  records.ended("failed", { cause: "error", ...error(message), ...over });
const fails = (path: string, second: number, message: string) => [
  records.task(path, "begin", { name: path.split("/")[0] }),
  records.task(path, "fail", { at: at(second), ...error(message) }),
];

const read = (runId: string) => getRunFailure(testEnv.deps, tenancy.scope, { runId });

describe("the failure of a run", () => {
  beforeAll(async () => {
    tenancy = await openTenancy(testEnv);
  });

  test("is that of the innermost call with the run's error, with the last lines of that call", async () => {
    const runId = await ended(
      [
        ...fails("handled", 1, "caught and gone on"),
        records.task("load", "begin"),
        records.task("load/read", "begin"),
        records.task("load/read", "fail", { at: at(5), ...error("no such file") }),
        records.task("load", "fail", { at: at(6), ...error("no such file") }),
        failed("no such file"),
      ],
      [
        [1, "ERROR: but handled", "handled"],
        [2, "nul \u0000", "load/read"],
        [4, "opening x.csv", "load/read"],
        [5, "meanwhile elsewhere"],
        [7, "shutting down"],
      ],
    );
    const found = await read(runId);
    expect(found).toMatchObject({
      error: { message: "no such file" },
      task: { path: "load/read" },
      failedCalls: 3,
    });
    expect(found.lines).toMatchObject([{ text: "nul \u0000" }, { line: 2, text: "opening x.csv" }]);
  });

  test("is found through the causes of the run's error", async () => {
    const stack = "Error: the census failed\n  at flow\n[cause]: RangeError: no rate for CHF\n  at convert";
    const runId = await ended([
      ...fails("other", 1, "something else"),
      ...fails("convert", 2, "no rate for CHF"),
      failed("the census failed", { ...error("the census failed", stack) }),
    ]);
    expect((await read(runId)).task).toMatchObject({ path: "convert" });
  });

  test("is that of the flow's own code if no task failed with it, with the end of the log", async () => {
    const runId = await ended(
      [...fails("handled", 1, "caught"), failed("thrown by the flow")],
      [
        [1, "first", "handled"],
        [2, "last"],
      ],
    );
    const found = await read(runId);
    expect(found.task).toBeNull();
    expect(found.lines.at(-1)).toMatchObject({ text: "last" });
  });

  test("of a process that ended without a report has only the end of the log", async () => {
    const runId = await ended(
      [records.ended("failed", { cause: "oom", exitCode: 137 })],
      [[1, "allocating"]],
    );
    expect(await read(runId)).toMatchObject({
      error: null,
      task: null,
      groups: [],
      lines: [{ text: "allocating" }],
    });
  });

  test("groups calls whose errors differ only in numbers, ids and quoted values", async () => {
    const many = Array.from({ length: 40 }, (_, index) =>
      fails(
        `fetch/${index}`,
        3,
        `item ${index}: "x${index}" not at ${(index + 10).toString(16).padStart(8, "a")}`,
      ),
    );
    const few = [1, 2].map((index) => fails(`fetch/b${index}`, 4, "time is up"));
    const runId = await ended([...many.flat(), ...few.flat(), failed("time is up")]);
    const found = await read(runId);
    expect(found.groups).toMatchObject([
      { task: "fetch", calls: 40, first: { path: "fetch/0" } },
      { task: "fetch", calls: 2, first: { path: "fetch/b1" } },
    ]);
    expect(found.failedCalls).toBe(42);
  });

  test("in another workspace is refused like that of a run that does not exist", async () => {
    const runId = await ended([failed("mine")]);
    const other = await openTenancy(testEnv);
    await expect(getRunFailure(testEnv.deps, other.scope, { runId })).rejects.toMatchObject({
      code: "run-not-found",
    });
  });
});

test("a failed run names the last completed run, and the first failed run after it", async () => {
  tenancy = await openTenancy(testEnv);
  await ended([failed("long ago")]);
  const good = await ended([records.ended("completed")]);
  const first = await ended([failed("first")]);
  const second = await ended([failed("second")]);
  expect(await read(second)).toMatchObject({
    lastCompleted: { id: good, version: 1 },
    failingSince: { id: first, state: "failed" },
  });
  expect(await read(first)).toMatchObject({ lastCompleted: { id: good }, failingSince: null });
});

test("ten thousand calls with the same failure are one group", async () => {
  tenancy = await openTenancy(testEnv);
  const calls = Array.from({ length: 10_000 }, (_, index) => [
    records.task(`resize:${index}`, "begin", { name: "resize" }),
    records.task(`resize:${index}`, "fail", { name: "resize", ...error(`picture ${index} is no picture`) }),
  ]).flat();
  testEnv.clock.advance(1_000);
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  const reported = [records.started, ...calls, failed("picture 7 is no picture")];
  for (let from = 0; from < reported.length; from += 1_000)
    await fakeWorker.report(given, reported.slice(from, from + 1_000), { from: from + 1 });
  expect(await read(id)).toMatchObject({
    task: { path: "resize:7" },
    groups: [{ task: "resize", calls: 10_000, first: { path: "resize:0" } }],
    failedCalls: 10_000,
  });
});
