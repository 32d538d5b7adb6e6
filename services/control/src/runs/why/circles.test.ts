import { type Amounts, derivedId, type SpecInput, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { openLimitsEnv } from "../../slots.fixture.ts";
import { openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { call } from "../calls/call.ts";
import { setQueue } from "../read/pools.ts";
import { getRunWhy } from "../read/read.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

type LimitsEnv = Awaited<ReturnType<typeof openLimitsEnv>>;
type Fence = Awaited<ReturnType<LimitsEnv["start"]>>;

const CIRCLE = "one of 2 runs that wait for each other in a circle, and none can continue";

/** A tenant whose deployment `loop` may start itself, and a worker with so many slots. */
async function openLoop(args: { slots?: number; amounts?: Amounts; spec?: Partial<SpecInput> } = {}) {
  const env = await openLimitsEnv(testEnv);
  const { scope } = env.tenancy;
  await setQueue(testEnv.deps, { scope, name: "local", input: { queue: "slow", priority: 0 } });
  await env.tenancy.deploy("loop", { mayStart: ["loop"], queue: "slow", ...args.spec });
  const { workspaceId } = scope;
  await testEnv.deps.database.sql`update worker set capacity = ${args.slots ?? 100},
    amounts = ${JSON.stringify(args.amounts ?? {})}::text::jsonb where workspace_id = ${workspaceId}`;
  return env;
}

/** A run of `loop` that has started another. */
async function withChild(env: LimitsEnv) {
  const parent = await env.ask({ deployment: "loop" });
  const fence = await env.start();
  const child = await startChild(env, fence);
  return { parent, fence, child };
}

async function startChild(env: LimitsEnv, { attemptId, epoch, nonce }: Fence): Promise<string> {
  testEnv.clock.advance(1);
  const callId = uuidv7(testEnv.clock.nowMs());
  const asked = { kind: "start-run", path: "loop", deployment: "loop", parameters: {} } as const;
  await call(testEnv.deps, env.fakeWorker.worker, { attemptId, epoch, nonce, callId, call: asked });
  return callId;
}

/** The flow of a run that is at work waits for the end of another. */
async function awaitEnd(env: LimitsEnv, fence: Fence, runId: string): Promise<void> {
  const { attemptId, epoch, nonce } = fence;
  const callId = await derivedId(fence.runId, "end");
  const asked = { kind: "wait", path: "end", wait: { kind: "run", runId } } as const;
  await call(testEnv.deps, env.fakeWorker.worker, { attemptId, epoch, nonce, callId, call: asked });
}

/** A task run of a run that is at work asks for a slot. */
async function askSlot(env: LimitsEnv, { attemptId, epoch, nonce }: Fence, name: string): Promise<void> {
  const callId = uuidv7(testEnv.clock.nowMs());
  const requests = [{ key: "rows", limits: [{ name, slots: 1 }] }];
  const asked = { kind: "take-slots", requests, waitMs: 0 } as const;
  await call(testEnv.deps, env.fakeWorker.worker, { attemptId, epoch, nonce, callId, call: asked });
}

const whyOf = (env: LimitsEnv, runId: string) => getRunWhy(testEnv.deps, env.tenancy.scope, { runId });

describe("a run whose child needs", () => {
  const limits = [
    ["pool", "local", "--kind pool", "the slots of pool `local`"],
    ["queue", "local/slow", "--kind queue", "the slots of queue `local/slow`"],
    ["deployment", "loop", "--kind deployment", "the slots of deployment `loop`"],
  ] as const;
  test.each(limits)(
    "the last slot of its %s names the whole cycle, for both runs",
    async (kind, name, option, called) => {
      const env = await openLoop();
      await env.limit(name, 1, { kind });
      const { parent, fence, child } = await withChild(env);
      const steps = {
        child: `run ${child} (loop) waits for ${called}, which run ${parent} has`,
        parent: `run ${parent} (loop) started run ${child} and may wait for its end`,
      };
      const remedy = `To resolve this: \`towpath limit set ${name} ${option} 2\`, or \`towpath runs cancel ${child}\`.`;
      expect(await whyOf(env, child)).toMatchObject({
        cycle: [child, parent],
        cycleText: `It may be ${CIRCLE}: ${steps.child}; ${steps.parent}. ${remedy}`,
      });
      // The parent waits for the child explicitly.
      await awaitEnd(env, fence, child);
      expect(await whyOf(env, parent)).toMatchObject({
        reasons: [],
        cycle: [parent, child],
        cycleText: `It may be ${CIRCLE}: run ${parent} (loop) waits for the end of run ${child}; ${steps.child}. ${remedy}`,
      });
      // With one more slot nobody waits for anybody.
      await env.limit(name, 2, { kind });
      expect(await whyOf(env, child)).toMatchObject({ state: "ready", cycle: [], cycleText: null });
    },
  );

  test("the last slot of its pool's workers names the cycle, until another worker has a free slot", async () => {
    const env = await openLoop({ slots: 1 });
    const { parent, child } = await withChild(env);
    expect((await whyOf(env, child)).cycleText).toBe(
      `It may be ${CIRCLE}: run ${child} (loop) waits for a slot in pool "local", where run ${parent} holds what it needs; run ${parent} (loop) started run ${child} and may wait for its end. To resolve this: \`towpath worker start --pool local\` on another machine, or \`towpath runs cancel ${child}\`.`,
    );
    await env.tenancy.worker("desk");
    expect((await whyOf(env, child)).cycle).toEqual([]);
  });

  test("the device that it holds is named, whichever runs have slots beside it", async () => {
    const spec = { compute: { gpu: { count: 1, kind: "a100" } } };
    const amounts = { cpu: 8, gpu: 1, "gpu:a100": 1 };
    const env = await openLoop({ spec, amounts });
    await env.ask();
    await env.start();
    const { parent, child } = await withChild(env);
    const why = await whyOf(env, child);
    expect(why.cycle).toEqual([child, parent]);
    expect(why.cycleText).toContain(
      `run ${child} (loop) waits for a slot with 1 × a100 in pool "local", where run ${parent} holds what it needs`,
    );
  });
});

test("a run that has a slot and waits for a worker slot, which a run has whose task waits for that slot, is in a circle", async () => {
  const env = await openLoop({ slots: 1 });
  await env.limit("warehouse", 1);
  await env.tenancy.deploy("load", { limits: [{ name: "warehouse" }] });
  const busy = await env.ask();
  const fence = await env.start();
  const load = await env.ask({ deployment: "load" });
  await askSlot(env, fence, "warehouse");
  const steps = [
    `run ${busy} (flow), whose task rows waits for \`warehouse\`, which run ${load} has`,
    `run ${load} (load) waits for a slot in pool "local", where run ${busy} holds what it needs`,
  ];
  const why = await whyOf(env, busy);
  expect(why.cycle).toEqual([busy, load]);
  expect(why.cycleText).toBe(
    `It is ${CIRCLE}: ${steps.join("; ")}. To resolve this: \`towpath limit set warehouse 2\`, or \`towpath worker start --pool local\` on another machine, or \`towpath runs cancel ${load}\`.`,
  );
  expect((await whyOf(env, load)).cycle).toEqual([load, busy]);
  // A run that only waits behind them names the cycle too.
  expect((await whyOf(env, await env.ask())).cycleText).toMatch(
    /^It waits for 2 runs that wait for each other/,
  );
});

test("a run whose worker slot another run has that ends by itself is in no circle", async () => {
  const env = await openLoop({ slots: 2 });
  await env.ask();
  await env.start();
  const { child } = await withChild(env);
  expect(await whyOf(env, child)).toMatchObject({ state: "ready", cycle: [], cycleText: null });
});
