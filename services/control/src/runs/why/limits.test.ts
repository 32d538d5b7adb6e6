import { uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { openLimitsEnv } from "../../slots.fixture.ts";
import { openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { call } from "../calls/call.ts";
import { getRunWhy } from "../read/read.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

type LimitsEnv = Awaited<ReturnType<typeof openLimitsEnv>>;

const whyOf = (env: LimitsEnv, runId: string) => getRunWhy(testEnv.deps, env.tenancy.scope, { runId });

async function withWarehouse(slots: number, over: { perMs?: number } = {}) {
  const env = await openLimitsEnv(testEnv);
  await env.limit("warehouse", slots, over);
  await env.tenancy.deploy("load", { limits: [{ name: "warehouse" }] });
  return env;
}

test("a run that waits for a slot hears its position, which run has the slot, for how long, and how long that usually takes", async () => {
  const env = await withWarehouse(1);
  await env.ask({ deployment: "load" });
  const first = await env.start();
  await testEnv.pass(6 * 60_000);
  await env.fakeWorker.report(
    first,
    [
      {
        type: "ended",
        at: "2026-01-15T12:00:00Z",
        outcome: "completed",
        cause: null,
        exitCode: 0,
        lastBulkSeq: 0,
      },
    ],
    { from: 2 },
  );
  const [a, b, c] = [
    await env.ask({ deployment: "load" }),
    await env.ask({ deployment: "load" }),
    await env.ask({ deployment: "load" }),
  ];
  await env.start();
  await testEnv.pass(41 * 60_000);
  const why = await whyOf(env, b);
  expect(why.state).toBe("blocked");
  expect(why.reasons.map((one) => one.text)).toEqual([
    `First in the wait list for \`warehouse\`; held by run ${a} (load) for 41 min 00 s, usually 6 min.`,
  ]);
  expect(why.reasons[0]?.limit).toMatchObject({ position: 1, waiting: 2, lacks: true, task: null });
  expect((await whyOf(env, c)).reasons[0]?.text).toMatch(/^Number 2 of 2 in the wait list for `warehouse`/);
  expect((await env.run(b)).why).toBe(why.reasons[0]?.text);
});

test("only the limits without enough slots are named", async () => {
  const env = await withWarehouse(1);
  await env.limit("local", 5, { kind: "pool" });
  await env.ask({ deployment: "load" });
  const b = await env.ask({ deployment: "load" });
  const { reasons } = await whyOf(env, b);
  expect(reasons.map((one) => one.limit?.name)).toEqual(["warehouse"]);
});

test("a limit without enough slots says how to set it", async () => {
  const env = await openLimitsEnv(testEnv);
  await env.limit("flow", 0, { kind: "deployment" });
  const { reasons } = await whyOf(env, await env.ask());
  expect(reasons[0]?.text).toBe(
    "First in the wait list for the slots of deployment `flow`; the limit has no slots: `towpath limit set flow --kind deployment SLOTS` lets the run start.",
  );
});

test("who waits for a token hears when the next one returns", async () => {
  const env = await withWarehouse(1, { perMs: 60_000 });
  await env.ask({ deployment: "load" });
  const b = await env.ask({ deployment: "load" });
  const { reasons } = await whyOf(env, b);
  expect(reasons[0]?.text).toMatch(
    /^First in the wait list for `warehouse`; 1 may start per 1 min, the next at 2.*Z\.$/,
  );
  expect(reasons[0]?.until).toMatch(/^2/);
});

test("a run that waits for the slot of its parent names the cycle", async () => {
  const env = await openLimitsEnv(testEnv);
  await env.tenancy.deploy("loop", { mayStart: ["loop"], concurrency: { limit: 1 } });
  const parent = await env.ask({ deployment: "loop" });
  const { attemptId, epoch, nonce } = await env.start();
  const callId = uuidv7(testEnv.clock.nowMs());
  await call(testEnv.deps, env.fakeWorker.worker, {
    attemptId,
    epoch,
    nonce,
    callId,
    call: { kind: "start-run", path: "loop", deployment: "loop", parameters: {} },
  });
  const why = await whyOf(env, callId);
  expect(why.cycle).toEqual([callId, parent]);
});

test("a run that has ended, or goes on undisturbed, waits for nothing", async () => {
  const env = await openLimitsEnv(testEnv);
  const id = await env.ask();
  await env.start();
  expect(await whyOf(env, id)).toEqual({
    runId: id,
    state: "running",
    reasons: [],
    cycle: [],
    cycleText: null,
  });
});
