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

type Harbour = Awaited<ReturnType<typeof openLimitsEnv>>;

const whyOf = (harbour: Harbour, runId: string) => getRunWhy(testEnv.deps, harbour.tenancy.scope, { runId });

async function withWarehouse(slots: number, over: { perMs?: number } = {}) {
  const harbour = await openLimitsEnv(testEnv);
  await harbour.limit("warehouse", slots, over);
  await harbour.tenancy.deploy("load", { limits: [{ name: "warehouse" }] });
  return harbour;
}

test("who waits for a slot hears its place, who has the slot, for how long, and how long that usually takes", async () => {
  const harbour = await withWarehouse(1);
  await harbour.ask({ deployment: "load" });
  const first = await harbour.start();
  await testEnv.pass(6 * 60_000);
  await harbour.fakeWorker.say(
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
    await harbour.ask({ deployment: "load" }),
    await harbour.ask({ deployment: "load" }),
    await harbour.ask({ deployment: "load" }),
  ];
  await harbour.start();
  await testEnv.pass(41 * 60_000);
  const why = await whyOf(harbour, b);
  expect(why.state).toBe("blocked");
  expect(why.reasons.map((one) => one.text)).toEqual([
    `First in the wait list for \`warehouse\`; held by run ${a} (load), 41 min 00 s, usually 6 min.`,
  ]);
  expect(why.reasons[0]?.limit).toMatchObject({ position: 1, waiting: 2, lacks: true, task: null });
  expect((await whyOf(harbour, c)).reasons[0]?.text).toMatch(
    /^Number 2 of 2 in the wait list for `warehouse`/,
  );
  expect((await harbour.run(b)).why).toBe(why.reasons[0]?.text);
});

test("only the limits that lack slots are told", async () => {
  const harbour = await withWarehouse(1);
  await harbour.limit("local", 5, { kind: "pool" });
  await harbour.ask({ deployment: "load" });
  const b = await harbour.ask({ deployment: "load" });
  const { reasons } = await whyOf(harbour, b);
  expect(reasons.map((one) => one.limit?.name)).toEqual(["warehouse"]);
});

test("a limit without enough slots says how to set it", async () => {
  const harbour = await openLimitsEnv(testEnv);
  await harbour.limit("flow", 0, { kind: "deployment" });
  const { reasons } = await whyOf(harbour, await harbour.ask());
  expect(reasons[0]?.text).toBe(
    "First in the wait list for the slots of deployment `flow`; it has none: `towpath limit set flow --kind deployment SLOTS` lets it start.",
  );
});

test("who waits for a token hears when the next one returns", async () => {
  const harbour = await withWarehouse(1, { perMs: 60_000 });
  await harbour.ask({ deployment: "load" });
  const b = await harbour.ask({ deployment: "load" });
  const { reasons } = await whyOf(harbour, b);
  expect(reasons[0]?.text).toMatch(
    /^First in the wait list for `warehouse`; 1 may start per 1 min, the next at 2.*Z\.$/,
  );
  expect(reasons[0]?.until).toMatch(/^2/);
});

test("a run that waits for the slot of the run that started it is told of the circle", async () => {
  const harbour = await openLimitsEnv(testEnv);
  await harbour.tenancy.deploy("loop", { mayStart: ["loop"], concurrency: { limit: 1 } });
  const parent = await harbour.ask({ deployment: "loop" });
  const { attemptId, epoch, nonce } = await harbour.start();
  const callId = uuidv7(testEnv.clock.nowMs());
  await call(testEnv.deps, harbour.fakeWorker.worker, {
    attemptId,
    epoch,
    nonce,
    callId,
    call: { kind: "start-run", path: "loop", deployment: "loop", parameters: {} },
  });
  const why = await whyOf(harbour, callId);
  expect(why.cycle).toEqual([callId, parent]);
});

test("a run that has ended, or goes on undisturbed, waits for nothing", async () => {
  const harbour = await openLimitsEnv(testEnv);
  const id = await harbour.ask();
  await harbour.start();
  expect(await whyOf(harbour, id)).toEqual({
    runId: id,
    state: "running",
    reasons: [],
    cycle: [],
    cycleText: null,
  });
});
