import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { createRuns } from "../create/create-many.ts";
import { duePeriodicJob } from "../create/due.ts";
import { getRun } from "../read/read.ts";
import { listWaits } from "../read/waits.ts";
import { createRun } from "../requests/requests.ts";
import { question, startedIn } from "../waits/waiting-flow.fixture.ts";
import { expirePeriodicJob } from "./expire.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const LIMIT_MS = 120_000;
const look = (tenancy: Tenancy, runId: string) => getRun(testEnv.deps, tenancy.scope, { runId });
const GIVEN_UP = { state: "failed", cause: "run-timeout", result: null, endsBy: null } as const;

async function pass(ms: number): Promise<void> {
  await testEnv.pass(ms);
  await duePeriodicJob.runOnce(testEnv.deps);
  await expirePeriodicJob.runOnce(testEnv.deps);
}

test("A suspended run fails when its total time is up, counted from its first start, and its waits end with it", async () => {
  const flow = await startedIn(testEnv, await openTenancy(testEnv, { runTimeoutMs: LIMIT_MS }));
  const endsBy = new Date(testEnv.clock.nowMs() + LIMIT_MS).toISOString();
  expect(await look(flow.tenancy, flow.id)).toMatchObject({ endsBy });
  await flow.ask("ok", question);
  await flow.suspend(["ok"]);
  await pass(LIMIT_MS - 1_000);
  expect(await look(flow.tenancy, flow.id)).toMatchObject({ state: "suspended", endsBy });
  await pass(1_000);
  expect(await look(flow.tenancy, flow.id)).toMatchObject(GIVEN_UP);
  const { items } = await listWaits(testEnv.deps, flow.tenancy.scope, { runId: flow.id });
  expect(items.map(({ state }) => state)).toEqual(["cancelled"]);
});

test("Between attempts it fails during the delay of a retry, and while it waits for a worker, whatever the policy still grants", async () => {
  const retry = { limit: 9, delayMs: LIMIT_MS * 2, causes: ["error"] } as const;
  const waiting = { ...retry, delayMs: 0 };
  for (const [policy, state] of [
    [retry, "scheduled"],
    [waiting, "ready"],
  ] as const) {
    const tenancy = await openTenancy(testEnv, {
      runTimeoutMs: LIMIT_MS,
      retry: { ...policy, causes: ["error"] },
    });
    const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
    const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    // The time in the queue before its first start does not count.
    await pass(LIMIT_MS * 2);
    const given = await fakeWorker.take();
    expect(given.endsInMs).toBe(LIMIT_MS);
    await fakeWorker.report(given, [records.started, records.ended("failed", { cause: "error" })]);
    expect((await look(tenancy, id)).state).toBe(state);
    await pass(LIMIT_MS);
    const over = await look(tenancy, id);
    expect(over).toMatchObject(GIVEN_UP);
    expect(over.attemptList.at(-1)?.cause).toBe(state === "ready" ? "run-timeout" : "error");
  }
});

test("A worker hears the time that is left, stops the process itself, and that is no cause for a retry", async () => {
  const tenancy = await openTenancy(testEnv, {
    runTimeoutMs: LIMIT_MS,
    retry: { limit: 9, delayMs: 0, causes: ["error", "timeout"] },
  });
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const { deployment: _, ...asked } = tenancy.request();
  await createRuns(testEnv.deps, tenancy.scope, { deployment: "flow", runs: [asked] });
  const first = await fakeWorker.take();
  await fakeWorker.report(first, [records.started]);
  await pass(LIMIT_MS / 4);
  await fakeWorker.report(first, [records.ended("failed", { cause: "timeout" })], { from: 2 });
  const second = await fakeWorker.take();
  expect(second).toMatchObject({ ordinal: 2, endsInMs: LIMIT_MS * (3 / 4) });
  await fakeWorker.report(second, [records.started]);
  await pass(LIMIT_MS);
  expect((await look(tenancy, asked.id)).state).toBe("running");
  await fakeWorker.report(second, [records.ended("failed", { cause: "run-timeout" })], { from: 2 });
  expect(await look(tenancy, asked.id)).toMatchObject({ ...GIVEN_UP, attempts: 2 });
});

test("Without a limit nothing ends it, and a worker hears of none, in its first attempt and in the next", async () => {
  const flow = await startedIn(testEnv);
  expect(flow.given.endsInMs).toBeNull();
  await flow.ask("ok", question);
  await flow.suspend(["ok"]);
  await pass(LIMIT_MS * 2);
  expect(await look(flow.tenancy, flow.id)).toMatchObject({ state: "suspended", endsBy: null });
  await flow.answer("ok", true);
  expect((await flow.resumed()).given).toMatchObject({ ordinal: 2, endsInMs: null });
});
