import type { Assignment } from "@towpath/contract";
import { CalledRun, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { records } from "../../fake-worker.fixture.ts";
import { openLimitsEnv } from "../../slots.fixture.ts";
import { openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { getRunWhy } from "../read/read.ts";
import { cancelRun } from "../requests/requests.ts";
import { call, type FlowCall } from "./call.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

type LimitsEnv = Awaited<ReturnType<typeof openLimitsEnv>>;
type Fence = Pick<Assignment, "attemptId" | "epoch" | "nonce">;

/** The calls of a flow, for one attempt. */
function callsOf(env: LimitsEnv, { attemptId, epoch, nonce }: Fence) {
  const send = async (asked: FlowCall["call"]) => {
    const request = { attemptId, epoch, nonce, callId: uuidv7(testEnv.clock.nowMs()), call: asked };
    return call(testEnv.deps, env.fakeWorker.worker, request);
  };
  return {
    /** @param keys Each takes one slot of `limit`. @returns the keys that hold theirs */
    async take(limit: string | { name: string; slots: number }, keys: string[], waitMs = 0) {
      const use = typeof limit === "string" ? { name: limit, slots: 1 } : limit;
      const requests = keys.map((key) => ({ key, limits: [use] }));
      const { granted } = CalledRun.parse(await send({ kind: "take-slots", requests, waitMs }));
      return granted?.sort();
    },
    back: async (...keys: string[]) => void (await send({ kind: "give-back", keys })),
  };
}

async function running(limits: Record<string, number>, over: { perMs?: number } = {}) {
  const env = await openLimitsEnv(testEnv);
  for (const [name, slots] of Object.entries(limits)) await env.limit(name, slots, over);
  const id = await env.ask();
  const fence = await env.start();
  return { env, id, fence, ...callsOf(env, fence) };
}

describe("tries of tasks", () => {
  test("take slots while there are any, and wait for the others", async () => {
    const { env, id, take } = await running({ warehouse: 2 });
    expect(await take("warehouse", ["a", "b", "c"])).toEqual(["a", "b"]);
    expect(await take("warehouse", ["c"])).toEqual([]);
    const limit = (await env.limits()).get("warehouse");
    expect(limit).toMatchObject({ taken: 2, waiting: 1, line: [{ runId: id, task: "c" }] });
    expect(await env.faults()).toEqual([]);
  });

  test("that ask again after a lost answer take nothing more", async () => {
    const { env, take } = await running({ warehouse: 3 });
    await take("warehouse", ["a"]);
    expect(await take("warehouse", ["a"])).toEqual(["a"]);
    expect((await env.limits()).get("warehouse")).toMatchObject({ taken: 1 });
  });

  test("hear at once that a slot was returned", async () => {
    const { take, back } = await running({ warehouse: 1 });
    await take("warehouse", ["a"]);
    const waiting = take("warehouse", ["b"], 20_000);
    await back("a");
    expect(await waiting).toEqual(["b"]);
  });

  test("that take all they need or nothing leave the rest to others", async () => {
    const { env, take } = await running({ warehouse: 3 });
    expect(await take("warehouse", ["a"])).toEqual(["a"]);
    expect(await take({ name: "warehouse", slots: 3 }, ["big"])).toEqual([]);
    expect(await take("warehouse", ["b"])).toEqual(["b"]);
    expect(await env.faults()).toEqual([]);
  });

  test("leave their wait list when they no longer want slots", async () => {
    const { env, take, back } = await running({ warehouse: 1 });
    await take("warehouse", ["a", "b"]);
    await back("b");
    expect((await env.limits()).get("warehouse")).toMatchObject({ taken: 1, waiting: 0 });
  });

  test("of two runs share a limit with runs that need it, in one wait list", async () => {
    const { env, take, back } = await running({ warehouse: 1 });
    await env.tenancy.deploy("load", { limits: [{ name: "warehouse" }] });
    await take("warehouse", ["a"]);
    const load = await env.ask({ deployment: "load" });
    expect(await env.states(load)).toEqual(["blocked"]);
    await back("a");
    expect(await env.states(load)).toEqual(["ready"]);
    expect(await take("warehouse", ["b"])).toEqual([]);
  });

  test("take tokens of a rate, which return by time and not at the task's end", async () => {
    const { env, take, back } = await running({ api: 1 }, { perMs: 1_000 });
    expect(await take("api", ["a"])).toEqual(["a"]);
    await back("a");
    expect(await take("api", ["b"])).toEqual([]);
    await testEnv.pass(1_000);
    await env.look();
    expect(await take("api", ["b"])).toEqual(["b"]);
    expect(await env.faults()).toEqual([]);
  });

  test("hold slots under a path that is longer than an index entry", async () => {
    const { take } = await running({ warehouse: 1 });
    const long = `${"ä".repeat(1_000)}/task`;
    expect(await take("warehouse", [long])).toEqual([long]);
    expect(await take("warehouse", [long])).toEqual([long]);
  });
});

describe("are refused", () => {
  test("when there is no such limit", async () => {
    const { take } = await running({ warehouse: 1 });
    await expect(take("warehose", ["a"])).rejects.toMatchObject({ code: "limit-not-found" });
  });

  test("when the run is being stopped; returning slots is not refused", async () => {
    const { env, id, take, back } = await running({ warehouse: 1 });
    await take("warehouse", ["a"]);
    await cancelRun(testEnv.deps, env.tenancy.scope, { runId: id, reason: "" });
    await expect(take("warehouse", ["b"])).rejects.toMatchObject({ code: "forbidden" });
    await back("a");
    expect((await env.limits()).get("warehouse")).toMatchObject({ taken: 0 });
  });
});

const endings: [string, (one: Awaited<ReturnType<typeof running>>, other: Fence) => Promise<unknown>][] = [
  ["completes", ({ env, fence }) => env.fakeWorker.report(fence, [records.ended("completed")], { from: 2 })],
  [
    "fails",
    ({ env, fence }) =>
      env.fakeWorker.report(fence, [records.ended("failed", { cause: "oom" })], { from: 2 }),
  ],
  [
    "is disowned by its worker",
    ({ env }, { attemptId, epoch, nonce }) =>
      env.fakeWorker.poll({ held: [{ attemptId, epoch, nonce }], free: 0, waitMs: 0 }),
  ],
];
for (const [what, end] of endings)
  test(`an attempt that ${what} gives back what its tasks have, and leaves their lines`, async () => {
    const one = await running({ warehouse: 1 });
    await one.take("warehouse", ["a", "b"]);
    await one.env.ask();
    const other = await one.env.start();
    const waiting = callsOf(one.env, other).take("warehouse", ["c"], 20_000);
    await end(one, other);
    expect(await waiting).toEqual(["c"]);
    expect((await one.env.limits()).get("warehouse")).toMatchObject({ taken: 1, waiting: 0 });
    expect(await one.env.faults()).toEqual([]);
  });

test("a run whose tasks wait for slots names the limits, and says when it waits for itself", async () => {
  const env = await openLimitsEnv(testEnv);
  await env.limit("warehouse", 1);
  await env.tenancy.deploy("load", { limits: [{ name: "warehouse" }] });
  const id = await env.ask({ deployment: "load" });
  const { take } = callsOf(env, await env.start());
  await take("warehouse", ["rows"]);
  const why = await getRunWhy(testEnv.deps, env.tenancy.scope, { runId: id });
  expect(why.reasons[0]?.text).toMatch(
    new RegExp(`^Task rows: First in the wait list for \`warehouse\`; held by run ${id}`),
  );
  expect(why.cycle).toEqual([id]);
});
