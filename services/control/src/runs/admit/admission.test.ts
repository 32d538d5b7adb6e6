import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { said } from "../../fake-worker.fixture.ts";
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
  const harbour = await openLimitsEnv(testEnv);
  await harbour.limit("flow", 1, { kind: "deployment" });
  const [a, b, c] = [await harbour.ask(), await harbour.ask(), await harbour.ask()];
  expect(await harbour.states(a, b, c)).toEqual(["ready", "blocked", "blocked"]);
  expect(await harbour.serve()).toBe(a);
  expect(await harbour.states(a, b, c)).toEqual(["completed", "ready", "blocked"]);
  const written = await testEnv.deps.database.sql<{ xid: string }[]>`
    select distinct xmin::text as xid from attempt where run_id = any(${`{${a},${b}}`}::uuid[])
    union select xmin::text from slot where run_id = ${b}`;
  expect(written).toHaveLength(1);
  expect(await harbour.serve()).toBe(b);
  expect(await harbour.serve()).toBe(c);
  expect((await harbour.limits()).get("flow")).toMatchObject({ taken: 0, waiting: 0 });
  expect(await harbour.faults()).toEqual([]);
});

test("a limit shows which runs hold its slots and which wait", async () => {
  const harbour = await openLimitsEnv(testEnv);
  const { id } = await harbour.limit("local", 1, { kind: "pool" });
  const [a, b] = [await harbour.ask(), await harbour.ask({ priority: 3 })];
  await harbour.start();
  await testEnv.pass(60_000);
  const limit = await harbour.limitById(id);
  expect(limit).toMatchObject({ kind: "pool", slots: 1, taken: 1, waiting: 1 });
  expect(limit.holders).toMatchObject([
    { runId: a, deployment: "flow", task: null, slots: 1, usualMs: null, worker: expect.any(String) },
  ]);
  expect(limit.holders[0]?.forMs).toBeGreaterThanOrEqual(60_000);
  expect(limit.line).toMatchObject([{ runId: b, deployment: "flow", priority: 3 }]);
});

test("the higher priority takes a free slot first, however late it came", async () => {
  const harbour = await openLimitsEnv(testEnv);
  await harbour.limit("flow", 1, { kind: "deployment" });
  const [a, b, c] = [await harbour.ask(), await harbour.ask(), await harbour.ask({ priority: 1 })];
  expect([await harbour.serve(), await harbour.serve(), await harbour.serve()]).toEqual([a, c, b]);
});

test("200 blocked runs do not delay one that can start", async () => {
  const harbour = await openLimitsEnv(testEnv);
  await harbour.limit("warehouse", 0);
  await harbour.tenancy.deploy("capped", { limits: [{ name: "warehouse" }] });
  await harbour.limit("local", 5, { kind: "pool" });
  const capped: string[] = [];
  for (let n = 0; n < 200; n++) capped.push(await harbour.ask({ deployment: "capped", priority: 9 }));
  const free = await harbour.ask();
  expect(await harbour.states(free)).toEqual(["ready"]);
  expect(await harbour.serve()).toBe(free);
  await harbour.limit("warehouse", 60);
  const limits = await harbour.limits();
  expect(limits.get("warehouse")).toMatchObject({ taken: 5, waiting: 195 });
  expect(await harbour.states(...capped.slice(0, 6))).toEqual([...Array(5).fill("ready"), "blocked"]);
  expect(await harbour.faults()).toEqual([]);
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
        await h.fakeWorker.say(fence, [said.ended("cancelled", { cause: "user" })], { from: 2 });
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
      const harbour = await openLimitsEnv(testEnv);
      await harbour.limit("flow", 1, { kind: "deployment" });
      const [a, b] = [await harbour.ask(), await harbour.ask()];
      await end(harbour);
      expect(await harbour.states(a, b)).toEqual([state, "ready"]);
      expect(await harbour.faults()).toEqual([]);
    });

  test("while a run waits for its retry; then its due time decides its position", async () => {
    const harbour = await openLimitsEnv(testEnv);
    const retry = { limit: 1, delayMs: 5_000, causes: ["error" as const] };
    await harbour.tenancy.deploy("again", { retry, concurrency: { limit: 1 } });
    const [a, b] = [await harbour.ask({ deployment: "again" }), await harbour.ask({ deployment: "again" })];
    await harbour.serve("failed", { cause: "error" });
    expect(await harbour.states(a, b)).toEqual(["scheduled", "ready"]);
    await harbour.start();
    await testEnv.pass(5_000);
    await duePeriodicJob.runOnce(testEnv.deps);
    expect(await harbour.states(a, b)).toEqual(["blocked", "running"]);
    expect(await harbour.faults()).toEqual([]);
  });

  test("not when a worker releases an attempt before its start", async () => {
    const harbour = await openLimitsEnv(testEnv);
    await harbour.limit("flow", 1, { kind: "deployment" });
    const [a, b] = [await harbour.ask(), await harbour.ask()];
    await harbour.fakeWorker.say(await harbour.fakeWorker.take(), [said.released]);
    expect(await harbour.states(a, b)).toEqual(["ready", "blocked"]);
    expect((await harbour.limits()).get("flow")).toMatchObject({ taken: 1 });
    expect(await harbour.faults()).toEqual([]);
  });

  test("at once for a run whose worker was drained: the run takes them again and keeps its position", async () => {
    const harbour = await openLimitsEnv(testEnv);
    await harbour.limit("flow", 1, { kind: "deployment" });
    const [a, b] = [await harbour.ask({ priority: 1 }), await harbour.ask()];
    await harbour.serve("failed", { cause: "evicted" });
    expect(await harbour.states(a, b)).toEqual(["ready", "blocked"]);
    expect(await harbour.faults()).toEqual([]);
  });
});

describe("a limit that changes", () => {
  test("when raised, lets the next waiting run start; when lowered, takes nothing away", async () => {
    const harbour = await openLimitsEnv(testEnv);
    await harbour.limit("flow", 1, { kind: "deployment" });
    const ids = [await harbour.ask(), await harbour.ask(), await harbour.ask()];
    await harbour.limit("flow", 2, { kind: "deployment" });
    expect(await harbour.states(...ids)).toEqual(["ready", "ready", "blocked"]);
    await harbour.limit("flow", 0, { kind: "deployment" });
    await harbour.serve();
    await harbour.serve();
    expect(await harbour.states(...ids)).toEqual(["completed", "completed", "blocked"]);
    expect(await harbour.faults()).toEqual([]);
  });

  test("when deleted, lets all runs start that waited for it alone", async () => {
    const harbour = await openLimitsEnv(testEnv);
    const { id: limitId } = await harbour.limit("flow", 1, { kind: "deployment" });
    for (let n = 0; n < 120; n++) await harbour.ask();
    await deleteLimit(testEnv.deps, { scope: harbour.tenancy.scope, limitId });
    await harbour.look();
    const [counted] = await testEnv.deps.database.sql<{ count: number }[]>`
      select count(*)::int as count from run where workspace_id = ${harbour.tenancy.scope.workspaceId} and state = 'ready'`;
    expect(counted?.count).toBe(120);
    expect(await harbour.faults()).toEqual([]);
  });

  test("when new, counts what is running already, and takes nothing away from it", async () => {
    const harbour = await openLimitsEnv(testEnv);
    const [a, b] = [await harbour.ask(), await harbour.ask()];
    await harbour.start();
    await harbour.limit("flow", 1, { kind: "deployment" });
    await harbour.limit("local", 5, { kind: "pool" });
    expect((await harbour.limits()).get("flow")).toMatchObject({ taken: 2 });
    expect((await harbour.limits()).get("local")).toMatchObject({ taken: 2 });
    const c = await harbour.ask();
    expect(await harbour.states(a, b, c)).toEqual(["running", "ready", "blocked"]);
    await cancelRun(testEnv.deps, harbour.tenancy.scope, { runId: b, reason: "" });
    expect(await harbour.states(c)).toEqual(["blocked"]);
    await harbour.fakeWorker.poll({ held: [], free: 0, waitMs: 0 });
    expect(await harbour.states(a, b, c)).toEqual(["crashed", "cancelled", "ready"]);
    expect(await harbour.faults()).toEqual([]);
  });

  test("when new, also holds for runs that wait for another limit already", async () => {
    const harbour = await openLimitsEnv(testEnv);
    await harbour.limit("flow", 1, { kind: "deployment" });
    const [a, b] = [await harbour.ask(), await harbour.ask()];
    await harbour.limit("local", 0, { kind: "pool" });
    expect(await harbour.serve()).toBe(a);
    expect(await harbour.states(b)).toEqual(["blocked"]);
    await harbour.limit("local", 1, { kind: "pool" });
    expect(await harbour.states(b)).toEqual(["ready"]);
    expect(await harbour.faults()).toEqual([]);
  });
});

test("tokens of a rate return by time, and then the next run starts", async () => {
  const harbour = await openLimitsEnv(testEnv);
  await harbour.limit("flow", 2, { kind: "deployment", perMs: 60_000 });
  const ids = [await harbour.ask(), await harbour.ask(), await harbour.ask()];
  await harbour.serve();
  await harbour.serve();
  await harbour.look();
  expect(await harbour.states(...ids)).toEqual(["completed", "completed", "blocked"]);
  await testEnv.pass(59_000);
  await harbour.look();
  expect(await harbour.states(...ids)).toEqual(["completed", "completed", "blocked"]);
  await testEnv.pass(1_000);
  expect((await harbour.limits()).get("flow")).toMatchObject({ taken: 0, waiting: 1 });
  await harbour.look();
  expect(await harbour.states(...ids)).toEqual(["completed", "completed", "ready"]);
  expect((await harbour.limits()).get("flow")).toMatchObject({ taken: 1, waiting: 0 });
  expect(await harbour.faults()).toEqual([]);
});

test("a run that is cancelled leaves its wait list", async () => {
  const harbour = await openLimitsEnv(testEnv);
  await harbour.limit("flow", 1, { kind: "deployment" });
  const [a, b, c] = [await harbour.ask(), await harbour.ask(), await harbour.ask()];
  await cancelRun(testEnv.deps, harbour.tenancy.scope, { runId: b, reason: "" });
  await harbour.serve();
  expect(await harbour.states(a, b, c)).toEqual(["completed", "cancelled", "ready"]);
  expect(await harbour.faults()).toEqual([]);
});

describe("a deployment whose slots are taken", () => {
  test("under cancel-new, cancels the new run and says why", async () => {
    const harbour = await openLimitsEnv(testEnv);
    const concurrency = { limit: 1, collision: "cancel-new" as const };
    await harbour.tenancy.deploy("one", { concurrency });
    const [a, b] = [await harbour.ask({ deployment: "one" }), await harbour.ask({ deployment: "one" })];
    expect(await harbour.states(a, b)).toEqual(["ready", "cancelled"]);
    expect((await harbour.run(b)).cancelReason).toBe(
      'The slot of "one" is taken: its limit says cancel-new.',
    );
    await harbour.serve();
    expect(await harbour.states(await harbour.ask({ deployment: "one" }))).toEqual(["ready"]);
    expect(await harbour.faults()).toEqual([]);
  });

  test("under both policies, lets a run with an earlier attempt wait, and does not cancel the run that took its slot", async () => {
    for (const collision of ["cancel-new", "cancel-running"] as const) {
      const harbour = await openLimitsEnv(testEnv);
      const retry = { limit: 1, delayMs: 5_000, causes: ["error" as const] };
      await harbour.tenancy.deploy("one", { retry, concurrency: { limit: 1, collision } });
      const a = await harbour.ask({ deployment: "one" });
      await harbour.serve("failed", { cause: "error" });
      const b = await harbour.ask({ deployment: "one" });
      await testEnv.pass(5_000);
      await duePeriodicJob.runOnce(testEnv.deps);
      expect(await harbour.states(a, b)).toEqual(["blocked", "ready"]);
      expect(await harbour.faults()).toEqual([]);
    }
  });

  test("under cancel-running, cancels the oldest runs until the newest fits, waiting ones included", async () => {
    const harbour = await openLimitsEnv(testEnv);
    await harbour.tenancy.deploy("one", { concurrency: { limit: 1, collision: "cancel-running" } });
    const a = await harbour.ask({ deployment: "one" });
    const fence = await harbour.start();
    const b = await harbour.ask({ deployment: "one" });
    expect(await harbour.states(a, b)).toEqual(["cancelling", "blocked"]);
    const c = await harbour.ask({ deployment: "one" });
    expect(await harbour.states(a, b, c)).toEqual(["cancelling", "cancelled", "blocked"]);
    await harbour.fakeWorker.say(fence, [said.ended("cancelled", { cause: "user" })], { from: 2 });
    expect(await harbour.states(a, b, c)).toEqual(["cancelled", "cancelled", "ready"]);
    expect((await harbour.run(a)).cancelReason).toContain("cancel-running");
    expect(await harbour.faults()).toEqual([]);
  });

  test("the code's limit holds until a person sets it, and goes when the code no longer names it", async () => {
    const harbour = await openLimitsEnv(testEnv);
    await harbour.tenancy.deploy("one", { concurrency: { limit: 1 } });
    expect((await harbour.limits()).get("one")).toMatchObject({ slots: 1, source: "code" });
    await harbour.tenancy.deploy("one", { version: 2 });
    expect((await harbour.limits()).has("one")).toBe(false);
    await harbour.limit("one", 5, { kind: "deployment" });
    await harbour.tenancy.deploy("one", { version: 3, concurrency: { limit: 2 } });
    expect((await harbour.limits()).get("one")).toMatchObject({ slots: 5, source: "person" });
  });

  test("a version that names a limit that does not exist is not registered", async () => {
    const harbour = await openLimitsEnv(testEnv);
    await harbour.limit("warehouse", 1);
    const deployed = harbour.tenancy.deploy("typo", { limits: [{ name: "warehose" }] });
    await expect(deployed).rejects.toThrow(/no limit "warehose"; did you mean "warehouse"/);
  });
});

describe("queues", () => {
  async function withQueues() {
    const harbour = await openLimitsEnv(testEnv);
    const { scope } = harbour.tenancy;
    const set = (queue: string, priority: number) =>
      setQueue(testEnv.deps, { scope, name: "local", input: { queue, priority } });
    await set("urgent", 10);
    await set("idle", -10);
    return Object.assign(harbour, { set });
  }

  test("with a new priority move the runs that wait for a worker or for slots", async () => {
    const harbour = await withQueues();
    const [a, b] = [await harbour.ask(), await harbour.ask({ queue: "idle" })];
    await harbour.set("idle", 1);
    expect([await harbour.serve(), await harbour.serve()]).toEqual([b, a]);
    await harbour.limit("local", 1, { kind: "pool" });
    const [first, c, d] = [await harbour.ask(), await harbour.ask(), await harbour.ask({ queue: "idle" })];
    expect(await harbour.states(first, c, d)).toEqual(["ready", "blocked", "blocked"]);
    await harbour.set("urgent", 50);
    await harbour.set("idle", 20);
    expect([await harbour.serve(), await harbour.serve(), await harbour.serve()]).toEqual([first, d, c]);
    expect(await harbour.faults()).toEqual([]);
  });

  test("of higher priority go first, then the runs' own priority decides, then their age", async () => {
    const harbour = await withQueues();
    const [a, b] = [await harbour.ask({ queue: "idle", priority: 100 }), await harbour.ask()];
    const [c, d] = [
      await harbour.ask({ priority: 1 }),
      await harbour.ask({ queue: "urgent", priority: -100 }),
    ];
    const served = [
      await harbour.serve(),
      await harbour.serve(),
      await harbour.serve(),
      await harbour.serve(),
    ];
    expect(served).toEqual([d, c, b, a]);
  });

  test("may have a limit, and order a wait list for slots too", async () => {
    const harbour = await withQueues();
    await harbour.limit("local/idle", 1, { kind: "queue" });
    await harbour.limit("local", 2, { kind: "pool" });
    const [a, b] = [await harbour.ask({ queue: "idle" }), await harbour.ask({ queue: "idle" })];
    const [c, d, e] = [await harbour.ask(), await harbour.ask(), await harbour.ask({ queue: "urgent" })];
    expect(await harbour.states(a, b, c, d, e)).toEqual(["ready", "blocked", "ready", "blocked", "blocked"]);
    expect(await harbour.serve()).toBe(c);
    expect(await harbour.states(a, b, d, e)).toEqual(["ready", "blocked", "blocked", "ready"]);
    expect(await harbour.faults()).toEqual([]);
  });

  test("come from the deployment if the request names none, and so does its priority", async () => {
    const harbour = await withQueues();
    await harbour.tenancy.deploy("calm", { queue: "idle", priority: 7 });
    const asked = { deployment: "calm", priority: undefined };
    const run = await harbour.run(await harbour.ask(asked));
    expect(run).toMatchObject({ queue: "idle", priority: 7 });
    const other = await harbour.run(await harbour.ask({ ...asked, queue: "urgent", priority: 0 }));
    expect(other).toMatchObject({ queue: "urgent", priority: 0 });
  });

  test("that do not exist are refused, with a suggestion", async () => {
    const harbour = await withQueues();
    await expect(harbour.ask({ queue: "urgnt" })).rejects.toThrow(/no queue "urgnt"; did you mean "urgent"/);
    const limited = harbour.limit("local/nothing", 1, { kind: "queue" });
    await expect(limited).rejects.toMatchObject({ code: "queue-not-found" });
  });
});

test("a run that enters a long wait list also starts in order, whatever happens to the runs before it", async () => {
  const harbour = await openLimitsEnv(testEnv);
  await harbour.limit("flow", 1, { kind: "deployment" });
  const ids: string[] = [];
  for (let n = 0; n < 15; n++) ids.push(await harbour.ask());
  const urgent = await harbour.ask({ priority: 1 });
  expect((await harbour.limits()).get("flow")).toMatchObject({ waiting: 15 });
  expect(await harbour.faults()).toEqual([]);
  for (const runId of ids.slice(1))
    await cancelRun(testEnv.deps, harbour.tenancy.scope, { runId, reason: "" });
  expect(await harbour.serve()).toBe(ids[0]);
  expect(await harbour.states(urgent)).toEqual(["ready"]);
  const [notes] = await testEnv.deps.database.sql<
    { count: number }[]
  >`select count(*)::int as count from slot_look`;
  expect(notes?.count).toBeGreaterThan(0);
  await harbour.look();
  const [left] = await testEnv.deps.database.sql<
    { count: number }[]
  >`select count(*)::int as count from slot_look`;
  expect(left?.count).toBe(0);
});
