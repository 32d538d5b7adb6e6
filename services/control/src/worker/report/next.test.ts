import type { Assignment, Claimed, Report } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { openTestApp } from "../../app.fixture.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { createRun, getRun } from "../../runs/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { routesOf } from "../routes.ts";

let testEnv: TestEnv;
let tenancy: Tenancy;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  tenancy = await openTenancy(testEnv);
});
afterAll(() => testEnv.close());

/** A worker that reports over the application's route, and polls at the same dispatchers. */
async function openWorker() {
  const worker = await tenancy.worker(`w${Math.random()}`);
  const fakeWorker = new FakeWorker(testEnv, worker);
  const app = openTestApp({
    deps: testEnv.deps,
    slices: [routesOf(fakeWorker.dispatchers)],
    identify: async () => ({ kind: "worker", scope: worker, keyId: worker.workerId }),
  });
  const report = async (body: Report) => {
    const response = await app.request("/api/worker/report", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(200);
    // The application has checked it against the contract.
    return (await response.json()) as { attempts: object[]; next?: Claimed };
  };
  return { fakeWorker, report };
}

const ASKS = { free: 1, held: [], draining: false };

const ending = ({ attemptId, epoch, nonce }: Assignment) => ({
  attemptId,
  epoch,
  nonce,
  control: [{ seq: 2, ...records.ended("completed") }],
  bulk: [],
});

async function running(fakeWorker: FakeWorker): Promise<Assignment> {
  await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  return given;
}

test("the answer to a report that ends a run has the next assignment, like the answer to a poll", async () => {
  const { fakeWorker, report } = await openWorker();
  const given = await running(fakeWorker);
  const waiting = fakeWorker.poll({ free: 0, held: [given], waitMs: 25_000 });
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const answer = await report({
    attempts: [ending(given)],
    next: { ...ASKS, held: [given], ...fakeWorker.number() },
  });
  expect(answer.attempts).toMatchObject([{ status: "accepted", controlAcked: 2 }]);
  expect(answer.next).toMatchObject({ assignments: [{ runId: id, epoch: 1 }], commands: [] });
  expect(await waiting).toMatchObject({ assignments: [], superseded: true });
  expect((await getRun(testEnv.deps, tenancy.scope, { runId: given.runId })).state).toBe("completed");
  expect((await getRun(testEnv.deps, tenancy.scope, { runId: id })).state).toBe("claimed");
});

test("without a ready run the report is answered at once", async () => {
  const { fakeWorker, report } = await openWorker();
  const given = await running(fakeWorker);
  const next = { ...ASKS, ...fakeWorker.number() };
  expect(await report({ attempts: [ending(given)], next })).toMatchObject({
    attempts: [{ status: "accepted" }],
    next: { assignments: [], commands: [], superseded: false },
  });
});

test("an unconfirmed assignment is delivered again with the same fence", async () => {
  const { fakeWorker, report } = await openWorker();
  const given = await running(fakeWorker);
  await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const lost = await report({ attempts: [ending(given)], next: { ...ASKS, ...fakeWorker.number() } });
  const again = await fakeWorker.poll({ free: 1, held: [] });
  expect(lost.next?.assignments).toHaveLength(1);
  expect(again.assignments).toEqual(lost.next?.assignments);
});

test("a started attempt that the worker does not name is lost, as with any poll", async () => {
  const { fakeWorker, report } = await openWorker();
  for (let count = 0; count < 2; count++) await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const { assignments } = await fakeWorker.poll({ free: 2 });
  const [ends, forgotten] = assignments;
  if (ends === undefined || forgotten === undefined) throw new Error("two attempts were expected");
  for (const given of assignments) await fakeWorker.report(given, [records.started]);
  await report({ attempts: [ending(ends)], next: { ...ASKS, free: 0, ...fakeWorker.number() } });
  expect((await getRun(testEnv.deps, tenancy.scope, { runId: ends.runId })).state).toBe("completed");
  expect((await getRun(testEnv.deps, tenancy.scope, { runId: forgotten.runId })).state).toBe("crashed");
});

test("if the claim fails, the records are still stored and acknowledged", async () => {
  const { fakeWorker, report } = await openWorker();
  const given = await running(fakeWorker);
  await fakeWorker.startAnew();
  const answer = await report({ attempts: [ending(given)], next: { ...ASKS, seq: 100, heard: 0 } });
  expect(answer.attempts).toMatchObject([{ status: "accepted", controlAcked: 2 }]);
  expect(answer).not.toHaveProperty("next");
});
