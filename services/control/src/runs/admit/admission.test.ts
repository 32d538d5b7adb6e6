import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { records } from "../../fake-worker.fixture.ts";
import { deleteLimit } from "../../limits/index.ts";
import { openLimitsEnv } from "../../slots.fixture.ts";
import { openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { duePeriodicJob } from "../create/due.ts";
import { setQueue } from "../read/pools.ts";
import { cancelRun } from "../requests/requests.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

test("runs take slots in the order of their due times; an end and the next admission are one commit", async () => {
  const env = await openLimitsEnv(testEnv);
  await env.limit("flow", 1, { kind: "deployment" });
  const [a, b, c] = [await env.ask(), await env.ask(), await env.ask()];
  expect(await env.states(a, b, c)).toEqual(["ready", "blocked", "blocked"]);
  expect(await env.serve()).toBe(a);
  expect(await env.states(a, b, c)).toEqual(["completed", "ready", "blocked"]);
  const written = await testEnv.deps.database.sql<{ xid: string }[]>`
    select distinct xmin::text as xid from attempt where run_id = any(${`{${a},${b}}`}::uuid[])
    union select xmin::text from slot where run_id = ${b}`;
  expect(written).toHaveLength(1);
  expect(await env.serve()).toBe(b);
  expect(await env.serve()).toBe(c);
  expect((await env.limits()).get("flow")).toMatchObject({ taken: 0, waiting: 0 });
  expect(await env.faults()).toEqual([]);
});

test("a limit shows which runs hold its slots and which wait", async () => {
  const env = await openLimitsEnv(testEnv);
  const { id } = await env.limit("local", 1, { kind: "pool" });
  const [a, b] = [await env.ask(), await env.ask({ priority: 3 })];
  await env.start();
  await testEnv.pass(60_000);
  const limit = await env.limitById(id);
  expect(limit).toMatchObject({ kind: "pool", slots: 1, taken: 1, waiting: 1 });
  expect(limit.holders).toMatchObject([
    { runId: a, deployment: "flow", task: null, slots: 1, usualMs: null, worker: expect.any(String) },
  ]);
  expect(limit.holders[0]?.forMs).toBeGreaterThanOrEqual(60_000);
  expect(limit.line).toMatchObject([{ runId: b, deployment: "flow", priority: 3 }]);
});

test("the higher priority takes a free slot first, however late it came", async () => {
  const env = await openLimitsEnv(testEnv);
  await env.limit("flow", 1, { kind: "deployment" });
  const [a, b, c] = [await env.ask(), await env.ask(), await env.ask({ priority: 1 })];
  expect([await env.serve(), await env.serve(), await env.serve()]).toEqual([a, c, b]);
});

test("200 blocked runs do not delay one that can start", async () => {
  const env = await openLimitsEnv(testEnv);
  await env.limit("warehouse", 0);
  await env.tenancy.deploy("capped", { limits: [{ name: "warehouse" }] });
  await env.limit("local", 5, { kind: "pool" });
  const capped: string[] = [];
  for (let n = 0; n < 200; n++) capped.push(await env.ask({ deployment: "capped", priority: 9 }));
  const free = await env.ask();
  expect(await env.states(free)).toEqual(["ready"]);
  expect(await env.serve()).toBe(free);
  await env.limit("warehouse", 60);
  const limits = await env.limits();
  expect(limits.get("warehouse")).toMatchObject({ taken: 5, waiting: 195 });
  expect(await env.states(...capped.slice(0, 6))).toEqual([...Array(5).fill("ready"), "blocked"]);
  expect(await env.faults()).toEqual([]);
});

describe("slots return", () => {
  const cases: [string, (h: Awaited<ReturnType<typeof openLimitsEnv>>) => Promise<void>, string][] = [
    ["when a run fails", async (h) => void (await h.serve("failed", { cause: "error" })), "failed"],
    [
      "when a run is cancelled before a worker took it",
      async (h) => {
        const [first] = (await h.limits()).get("flow")?.holders ?? [];
        await cancelRun(testEnv.deps, h.tenancy.scope, { runId: first?.runId ?? "", reason: "" });
      },
      "cancelled",
    ],
    [
      "when a cancelled process has stopped",
      async (h) => {
        const fence = await h.start();
        await cancelRun(testEnv.deps, h.tenancy.scope, { runId: fence.runId, reason: "" });
        expect((await h.limits()).get("flow")).toMatchObject({ taken: 1 });
        await h.fakeWorker.report(fence, [records.ended("cancelled", { cause: "user" })], { from: 2 });
      },
      "cancelled",
    ],
    [
      "when its worker disowns it",
      async (h) => {
        await h.start();
        await h.fakeWorker.poll({ held: [], free: 0, waitMs: 0 });
      },
      "crashed",
    ],
  ];
  for (const [what, end, state] of cases)
    test(what, async () => {
      const env = await openLimitsEnv(testEnv);
      await env.limit("flow", 1, { kind: "deployment" });
      const [a, b] = [await env.ask(), await env.ask()];
      await end(env);
      expect(await env.states(a, b)).toEqual([state, "ready"]);
      expect(await env.faults()).toEqual([]);
    });

  test("while a run waits for its retry; then its due time decides its position", async () => {
    const env = await openLimitsEnv(testEnv);
    const retry = { limit: 1, delayMs: 5_000, causes: ["error" as const] };
    await env.tenancy.deploy("again", { retry, concurrency: { limit: 1 } });
    const [a, b] = [await env.ask({ deployment: "again" }), await env.ask({ deployment: "again" })];
    await env.serve("failed", { cause: "error" });
    expect(await env.states(a, b)).toEqual(["scheduled", "ready"]);
    await env.start();
    await testEnv.pass(5_000);
    await duePeriodicJob.runOnce(testEnv.deps);
    expect(await env.states(a, b)).toEqual(["blocked", "running"]);
    expect(await env.faults()).toEqual([]);
  });

  test("not when a worker releases an attempt before its start", async () => {
    const env = await openLimitsEnv(testEnv);
    await env.limit("flow", 1, { kind: "deployment" });
    const [a, b] = [await env.ask(), await env.ask()];
    await env.fakeWorker.report(await env.fakeWorker.take(), [records.released]);
    expect(await env.states(a, b)).toEqual(["ready", "blocked"]);
    expect((await env.limits()).get("flow")).toMatchObject({ taken: 1 });
    expect(await env.faults()).toEqual([]);
  });

  test("at once for a run whose worker was drained: the run takes them again and keeps its position", async () => {
    const env = await openLimitsEnv(testEnv);
    await env.limit("flow", 1, { kind: "deployment" });
    const [a, b] = [await env.ask({ priority: 1 }), await env.ask()];
    await env.serve("failed", { cause: "evicted" });
    expect(await env.states(a, b)).toEqual(["ready", "blocked"]);
    expect(await env.faults()).toEqual([]);
  });
});

describe("a limit that changes", () => {
  test("when raised, lets the next waiting run start; when lowered, takes nothing away", async () => {
    const env = await openLimitsEnv(testEnv);
    await env.limit("flow", 1, { kind: "deployment" });
    const ids = [await env.ask(), await env.ask(), await env.ask()];
    await env.limit("flow", 2, { kind: "deployment" });
    expect(await env.states(...ids)).toEqual(["ready", "ready", "blocked"]);
    await env.limit("flow", 0, { kind: "deployment" });
    await env.serve();
    await env.serve();
    expect(await env.states(...ids)).toEqual(["completed", "completed", "blocked"]);
    expect(await env.faults()).toEqual([]);
  });

  test("when deleted, lets all runs start that waited for it alone", async () => {
    const env = await openLimitsEnv(testEnv);
    const { id: limitId } = await env.limit("flow", 1, { kind: "deployment" });
    for (let n = 0; n < 120; n++) await env.ask();
    await deleteLimit(testEnv.deps, { scope: env.tenancy.scope, limitId });
    await env.look();
    const [counted] = await testEnv.deps.database.sql<{ count: number }[]>`
      select count(*)::int as count from run where workspace_id = ${env.tenancy.scope.workspaceId} and state = 'ready'`;
    expect(counted?.count).toBe(120);
    expect(await env.faults()).toEqual([]);
  });

  test("when new, counts what is running already, and takes nothing away from it", async () => {
    const env = await openLimitsEnv(testEnv);
    const [a, b] = [await env.ask(), await env.ask()];
    await env.start();
    await env.limit("flow", 1, { kind: "deployment" });
    await env.limit("local", 5, { kind: "pool" });
    expect((await env.limits()).get("flow")).toMatchObject({ taken: 2 });
    expect((await env.limits()).get("local")).toMatchObject({ taken: 2 });
    const c = await env.ask();
    expect(await env.states(a, b, c)).toEqual(["running", "ready", "blocked"]);
    await cancelRun(testEnv.deps, env.tenancy.scope, { runId: b, reason: "" });
    expect(await env.states(c)).toEqual(["blocked"]);
    await env.fakeWorker.poll({ held: [], free: 0, waitMs: 0 });
    expect(await env.states(a, b, c)).toEqual(["crashed", "cancelled", "ready"]);
    expect(await env.faults()).toEqual([]);
  });

  test("when new, also holds for runs that wait for another limit already", async () => {
    const env = await openLimitsEnv(testEnv);
    await env.limit("flow", 1, { kind: "deployment" });
    const [a, b] = [await env.ask(), await env.ask()];
    await env.limit("local", 0, { kind: "pool" });
    expect(await env.serve()).toBe(a);
    expect(await env.states(b)).toEqual(["blocked"]);
    await env.limit("local", 1, { kind: "pool" });
    expect(await env.states(b)).toEqual(["ready"]);
    expect(await env.faults()).toEqual([]);
  });
});

test("tokens of a rate return by time, and then the next run starts", async () => {
  const env = await openLimitsEnv(testEnv);
  await env.limit("flow", 2, { kind: "deployment", perMs: 60_000 });
  const ids = [await env.ask(), await env.ask(), await env.ask()];
  await env.serve();
  await env.serve();
  await env.look();
  expect(await env.states(...ids)).toEqual(["completed", "completed", "blocked"]);
  await testEnv.pass(59_000);
  await env.look();
  expect(await env.states(...ids)).toEqual(["completed", "completed", "blocked"]);
  await testEnv.pass(1_000);
  expect((await env.limits()).get("flow")).toMatchObject({ taken: 0, waiting: 1 });
  await env.look();
  expect(await env.states(...ids)).toEqual(["completed", "completed", "ready"]);
  expect((await env.limits()).get("flow")).toMatchObject({ taken: 1, waiting: 0 });
  expect(await env.faults()).toEqual([]);
});

test("a run that is cancelled leaves its wait list", async () => {
  const env = await openLimitsEnv(testEnv);
  await env.limit("flow", 1, { kind: "deployment" });
  const [a, b, c] = [await env.ask(), await env.ask(), await env.ask()];
  await cancelRun(testEnv.deps, env.tenancy.scope, { runId: b, reason: "" });
  await env.serve();
  expect(await env.states(a, b, c)).toEqual(["completed", "cancelled", "ready"]);
  expect(await env.faults()).toEqual([]);
});

describe("a deployment whose slots are taken", () => {
  test("under cancel-new, cancels the new run and says why", async () => {
    const env = await openLimitsEnv(testEnv);
    const concurrency = { limit: 1, collision: "cancel-new" as const };
    await env.tenancy.deploy("one", { concurrency });
    const [a, b] = [await env.ask({ deployment: "one" }), await env.ask({ deployment: "one" })];
    expect(await env.states(a, b)).toEqual(["ready", "cancelled"]);
    expect((await env.run(b)).cancelReason).toBe(
      'The slot of the deployment "one" was taken, and its limit has the collision policy cancel-new.',
    );
    await env.serve();
    expect(await env.states(await env.ask({ deployment: "one" }))).toEqual(["ready"]);
    expect(await env.faults()).toEqual([]);
  });

  test("under both policies, lets a run with an earlier attempt wait, and does not cancel the run that took its slot", async () => {
    for (const collision of ["cancel-new", "cancel-running"] as const) {
      const env = await openLimitsEnv(testEnv);
      const retry = { limit: 1, delayMs: 5_000, causes: ["error" as const] };
      await env.tenancy.deploy("one", { retry, concurrency: { limit: 1, collision } });
      const a = await env.ask({ deployment: "one" });
      await env.serve("failed", { cause: "error" });
      const b = await env.ask({ deployment: "one" });
      await testEnv.pass(5_000);
      await duePeriodicJob.runOnce(testEnv.deps);
      expect(await env.states(a, b)).toEqual(["blocked", "ready"]);
      expect(await env.faults()).toEqual([]);
    }
  });

  test("under cancel-running, cancels the oldest runs until the newest fits, waiting ones included", async () => {
    const env = await openLimitsEnv(testEnv);
    await env.tenancy.deploy("one", { concurrency: { limit: 1, collision: "cancel-running" } });
    const a = await env.ask({ deployment: "one" });
    const fence = await env.start();
    const b = await env.ask({ deployment: "one" });
    expect(await env.states(a, b)).toEqual(["cancelling", "blocked"]);
    const c = await env.ask({ deployment: "one" });
    expect(await env.states(a, b, c)).toEqual(["cancelling", "cancelled", "blocked"]);
    await env.fakeWorker.report(fence, [records.ended("cancelled", { cause: "user" })], { from: 2 });
    expect(await env.states(a, b, c)).toEqual(["cancelled", "cancelled", "ready"]);
    expect(await env.run(a)).toMatchObject({ cause: "collision", attemptList: [{ cause: "user" }] });
    expect((await env.run(a)).cancelReason).toContain("cancel-running");
    expect(await env.run(b)).toMatchObject({ cause: "collision" });
    expect(await env.faults()).toEqual([]);
  });

  test("under cancel-running, a run that a person cancels keeps the cause of a person", async () => {
    const env = await openLimitsEnv(testEnv);
    await env.tenancy.deploy("one", { concurrency: { limit: 1, collision: "cancel-running" } });
    const a = await env.ask({ deployment: "one" });
    const fence = await env.start();
    await cancelRun(testEnv.deps, env.tenancy.scope, { runId: a, reason: "" });
    await env.ask({ deployment: "one" });
    await env.fakeWorker.report(fence, [records.ended("cancelled", { cause: "user" })], { from: 2 });
    expect(await env.run(a)).toMatchObject({ state: "cancelled", cause: "user" });
  });

  test("under cancel-running, of several runs that are due at once only the newest that fit run", async () => {
    const env = await openLimitsEnv(testEnv);
    await env.tenancy.deploy("one", { concurrency: { limit: 2, collision: "cancel-running" } });
    const at = (seconds: number) => new Date(testEnv.clock.nowMs() + seconds * 1_000).toISOString();
    const ids: string[] = [];
    for (const seconds of [1, 2, 3, 4])
      ids.push(await env.ask({ deployment: "one", scheduledAt: at(seconds) }));
    await testEnv.pass(5_000);
    await duePeriodicJob.runOnce(testEnv.deps);
    expect(await env.states(...ids)).toEqual(["cancelled", "cancelled", "ready", "ready"]);
    expect(await env.run(ids[0] ?? "")).toMatchObject({ cause: "collision", attempts: 0 });
    expect(await env.faults()).toEqual([]);
  });

  test("the code's limit holds until a person sets it, and goes when the code no longer names it", async () => {
    const env = await openLimitsEnv(testEnv);
    await env.tenancy.deploy("one", { concurrency: { limit: 1 } });
    expect((await env.limits()).get("one")).toMatchObject({ slots: 1, source: "code" });
    await env.tenancy.deploy("one", { version: 2 });
    expect((await env.limits()).has("one")).toBe(false);
    await env.limit("one", 5, { kind: "deployment" });
    await env.tenancy.deploy("one", { version: 3, concurrency: { limit: 2 } });
    expect((await env.limits()).get("one")).toMatchObject({ slots: 5, source: "person" });
  });

  test("a version that names a limit that does not exist is not registered", async () => {
    const env = await openLimitsEnv(testEnv);
    await env.limit("warehouse", 1);
    const deployed = env.tenancy.deploy("typo", { limits: [{ name: "warehose" }] });
    await expect(deployed).rejects.toThrow(/no limit "warehose"; did you mean "warehouse"/);
  });
});

describe("queues", () => {
  async function withQueues() {
    const env = await openLimitsEnv(testEnv);
    const { scope } = env.tenancy;
    const set = (queue: string, priority: number) =>
      setQueue(testEnv.deps, { scope, name: "local", input: { queue, priority } });
    await set("urgent", 10);
    await set("idle", -10);
    return Object.assign(env, { set });
  }

  test("with a new priority move the runs that wait for a worker or for slots", async () => {
    const env = await withQueues();
    const [a, b] = [await env.ask(), await env.ask({ queue: "idle" })];
    await env.set("idle", 1);
    expect([await env.serve(), await env.serve()]).toEqual([b, a]);
    await env.limit("local", 1, { kind: "pool" });
    const [first, c, d] = [await env.ask(), await env.ask(), await env.ask({ queue: "idle" })];
    expect(await env.states(first, c, d)).toEqual(["ready", "blocked", "blocked"]);
    await env.set("urgent", 50);
    await env.set("idle", 20);
    expect([await env.serve(), await env.serve(), await env.serve()]).toEqual([first, d, c]);
    expect(await env.faults()).toEqual([]);
  });

  test("of higher priority go first, then the runs' own priority decides, then their age", async () => {
    const env = await withQueues();
    const [a, b] = [await env.ask({ queue: "idle", priority: 100 }), await env.ask()];
    const [c, d] = [await env.ask({ priority: 1 }), await env.ask({ queue: "urgent", priority: -100 })];
    const served = [await env.serve(), await env.serve(), await env.serve(), await env.serve()];
    expect(served).toEqual([d, c, b, a]);
  });

  test("may have a limit, and order a wait list for slots too", async () => {
    const env = await withQueues();
    await env.limit("local/idle", 1, { kind: "queue" });
    await env.limit("local", 2, { kind: "pool" });
    const [a, b] = [await env.ask({ queue: "idle" }), await env.ask({ queue: "idle" })];
    const [c, d, e] = [await env.ask(), await env.ask(), await env.ask({ queue: "urgent" })];
    expect(await env.states(a, b, c, d, e)).toEqual(["ready", "blocked", "ready", "blocked", "blocked"]);
    expect(await env.serve()).toBe(c);
    expect(await env.states(a, b, d, e)).toEqual(["ready", "blocked", "blocked", "ready"]);
    expect(await env.faults()).toEqual([]);
  });

  test("come from the deployment if the request names none, and so does its priority", async () => {
    const env = await withQueues();
    await env.tenancy.deploy("calm", { queue: "idle", priority: 7 });
    const asked = { deployment: "calm", priority: undefined };
    const run = await env.run(await env.ask(asked));
    expect(run).toMatchObject({ queue: "idle", priority: 7 });
    const other = await env.run(await env.ask({ ...asked, queue: "urgent", priority: 0 }));
    expect(other).toMatchObject({ queue: "urgent", priority: 0 });
  });

  test("that do not exist are refused, with a suggestion", async () => {
    const env = await withQueues();
    await expect(env.ask({ queue: "urgnt" })).rejects.toThrow(/no queue "urgnt"; did you mean "urgent"/);
    const limited = env.limit("local/nothing", 1, { kind: "queue" });
    await expect(limited).rejects.toMatchObject({ code: "queue-not-found" });
  });
});

test("a run that enters a long wait list also starts in order, whatever happens to the runs before it", async () => {
  const env = await openLimitsEnv(testEnv);
  await env.limit("flow", 1, { kind: "deployment" });
  const ids: string[] = [];
  for (let n = 0; n < 15; n++) ids.push(await env.ask());
  const urgent = await env.ask({ priority: 1 });
  expect((await env.limits()).get("flow")).toMatchObject({ waiting: 15 });
  expect(await env.faults()).toEqual([]);
  for (const runId of ids.slice(1)) await cancelRun(testEnv.deps, env.tenancy.scope, { runId, reason: "" });
  expect(await env.serve()).toBe(ids[0]);
  expect(await env.states(urgent)).toEqual(["ready"]);
  const [notes] = await testEnv.deps.database.sql<
    { count: number }[]
  >`select count(*)::int as count from slot_look`;
  expect(notes?.count).toBeGreaterThan(0);
  await env.look();
  const [left] = await testEnv.deps.database.sql<
    { count: number }[]
  >`select count(*)::int as count from slot_look`;
  expect(left?.count).toBe(0);
});
