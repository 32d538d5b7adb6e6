import type { Assignment } from "@towpath/contract";
import { CalledRun, SetLimit, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { records } from "../../fake-worker.fixture.ts";
import { deleteLimit } from "../../limits/index.ts";
import { openLimitsEnv } from "../../slots.fixture.ts";
import { openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { call } from "../calls/call.ts";
import { createRuns } from "../create/create-many.ts";
import { duePeriodicJob } from "../create/due.ts";
import { setLimit } from "../read/limits.ts";
import { getRunWhy } from "../read/read.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

type LimitsEnv = Awaited<ReturnType<typeof openLimitsEnv>>;
type Fence = Pick<Assignment, "attemptId" | "epoch" | "nonce">;
type Ask = { key: string; tags?: string[]; names?: string[]; inside?: string };

const tag = (env: LimitsEnv, name: string, slots: number, over: Partial<SetLimit> = {}) =>
  env.limit(name, slots, { kind: "tag", ...over });

/** The calls of a flow, for one attempt. */
function callsOf(env: LimitsEnv, { attemptId, epoch, nonce }: Fence) {
  const send = (asked: Parameters<typeof call>[2]["call"]) =>
    call(testEnv.deps, env.fakeWorker.worker, {
      attemptId,
      epoch,
      nonce,
      callId: uuidv7(testEnv.clock.nowMs()),
      call: asked,
    });
  return {
    async take(asked: readonly Ask[], waitMs = 0) {
      const requests = asked.map(({ key, tags, names = [], inside }) => ({
        key,
        limits: names.map((name) => ({ name, slots: 1 })),
        ...(tags && { tags }),
        ...(inside !== undefined && { inside }),
      }));
      const answer = CalledRun.parse(await send({ kind: "take-slots", requests, waitMs }));
      return { granted: answer.granted?.sort(), withoutSlots: answer.withoutSlots?.sort() };
    },
    back: async (...keys: string[]) => void (await send({ kind: "give-back", keys })),
  };
}

/** A running run, with these tags, and its flow's calls. */
async function running(env: LimitsEnv, tags: string[] = []) {
  const id = await env.ask({ tags });
  const fence = await env.start();
  return { id, fence, ...callsOf(env, fence) };
}

describe("runs with a tag", () => {
  test("take its slots at admission, whatever their deployment; others do not", async () => {
    const env = await openLimitsEnv(testEnv);
    await env.tenancy.deploy("load");
    await tag(env, "warehouse", 2);
    const tags = ["prod", "warehouse"];
    const asked = [await env.ask({ tags }), await env.ask({ tags, deployment: "load" })];
    const third = await env.ask({ tags: ["warehouse"] });
    const [other, untagged] = [await env.ask({ tags: ["prod"] }), await env.ask()];
    expect(await env.states(...asked, third, other, untagged)).toEqual([
      "ready",
      "ready",
      "blocked",
      "ready",
      "ready",
    ]);
    expect((await env.limits()).get("warehouse")).toMatchObject({ kind: "tag", taken: 2, waiting: 1 });
    expect(await env.serve()).toBe(asked[0]);
    expect(await env.states(third)).toEqual(["ready"]);
    expect(await env.faults()).toEqual([]);
  });

  test("need all their limits together, and hold none while they wait", async () => {
    const env = await openLimitsEnv(testEnv);
    await env.limit("db", 1);
    await env.tenancy.deploy("load", { limits: [{ name: "db" }] });
    await tag(env, "a", 1);
    await tag(env, "b", 1);
    const both = await env.ask({ tags: ["b"] });
    const whole = await env.ask({ deployment: "load", tags: ["b", "a", "b"] });
    const onlyA = await env.ask({ tags: ["a"] });
    expect(await env.states(both, whole, onlyA)).toEqual(["ready", "blocked", "ready"]);
    expect((await env.limits()).get("db")).toMatchObject({ taken: 0 });
    await env.serve();
    expect(await env.states(whole)).toEqual(["blocked"]);
    await env.serve();
    expect(await env.states(whole)).toEqual(["ready"]);
    const limits = await env.limits();
    for (const name of ["a", "b", "db"]) expect(limits.get(name)).toMatchObject({ taken: 1, waiting: 0 });
    expect(await env.faults()).toEqual([]);
  });

  test("that are created together wait each for its own tags", async () => {
    const env = await openLimitsEnv(testEnv);
    await tag(env, "warehouse", 1);
    const ids = [0, 1, 2].map(() => uuidv7(testEnv.clock.nowMs()));
    const runs = ids.map((id, index) => ({ id, parameters: {}, tags: index === 1 ? [] : ["warehouse"] }));
    await createRuns(testEnv.deps, env.tenancy.scope, { deployment: "flow", runs });
    await duePeriodicJob.runOnce(testEnv.deps);
    expect((await env.states(...ids)).sort()).toEqual(["blocked", "ready", "ready"]);
    expect((await env.limits()).get("warehouse")).toMatchObject({ taken: 1, waiting: 1 });
    expect(await env.faults()).toEqual([]);
  });

  test("have the tags of their deployment too, however they are created", async () => {
    const env = await openLimitsEnv(testEnv);
    await env.tenancy.deploy("load", { tags: ["warehouse", "nightly"] });
    await tag(env, "warehouse", 1);
    const one = await env.ask({ deployment: "load", tags: ["nightly", "mine"] });
    expect((await env.run(one)).tags).toEqual(["warehouse", "nightly", "mine"]);
    const id = uuidv7(testEnv.clock.nowMs());
    const runs = [{ id, parameters: {}, tags: [] }];
    await createRuns(testEnv.deps, env.tenancy.scope, { deployment: "load", runs });
    await duePeriodicJob.runOnce(testEnv.deps);
    expect(await env.states(one, id)).toEqual(["ready", "blocked"]);
    expect((await env.run(id)).tags).toEqual(["warehouse", "nightly"]);
    expect(await env.faults()).toEqual([]);
  });

  test("say in why which tag they wait for, and which command gives it slots", async () => {
    const env = await openLimitsEnv(testEnv);
    await tag(env, "Team A's data", 1);
    const first = await env.ask({ tags: ["Team A's data"] });
    const second = await env.ask({ tags: ["Team A's data"] });
    const { reasons } = await getRunWhy(testEnv.deps, env.tenancy.scope, { runId: second });
    expect(reasons[0]?.text).toMatch(
      new RegExp(
        `^First in the wait list for the slots of tag \`Team A's data\`; held by run ${first} \\(flow\\)`,
      ),
    );
    expect(reasons[0]?.limit).toMatchObject({ kind: "tag", name: "Team A's data" });
    await tag(env, "Team A's data", 0);
    const none = await getRunWhy(testEnv.deps, env.tenancy.scope, { runId: second });
    expect(none.reasons[0]?.text).toContain("`towpath limit set 'Team A'\\''s data' --kind tag SLOTS`");
  });

  test("of another workspace do not count", async () => {
    const [env, other] = [await openLimitsEnv(testEnv), await openLimitsEnv(testEnv)];
    await tag(env, "warehouse", 0);
    await tag(other, "crm", 0);
    const theirs = await running(other, ["warehouse"]);
    expect(await theirs.take([{ key: "t", tags: ["warehouse"] }])).toMatchObject({ withoutSlots: ["t"] });
    expect((await env.limits()).get("warehouse")).toMatchObject({ taken: 0, waiting: 0 });
    expect(await env.states(await env.ask({ tags: ["warehouse"] }))).toEqual(["blocked"]);
    // The same tag, limited in both, counts in each on its own.
    await tag(other, "warehouse", 5);
    expect((await other.limits()).get("warehouse")).toMatchObject({ taken: 1 });
    expect((await env.limits()).get("warehouse")).toMatchObject({ taken: 0, waiting: 1 });
    expect(await env.faults()).toEqual([]);
  });
});

describe("a new limit of a tag", () => {
  test("counts the runs that execute, and holds for those that wait for another limit", async () => {
    const env = await openLimitsEnv(testEnv);
    await env.limit("flow", 1, { kind: "deployment" });
    const tags = ["warehouse"];
    const [a, b, c] = [await env.ask({ tags }), await env.ask({ tags }), await env.ask()];
    const [fence] = [await env.start()];
    expect(await env.states(a, b, c)).toEqual(["running", "blocked", "blocked"]);
    await tag(env, "warehouse", 1);
    expect((await env.limits()).get("warehouse")).toMatchObject({ taken: 1, waiting: 1 });
    await env.limit("flow", 3, { kind: "deployment" });
    expect(await env.states(a, b, c)).toEqual(["running", "blocked", "ready"]);
    await env.fakeWorker.report(fence, [records.ended("completed")], { from: 2 });
    expect(await env.states(a, b, c)).toEqual(["completed", "ready", "ready"]);
    expect(await env.faults()).toEqual([]);
  });

  test("that is deleted lets its waiting runs start; made again, it holds again", async () => {
    const env = await openLimitsEnv(testEnv);
    const { id } = await tag(env, "warehouse", 1);
    const tags = ["warehouse"];
    const [a, b] = [await env.ask({ tags }), await env.ask({ tags })];
    await deleteLimit(testEnv.deps, { scope: env.tenancy.scope, limitId: id });
    await env.look();
    expect(await env.states(a, b)).toEqual(["ready", "ready"]);
    await tag(env, "warehouse", 1);
    expect((await env.limits()).get("warehouse")).toMatchObject({ taken: 2, waiting: 0 });
    const c = await env.ask({ tags });
    expect(await env.states(c)).toEqual(["blocked"]);
    await env.serve();
    expect(await env.states(c)).toEqual(["blocked"]);
    await env.serve();
    expect(await env.states(c)).toEqual(["ready"]);
    expect(await env.faults()).toEqual([]);
  });

  test("waits for runs that are about to enter a wait list, so that none waits without it", async () => {
    const env = await openLimitsEnv(testEnv);
    const { deps } = testEnv;
    const { scope } = env.tenancy;
    await env.limit("flow", 0, { kind: "deployment" });
    const ids: string[] = [];
    const names = ["one", "two", "three"];
    // Each limit is created while runs with its tag enter the wait list of their deployment.
    for (const name of names) {
      const asks = Array.from({ length: 4 }, () => env.ask({ tags: [name, "other"] }));
      const input = SetLimit.parse({ kind: "tag", name, slots: 0 });
      const [, ...made] = await Promise.all([setLimit(deps, { scope, input }), ...asks]);
      ids.push(...made);
    }
    await env.limit("flow", 50, { kind: "deployment" });
    expect(await env.states(...ids)).toEqual(ids.map(() => "blocked"));
    const limits = await env.limits();
    for (const name of names) expect(limits.get(name)).toMatchObject({ taken: 0, waiting: 4 });
    for (const name of names) await tag(env, name, 9);
    expect(await env.states(...ids)).toEqual(ids.map(() => "ready"));
    expect(await env.faults()).toEqual([]);
  });

  test("survives a new version of the deployment", async () => {
    const env = await openLimitsEnv(testEnv);
    await tag(env, "warehouse", 1);
    await env.tenancy.deploy("load", { concurrency: { limit: 9 } });
    const tags = ["warehouse"];
    const [a, b] = [await env.ask({ deployment: "load", tags }), await env.ask({ deployment: "load", tags })];
    await env.tenancy.deploy("load", { version: 2, concurrency: { limit: 8 } });
    await env.look();
    expect(await env.states(a, b)).toEqual(["ready", "blocked"]);
    expect(await env.faults()).toEqual([]);
  });
});

describe("tasks with a tag", () => {
  test("take a slot for each try, and return it", async () => {
    const env = await openLimitsEnv(testEnv);
    await tag(env, "warehouse", 2);
    const { take, back } = await running(env);
    const tags = ["warehouse", "unlimited"];
    const asked = ["a", "b", "c"].map((key) => ({ key, tags }));
    expect(await take(asked)).toEqual({ granted: ["a", "b"], withoutSlots: [] });
    expect(await take(asked.slice(2))).toEqual({ granted: [], withoutSlots: [] });
    expect((await env.limits()).get("warehouse")).toMatchObject({ taken: 2, waiting: 1 });
    const waiting = take(asked.slice(2), 20_000);
    await back("a");
    expect(await waiting).toEqual({ granted: ["c"], withoutSlots: [] });
    expect(await env.faults()).toEqual([]);
  });

  test("begin at once if no tag has a limit, beside others that wait", async () => {
    const env = await openLimitsEnv(testEnv);
    await tag(env, "full", 0);
    const { take, back } = await running(env);
    const asked = [
      { key: "free", tags: ["x"] },
      { key: "waits", tags: ["full"] },
    ];
    expect(await take(asked, 20_000)).toEqual({ granted: ["free"], withoutSlots: ["free"] });
    await back("free", "waits");
    expect(await env.faults()).toEqual([]);
  });

  test("take the slots of their tags and named limits together, or none", async () => {
    const env = await openLimitsEnv(testEnv);
    await tag(env, "warehouse", 1);
    await env.limit("db", 1);
    const { take, back } = await running(env);
    expect(await take([{ key: "a", names: ["db"] }])).toMatchObject({ granted: ["a"] });
    expect(await take([{ key: "both", names: ["db"], tags: ["warehouse"] }])).toMatchObject({ granted: [] });
    expect(await take([{ key: "b", tags: ["warehouse"] }])).toMatchObject({ granted: ["b"] });
    await back("a", "b");
    expect(await take([{ key: "both", names: ["db"], tags: ["warehouse"] }])).toMatchObject({
      granted: ["both"],
      withoutSlots: [],
    });
    expect(await env.faults()).toEqual([]);
  });

  test("use the slot of their run if it carries the tag, so that it does not wait for itself", async () => {
    const env = await openLimitsEnv(testEnv);
    await tag(env, "warehouse", 1);
    const { id, take } = await running(env, ["warehouse"]);
    const answer = await take([{ key: "a", tags: ["warehouse"] }]);
    expect(answer).toEqual({ granted: ["a"], withoutSlots: ["a"] });
    expect((await env.limits()).get("warehouse")).toMatchObject({
      taken: 1,
      holders: [{ runId: id, task: null }],
    });
    const { reasons } = await getRunWhy(testEnv.deps, env.tenancy.scope, { runId: id });
    expect(reasons).toEqual([]);
    expect(await env.faults()).toEqual([]);
  });

  test("use the slot of the task that calls them; a slot of another tag is refused there", async () => {
    const env = await openLimitsEnv(testEnv);
    await tag(env, "warehouse", 1);
    await tag(env, "crm", 1);
    await tag(env, "api", 1, { perMs: 60_000 });
    const { take } = await running(env);
    expect(await take([{ key: "outer", tags: ["warehouse"] }])).toMatchObject({ withoutSlots: [] });
    const inner = (tags: string[]) => take([{ key: "outer/inner", tags, inside: "outer" }]);
    expect(await inner(["warehouse"])).toMatchObject({ withoutSlots: ["outer/inner"] });
    expect(await inner(["unlimited"])).toMatchObject({ withoutSlots: ["outer/inner"] });
    await expect(inner(["warehouse", "crm"])).rejects.toMatchObject({
      code: "slots-held",
      detail: expect.stringContaining('tag "crm"'),
    });
    // A token returns by time, so waiting for it ends.
    expect(await inner(["api"])).toEqual({ granted: ["outer/inner"], withoutSlots: [] });
    expect(await env.faults()).toEqual([]);
  });

  test("of a limit that is made while the run executes need slots from their next try on", async () => {
    const env = await openLimitsEnv(testEnv);
    const { take } = await running(env);
    expect(await take([{ key: "a", tags: ["warehouse"] }])).toMatchObject({ withoutSlots: ["a"] });
    await tag(env, "warehouse", 1);
    expect(await take([{ key: "b", tags: ["warehouse"] }])).toMatchObject({
      granted: ["b"],
      withoutSlots: [],
    });
    expect(await take([{ key: "c", tags: ["warehouse"] }])).toMatchObject({ granted: [] });
  });

  test("begin at once when the limit for which they wait is deleted", async () => {
    const env = await openLimitsEnv(testEnv);
    const { id } = await tag(env, "warehouse", 0);
    const { take } = await running(env);
    const waiting = take([{ key: "a", tags: ["warehouse"] }], 20_000);
    await expect.poll(async () => (await env.limits()).get("warehouse")?.waiting).toBe(1);
    await deleteLimit(testEnv.deps, { scope: env.tenancy.scope, limitId: id });
    await env.look();
    expect(await waiting).toEqual({ granted: ["a"], withoutSlots: ["a"] });
    expect(await env.faults()).toEqual([]);
  });

  test("that ask again after a lost answer take nothing more", async () => {
    const env = await openLimitsEnv(testEnv);
    await tag(env, "warehouse", 2);
    const { take } = await running(env);
    for (const _ of [1, 2])
      expect(await take([{ key: "a", tags: ["warehouse"] }])).toEqual({ granted: ["a"], withoutSlots: [] });
    expect((await env.limits()).get("warehouse")).toMatchObject({ taken: 1 });
  });

  test("of a worker that disowns the run return their slots", async () => {
    const env = await openLimitsEnv(testEnv);
    await tag(env, "warehouse", 1);
    const one = await running(env);
    await one.take([{ key: "a", tags: ["warehouse"] }]);
    await env.fakeWorker.poll({ held: [], free: 0, waitMs: 0 });
    expect((await env.limits()).get("warehouse")).toMatchObject({ taken: 0 });
    expect(await env.states(one.id)).toEqual(["crashed"]);
    expect(await env.faults()).toEqual([]);
  });
});

test.each([
  ["a", "tag", "Any text, 64 characters at most"],
  ["x".repeat(65), "tag", null],
  ["pool/queue", "tag", "Any text"],
  ["Big Name", "named", null],
  ["a/b/c", "queue", null],
])("the name %s of the kind %s is judged by its kind", (name, kind, accepted) => {
  expect(SetLimit.safeParse({ kind, name, slots: 1 }).success).toBe(accepted !== null);
});
