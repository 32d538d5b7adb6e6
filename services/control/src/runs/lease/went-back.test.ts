import { ROUTES, type RouteName } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../../../test/harness/index.ts";
import { openTestApp } from "../../app.fixture.ts";
import { FakeWorker, records, renew } from "../../fake-worker.fixture.ts";
import { graceMs } from "../../kernel/index.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { lapsePeriodicJob, losePeriodicJob } from "../periodic-jobs.ts";
import { getRun } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";

/** How often a dispatcher looks whether it may give again. */
const HELD_LOOK_MS = 500;

let database: TestDatabase;
let testEnv: TestEnv;
beforeAll(async () => {
  database = await createTestDatabase();
  testEnv = await openTestEnv(database);
  await testEnv.pass(3_600_000);
});
afterAll(() => testEnv.close());

/** Until it is over that a test before has gone back. */
async function settle(): Promise<void> {
  await testEnv.pass(graceMs(testEnv.deps.config) + 1_000);
  await incarnation();
}

/** Goes back to a copy, a moment later, and waits until everybody is connected to it. */
async function goBack(copy: { goBack(): Promise<void> }): Promise<void> {
  testEnv.clock.advance(1_000);
  await copy.goBack();
  const { db, sql } = testEnv.deps.database;
  const ask = () =>
    Promise.all(Array.from({ length: 30 }, () => Promise.all([db.execute("select 1"), sql`select 1`])));
  while ((await ask().catch(() => null)) === null);
}

async function started({ lostAfterMs = 60_000 } = {}) {
  await settle();
  const tenancy = await openTenancy(testEnv, { lostAfterMs });
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  const get = () => getRun(testEnv.deps, tenancy.scope, { runId: id });
  return { tenancy, id, fakeWorker, given, get };
}

/** The current incarnation's id, read anew. */
async function incarnation(): Promise<string> {
  testEnv.deps.incarnations.forget();
  return (await testEnv.deps.incarnations.current()).id;
}

/** A started attempt that has ended and was acknowledged, and then the database went back to before that. */
async function endedAndForgotten(options: { lostAfterMs?: number } = {}) {
  const one = await started(options);
  const before = await incarnation();
  const copy = await database.snapshot();
  await one.fakeWorker.report(one.given, [records.ended("completed")], { from: 2 });
  expect(await one.get()).toMatchObject({ state: "completed" });
  await goBack(copy);
  expect(await incarnation()).not.toBe(before);
  expect(await one.get()).toMatchObject({ state: "running" });
  return { ...one, before };
}

describe("an end that was acknowledged and is forgotten", () => {
  test("is no reason to disown the attempt before its worker has offered it again, and then ends it", async () => {
    const { fakeWorker, given, get, before } = await endedAndForgotten();
    for (const reconciled of [before, null]) {
      await fakeWorker.poll({ free: 0, waitMs: 0, reconciled });
      expect(await get()).toMatchObject({ state: "running" });
    }
    expect(await fakeWorker.report(given, [])).toMatchObject({ status: "accepted", controlAcked: 1 });
    const answer = await fakeWorker.report(given, [records.ended("completed")], { from: 2 });
    expect(answer).toMatchObject({ status: "accepted", controlAcked: 2, outcome: { state: "completed" } });
    expect(await get()).toMatchObject({ state: "completed" });
  });

  test("is said to be unknown once its worker has offered everything and knows nothing of it", async () => {
    const { fakeWorker, get } = await endedAndForgotten();
    await fakeWorker.poll({ free: 0, waitMs: 0, reconciled: await incarnation() });
    const run = await get();
    expect(run).toMatchObject({ state: "crashed", cause: "lost", error: { name: "OutcomeUnknown" } });
    expect(run.error?.message).toContain("was restored, failed over or restarted at");
  });

  test("is lost as any other if its worker was heard of since", async () => {
    const { fakeWorker, get, given } = await endedAndForgotten();
    testEnv.clock.advance(1_000);
    await renew(testEnv.deps, fakeWorker.worker, { held: [given] });
    await fakeWorker.poll({ free: 0, waitMs: 0, reconciled: await incarnation() });
    expect(await get()).toMatchObject({ state: "crashed", cause: "lost", error: null });
  });

  test("leaves a worker of an earlier release a full grace to offer it", async () => {
    const { fakeWorker, get } = await endedAndForgotten();
    await fakeWorker.poll({ free: 0, waitMs: 0 });
    expect(await get()).toMatchObject({ state: "running" });
    await testEnv.pass(graceMs(testEnv.deps.config) + 1_000);
    await incarnation();
    await fakeWorker.poll({ free: 0, waitMs: 0 });
    expect(await get()).toMatchObject({ state: "crashed" });
  });

  test("is not lost before its worker had a grace to offer it, however soon its deployment gives up", async () => {
    const { get } = await endedAndForgotten({ lostAfterMs: 0 });
    await testEnv.deps.database
      .sql`update attempt set lease_expires_at = lease_expires_at - interval '1 hour'`;
    await testEnv.pass(graceMs(testEnv.deps.config) - 1_000);
    await losePeriodicJob.runOnce(testEnv.deps);
    expect(await get()).toMatchObject({ state: "running" });
    await testEnv.pass(2_000);
    await losePeriodicJob.runOnce(testEnv.deps);
    expect(await get()).toMatchObject({ state: "crashed" });
  });

  test("is lost for its worker's silence only a full grace after the database went back", async () => {
    const { get } = await endedAndForgotten();
    // Its lease was over long before.
    await testEnv.deps.database
      .sql`update attempt set lease_expires_at = lease_expires_at - interval '1 hour'`;
    await losePeriodicJob.runOnce(testEnv.deps);
    expect(await get()).toMatchObject({ state: "running" });
    await testEnv.pass(59_000);
    await losePeriodicJob.runOnce(testEnv.deps);
    expect(await get()).toMatchObject({ state: "running" });
    await testEnv.pass(2_000);
    await losePeriodicJob.runOnce(testEnv.deps);
    expect(await get()).toMatchObject({ state: "crashed" });
  });
});

describe("a claim that is forgotten", () => {
  /** An attempt that a worker has claimed and started, and then the database went back to when it was ready. */
  async function claimedAndForgotten() {
    await settle();
    const tenancy = await openTenancy(testEnv);
    const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    const holder = new FakeWorker(testEnv, await tenancy.worker("holder"));
    const other = new FakeWorker(testEnv, await tenancy.worker("other"));
    await holder.poll({ free: 0, waitMs: 0 });
    const copy = await database.snapshot();
    const given = await holder.take();
    await holder.report(given, [records.started]);
    await goBack(copy);
    const reconciled = await incarnation();
    const get = () => getRun(testEnv.deps, tenancy.scope, { runId: id });
    expect(await get()).toMatchObject({ state: "ready" });
    return { tenancy, holder, other, given, get, reconciled };
  }

  test("is taken back by its worker, and meanwhile nobody else is given the attempt", async () => {
    const { holder, other, given, get, reconciled } = await claimedAndForgotten();
    expect(await other.look({ free: 1, reconciled })).toMatchObject({ assignments: [] });
    expect(await holder.report(given, [])).toMatchObject({ status: "accepted", controlAcked: 0 });
    expect(await get()).toMatchObject({ state: "claimed" });
    expect(await holder.report(given, [records.started])).toMatchObject({ controlAcked: 1 });
    expect(await get()).toMatchObject({ state: "running" });
    expect(await holder.look({ free: 1, held: [given], reconciled })).toMatchObject({ assignments: [] });
    expect(await other.look({ free: 1, reconciled })).toMatchObject({ assignments: [], commands: [] });
    const end = await holder.report(given, [records.ended("completed")], { from: 2 });
    expect(end).toMatchObject({ outcome: { state: "completed" } });
    expect(await get()).toMatchObject({ state: "completed", attempts: 1 });
  });

  test("is given to another once all workers have offered, and the first one is stale from then on", async () => {
    const { holder, other, given, get, reconciled } = await claimedAndForgotten();
    await holder.poll({ free: 0, waitMs: 0, reconciled });
    const [again] = (await other.poll({ free: 1, reconciled })).assignments;
    expect(again).toMatchObject({ attemptId: given.attemptId, epoch: given.epoch });
    expect(await holder.report(given, [records.started])).toMatchObject({ status: "stale" });
    expect(await get()).toMatchObject({ state: "claimed" });
  });

  test("is given to another after a grace, if its worker stays away", async () => {
    const { other, given, reconciled } = await claimedAndForgotten();
    await testEnv.pass(graceMs(testEnv.deps.config) - 5_000);
    await incarnation();
    expect(await other.look({ free: 1, reconciled })).toMatchObject({ assignments: [] });
    await testEnv.pass(6_000);
    await incarnation();
    expect((await other.poll({ free: 1, reconciled })).assignments).toMatchObject([
      { attemptId: given.attemptId },
    ]);
  });

  test.each([
    ["by a worker of another pool", { poolId: "00000000-0000-4000-8000-000000000000" }, {}],
    ["with a nonce that is none of ours", {}, { nonce: "x".repeat(36) }],
    ["with an epoch that has been stored", {}, { epoch: 0 }],
    ["with an epoch that no claims since can have come to", {}, { epoch: 1_001 }],
  ])("is not taken back %s", async (_, worker, fence) => {
    const { holder, given } = await claimedAndForgotten();
    const another = new FakeWorker(testEnv, { ...holder.worker, ...worker });
    expect(await another.report({ ...given, ...fence }, [records.started])).toMatchObject({
      status: "stale",
    });
  });
});

test("a claim of which the database has never known is not taken back while it is what it was", async () => {
  await testEnv.deps.database.sql`delete from incarnation`;
  await incarnation();
  const tenancy = await openTenancy(testEnv);
  await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  expect(await fakeWorker.report({ ...given, epoch: given.epoch + 1 }, [records.started])).toMatchObject({
    status: "stale",
  });
});

test("a run that waits for what the database has forgotten goes on at once, and asks for it again", async () => {
  const { fakeWorker, given, get } = await started();
  const suspended = records.ended("suspended", { waits: ["approval"] });
  testEnv.clock.advance(1_000);
  await testEnv.deps.database.sql`update incarnation set identity = 'another'`;
  await incarnation();
  expect(await fakeWorker.report(given, [suspended], { from: 2 })).toMatchObject({
    status: "accepted",
    rejected: [],
  });
  expect(await get()).toMatchObject({ state: "ready", attempts: 2 });
});

test("nothing is lost or given back in a database that nobody has noted as another one yet", async () => {
  const { get, tenancy } = await started();
  const { id: unconfirmed } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  await new FakeWorker(testEnv, await tenancy.worker("other")).take();
  await testEnv.pass(200_000);
  await testEnv.deps.database.sql`update incarnation set identity = 'another'`;
  await losePeriodicJob.runOnce(testEnv.deps);
  await lapsePeriodicJob.runOnce(testEnv.deps);
  expect(await get()).toMatchObject({ state: "running" });
  expect(await getRun(testEnv.deps, tenancy.scope, { runId: unconfirmed })).toMatchObject({
    state: "claimed",
  });
});

test("a poll that waits is answered once the database is another one, and so is one that takes it for what it was", async () => {
  const tenancy = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const before = await incarnation();
  const waiting = fakeWorker.poll({ free: 1, waitMs: 25_000, reconciled: before });
  while (!fakeWorker.dispatchers.areWaiting(fakeWorker.worker.poolId)) await new Promise(setImmediate);
  await testEnv.deps.database.sql`update incarnation set identity = 'another'`;
  await incarnation();
  expect(await waiting).toMatchObject({ assignments: [], superseded: false });
  expect(await fakeWorker.poll({ free: 1, waitMs: 25_000, reconciled: before })).toMatchObject({
    assignments: [],
  });
});

type WorkerRoute = {
  [Name in RouteName]: (typeof ROUTES)[Name]["permission"] extends "worker" | "worker-key" ? Name : never;
}[RouteName];

function isOfWorkers(name: RouteName): name is WorkerRoute {
  return ROUTES[name].permission === "worker" || ROUTES[name].permission === "worker-key";
}

const WORKER_ROUTES = (Object.keys(ROUTES) as RouteName[]).filter(isOfWorkers);

test.each(WORKER_ROUTES)(
  "every answer to a worker says which database it is and how far it has come: %s",
  (name) => {
    const { answer } = ROUTES[name];
    const shapes = "options" in answer ? answer.options : [answer];
    for (const { shape } of shapes)
      expect(Object.keys(shape)).toEqual(expect.arrayContaining(["incarnation", "position"]));
  },
);

test("an answer to a worker carries the incarnation and a position that rises, at most a second old", async () => {
  const tenancy = await openTenancy(testEnv);
  const worker = await tenancy.worker();
  const app = openTestApp({
    deps: testEnv.deps,
    slices: [(register) => register("renew", async () => ({ leases: [], commands: [], intervalMs: 1_000 }))],
    identify: async () => ({ kind: "worker", scope: worker, keyId: worker.workerId }),
  });
  const ask = async () => {
    const response = await app.request(ROUTES.renew.path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ held: [] }),
    });
    return ROUTES.renew.answer.parse(await response.json());
  };
  const first = await ask();
  expect(first.incarnation).toBe((await testEnv.deps.incarnations.current()).id);
  await testEnv.stamp();
  await incarnation();
  await testEnv.deps.database.sql`insert into change (workspace_id, kind) values (gen_random_uuid(), 'run')`;
  await incarnation();
  expect((await ask()).position).toBeGreaterThan(first.position ?? Number.POSITIVE_INFINITY);
});

test("while nothing is given away, however many polls come, one timer looks again", async () => {
  await settle();
  const tenancy = await openTenancy(testEnv);
  const away = new FakeWorker(testEnv, await tenancy.worker("away"));
  await away.poll({ free: 0, waitMs: 0 });
  await goBack(await database.snapshot());
  const reconciled = await incarnation();
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const timers = { open: 0, most: 0 };
  const real = globalThis.setTimeout;
  const spy = vi.spyOn(globalThis, "setTimeout").mockImplementation(((ring: () => void, ms?: number) => {
    if (ms !== HELD_LOOK_MS) return real(ring, ms);
    timers.open += 1;
    timers.most = Math.max(timers.most, timers.open);
    return real(() => {
      timers.open -= 1;
      ring();
    }, ms);
  }) as typeof setTimeout);
  try {
    const fakeWorker = new FakeWorker(testEnv, await tenancy.worker("here"));
    for (let poll = 0; poll < 10; poll++)
      expect(await fakeWorker.poll({ waitMs: 0, brief: true, reconciled })).toMatchObject({
        assignments: [],
      });
    expect(timers.most).toBe(1);
    await away.poll({ free: 0, waitMs: 0, reconciled });
    expect(await fakeWorker.take()).toMatchObject({ runId: id });
  } finally {
    spy.mockRestore();
  }
});

describe("a worker that never finishes offering", () => {
  /** A worker that has come when the grace of the database was over, and a run that is ready. */
  async function offering() {
    await settle();
    const tenancy = await openTenancy(testEnv);
    await goBack(await database.snapshot());
    await incarnation();
    await settle();
    const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
    const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    const poll = async (waitMs = 0) => {
      const { assignments } = await fakeWorker.poll({ waitMs, reconciled: null, brief: true });
      return assignments.map(({ runId }) => runId);
    };
    return { id, poll };
  }

  test("is given nothing for a grace since it began, and then takes work as any other", async () => {
    const { id, poll } = await offering();
    expect(await poll()).toEqual([]);
    await testEnv.pass(graceMs(testEnv.deps.config) - 1_000);
    expect(await poll()).toEqual([]);
    await testEnv.pass(1_000);
    expect(await poll(20_000)).toEqual([id]);
  });

  test("has another grace when the database goes back again meanwhile", async () => {
    const { id, poll } = await offering();
    expect(await poll()).toEqual([]);
    await testEnv.pass(graceMs(testEnv.deps.config));
    await testEnv.deps.database.sql`update incarnation set identity = 'another'`;
    await incarnation();
    expect(await poll()).toEqual([]);
    await testEnv.pass(graceMs(testEnv.deps.config));
    expect(await poll(20_000)).toEqual([id]);
  });
});
