import { uuidv7 } from "@towpath/contract";
import pLimit from "p-limit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { FakeWorker, records } from "../fake-worker.fixture.ts";
import { createRun } from "../runs/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../test-env.fixture.ts";
import { getLogs } from "./index.ts";
import { searchLogs } from "./search.ts";
import { findStoredLine } from "./store/stored.ts";
import { readStored } from "./stored/read.ts";
import { getLogWindow } from "./window.ts";

const AT = "2026-01-15T12:00:00.000Z";
const HASH = "a".repeat(64);
const OTHER = "b".repeat(64);
const STORE = uuidv7(1);

let testEnv: TestEnv;
let tenancy: Tenancy;
let runId: string;
let attemptId: string;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  tenancy = await openTenancy(testEnv);
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  runId = id;
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  attemptId = given.attemptId;
  await fakeWorker.report(given, [records.started]);
  const line = (level: string, task: string) => ({ at: AT, level, stream: "log", text: "", task });
  const stored = { hash: HASH, bytes: 300, store: STORE };
  const lines = [line("info", "load"), line("warn", "load"), line("info", "save")];
  const bulk = [
    { type: "log" as const, firstLine: 0, lines, stored: { ...stored, from: 0 } },
    // It repeats a line that is stored already, as a worker that was restarted may.
    { type: "log" as const, firstLine: 2, lines: lines.slice(1), stored: { ...stored, from: 2 } },
    {
      type: "log" as const,
      firstLine: 4,
      lines: [{ at: AT, level: "info", stream: "log", text: "needle" }],
    },
  ];
  await fakeWorker.report(given, [], { bulk });
  await fakeWorker.report(given, [records.ended("completed", { lastBulkSeq: bulk.length })], { from: 2 });
});
afterAll(() => testEnv.close());

const addressOf = (hash: string, index: number) => ({ text: "", stored: { hash, index } });

test("each line says which text of which body it has, also after a line that came twice", async () => {
  const { entries, end } = await getLogs(testEnv.deps, tenancy.scope, { runId, after: "0:0", limit: 100 });
  expect(end).toBe(true);
  expect(entries).toMatchObject([
    { line: 0, ...addressOf(HASH, 0) },
    { line: 1, ...addressOf(HASH, 1) },
    { line: 2, ...addressOf(HASH, 2) },
    { line: 3, ...addressOf(HASH, 3) },
    { line: 4, text: "needle" },
  ]);
  expect(entries[4]).not.toHaveProperty("stored");
  const window = await getLogWindow(testEnv.deps, tenancy.scope, { runId, row: 1, limit: 2 });
  expect(window.entries).toEqual(entries.slice(1, 3));
});

test("levels and tasks are filtered, and a text never leaves out a line that only the reader can search", async () => {
  const read = async (filter: object) => {
    const page = await getLogs(testEnv.deps, tenancy.scope, { runId, after: "0:0", limit: 100, ...filter });
    return page.entries.map(({ line }) => line);
  };
  expect(await read({ levels: ["warn"] })).toEqual([1]);
  expect(await read({ task: "save" })).toEqual([2, 3]);
  expect(await read({ text: "needle" })).toEqual([0, 1, 2, 3, 4]);
  expect(await read({ text: "nothing" })).toEqual([0, 1, 2, 3]);
});

test("a search counts the lines that it cannot see", async () => {
  const finds = await searchLogs(testEnv.deps, tenancy.scope, {
    runId,
    text: "needle",
    from: "0:0",
    signal: new AbortController().signal,
    slices: pLimit(1),
  });
  expect(finds).toMatchObject({ lines: 1, stored: 4, whole: true, finds: ["1:4"] });
});

test("a body is named only by its own lines, in its own workspace and run", async () => {
  const from = testEnv.deps.database.reads;
  const { workspaceId } = tenancy.scope;
  const named = { workspaceId, attemptId, hash: HASH, line: 3 };
  expect(await findStoredLine(from, named)).toEqual({ store: STORE });
  expect(await findStoredLine(from, { ...named, hash: OTHER })).toBeNull();
  expect(await findStoredLine(from, { ...named, line: 4 })).toBeNull();
  expect(await findStoredLine(from, { ...named, workspaceId: uuidv7(9) })).toBeNull();
  const { signal } = new AbortController();
  const read = (args: object) =>
    readStored(testEnv.deps, tenancy.scope, { runId, hash: HASH, signal, ...args });
  await expect(read({ at: "1:0" })).rejects.toMatchObject({ code: "store-unreachable" });
  for (const wrong of [{}, { at: "1:4" }, { at: "2:0" }, { at: "1:0", hash: OTHER }])
    await expect(read(wrong)).rejects.toMatchObject({ code: "stored-not-found" });
  await expect(read({ at: "1:0", runId: uuidv7(7) })).rejects.toMatchObject({ code: "run-not-found" });
});
