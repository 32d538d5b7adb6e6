import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { FakeWorker, records } from "../fake-worker.fixture.ts";
import { createRun } from "../runs/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../test-env.fixture.ts";
import { downloadLogs } from "./download.ts";
import { getLogs } from "./index.ts";

let testEnv: TestEnv;
let tenancy: Tenancy;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  tenancy = await openTenancy(testEnv);
});
afterAll(() => testEnv.close());

test("a log can be filtered by a task and its calls; searches find the label of a task and its text", async () => {
  const { id: runId } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  const [load, other] = ["load:0123456789abcdef", "load:fedcba9876543210"];
  const lines = [undefined, load, `${load}/parse`, `${load}s`, other].map((task, index) => ({
    at: "2026-01-15T12:00:00.000Z",
    level: "info",
    stream: "log",
    text: `said "${index}"`,
    ...(task === undefined ? {} : { task }),
  }));
  await fakeWorker.report(given, [records.started], { bulk: [{ type: "log", firstLine: 0, lines }] });
  const read = async (filter: object) => {
    const page = await getLogs(testEnv.deps, tenancy.scope, { runId, after: "0:0", limit: 100, ...filter });
    return page.entries.map((entry) => entry.line);
  };
  expect(await read({ task: load })).toEqual([1, 2]);
  expect(await read({ task: other })).toEqual([4]);
  expect(await read({ task: "load" })).toEqual([]);
  expect(await read({ text: 'LOAD said "' })).toEqual([1, 4]);
  expect(await read({ text: 'load said "', task: load })).toEqual([1]);
  expect(await read({ text: "0123456789abcdef" })).toEqual([3]);
  const file = await downloadLogs(testEnv.deps, tenancy.scope, { runId, task: load });
  const parts: string[] = [];
  for await (const part of file.parts) parts.push(part);
  expect(parts.join("")).toBe(
    `2026-01-15T12:00:00.000Z info [${load}] said "1"\n2026-01-15T12:00:00.000Z info [${load}/parse] said "2"\n`,
  );
});
