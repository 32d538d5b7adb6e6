import { type AnswerOf, LIMITS, ROUTES, type RouteName, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { openTestApp } from "../app.fixture.ts";
import { records } from "../fake-worker.fixture.ts";
import { runsRoutes } from "../runs/index.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../test-env.fixture.ts";
import { workerRoutes } from "./index.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

async function openCalls(shutdown = new AbortController()) {
  const tenancy = await openTenancy(testEnv, { mayStart: ["flow"] });
  const worker = await tenancy.worker();
  const app = openTestApp({
    deps: testEnv.deps,
    slices: [runsRoutes, workerRoutes],
    shutdown: shutdown.signal,
    identify: async (c) =>
      c.req.path.startsWith("/api/worker/")
        ? { kind: "worker", scope: worker, keyId: worker.workerId }
        : { kind: "person", scope: tenancy.scope },
  });
  /** Posts a body. The application checks its answer against the contract. */
  const post = async <Name extends RouteName>(name: Name, body: unknown) => {
    const response = await app.request(ROUTES[name].path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    // A good answer has been checked against the contract by the application.
    const answer = (await response.json()) as AnswerOf<(typeof ROUTES)[Name]>;
    return { status: response.status, answer };
  };
  return { tenancy, post, shutdown };
}

test("the four verbs of the worker protocol answer as the contract says", async () => {
  const { tenancy, post } = await openCalls();
  const asked = tenancy.request();
  expect((await post("createRun", { id: asked.id, deployment: "flow" })).status).toBe(201);
  const claimed = await post("claim", { free: 1, held: [], waitMs: 5_000, seq: 1, heard: 0 });
  const [given] = claimed.answer.assignments;
  expect(given).toMatchObject({ runId: asked.id, deployment: "flow", version: 1 });
  const fence = { attemptId: given?.attemptId, epoch: given?.epoch, nonce: given?.nonce };
  const control = [{ seq: 1, ...records.started }];
  const bulk = [{ seq: 1, ...records.log(0, ["hello"]) }];
  const reported = await post("report", { attempts: [{ ...fence, control, bulk }] });
  expect(reported.answer.attempts).toMatchObject([{ status: "accepted", controlAcked: 1, bulkAcked: 1 }]);
  const renewed = await post("renew", { held: [fence] });
  expect(renewed.answer.leases).toMatchObject([{ status: "renewed" }]);
  const call = { kind: "start-run", path: "p", deployment: "flow", parameters: {} };
  const called = await post("call", { ...fence, callId: uuidv7(testEnv.clock.nowMs()), call });
  expect(called.answer).toMatchObject({ state: "ready" });
  const stale = await post("call", { ...fence, epoch: 9, callId: uuidv7(1), call });
  expect(stale).toMatchObject({ status: 409, answer: { code: "stale-fence" } });
});

test("a report with too many records or bytes is refused with the limit that it exceeds", async () => {
  const { post } = await openCalls();
  const part = (control: number, bulk: number, more: object = {}) => ({
    attemptId: uuidv7(1),
    epoch: 1,
    nonce: "n".repeat(32),
    control: Array.from({ length: control }, (_, index) => ({ seq: index + 1, ...more })),
    bulk: Array.from({ length: bulk }, (_, index) => ({ seq: index + 1 })),
  });
  const { laneRecords, reportRecords, reportBytes } = LIMITS;
  const full = Array.from({ length: reportRecords / laneRecords / 2 }, () => part(laneRecords, laneRecords));
  expect(await post("report", { attempts: full })).toMatchObject({ status: 200 });
  expect(await post("report", { attempts: [...full, part(1, 0)] })).toMatchObject({
    status: 400,
    answer: {
      code: "bad-request",
      faults: [{ path: "attempts", message: expect.stringContaining(`at most ${reportRecords}`) }],
    },
  });
  const heavy = part(1, 0, { padding: "x".repeat(reportBytes) });
  expect(await post("report", { attempts: [heavy] })).toMatchObject({
    status: 413,
    answer: {
      code: "payload-too-large",
      faults: [{ path: "body", message: expect.stringContaining(`${reportBytes} bytes`) }],
    },
  });
});

test("a shutdown answers waiting polls at once with an empty answer", async () => {
  const { post, shutdown } = await openCalls();
  const waiting = post("claim", { free: 1, held: [], waitMs: 25_000, seq: 2, heard: 1 });
  shutdown.abort();
  expect(await waiting).toMatchObject({
    status: 200,
    answer: { assignments: [], commands: [], superseded: false },
  });
});
