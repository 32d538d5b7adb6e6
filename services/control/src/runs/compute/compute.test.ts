import { type Amounts, type Assignment, sumOf } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { openTestDeps } from "../../deps.fixture.ts";
import { Dispatchers, FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { createRuns } from "../create/create-many.ts";
import { readNeeds } from "../needs.ts";
import { lapsePeriodicJob, losePeriodicJob } from "../periodic-jobs.ts";
import { cancelRun, createRun } from "../requests/requests.ts";

let testEnv: TestEnv;
/** Another control plane over the same database. */
let other: TestEnv;
beforeAll(async () => {
  const database = await createTestDatabase();
  testEnv = await openTestEnv(database);
  const deps = await openTestDeps({ url: database.url, clock: testEnv.clock });
  other = { ...testEnv, deps, close: () => deps.close() };
});
afterAll(async () => {
  await other?.close();
  await testEnv?.close();
});

const gpus = (count: number, kind: string | null = null) => ({ compute: { gpu: { count, kind } } });
const fence = ({ attemptId, epoch, nonce }: Assignment) => ({ attemptId, epoch, nonce });
const ask = async (tenancy: Tenancy, deployment = "flow", at = testEnv) =>
  (await createRun(at.deps, tenancy.scope, tenancy.request({ deployment }))).id;

/** The assignments of a worker with eight slots. */
const look = async (fakeWorker: FakeWorker, held: readonly Assignment[] = [], amounts?: Amounts) =>
  (await fakeWorker.look({ free: 8, held: held.map(fence), ...(amounts && { amounts }) })).assignments;

/** The amounts that are taken on a worker, by the database. */
async function taken({ worker }: FakeWorker): Promise<Amounts> {
  const rows = await testEnv.deps.database.sql<{ needs: string }[]>`
    select needs from attempt where worker_id = ${worker.workerId} and lease_expires_at is not null`;
  return sumOf(rows.map((row) => readNeeds(row.needs)));
}

describe("a run that needs amounts", () => {
  test("goes to a worker that has all of them free, and to no other", async () => {
    const tenancy = await openTenancy(testEnv, {
      compute: { cpu: 2, memoryBytes: 4096, amounts: { licences: 1 } },
    });
    const id = await ask(tenancy);
    const poor = new FakeWorker(testEnv, await tenancy.worker("poor", { cpu: 8, memory: 4096 }));
    const old = new FakeWorker(testEnv, await tenancy.worker("old"));
    const rich = new FakeWorker(testEnv, await tenancy.worker("rich", { cpu: 8, memory: 4096, licences: 1 }));
    expect(await look(poor)).toEqual([]);
    expect(await look(old)).toEqual([]);
    expect((await look(rich)).map((one) => one.runId)).toEqual([id]);
  });

  test("waits for amounts that another run holds, and is claimed as soon as that run ends", async () => {
    const tenancy = await openTenancy(testEnv, gpus(1, "a100"));
    const [first, second] = [await ask(tenancy), await ask(tenancy)];
    const fakeWorker = new FakeWorker(testEnv, await tenancy.worker("w", { gpu: 1, "gpu:a100": 1 }));
    const [given] = await look(fakeWorker);
    expect(given?.runId).toBe(first);
    if (given === undefined) return;
    await fakeWorker.report(given, [records.started]);
    // Its process is gone. The worker knows this before it reports the end.
    const waiting = fakeWorker.poll({ free: 3, held: [fence(given)], waitMs: 25_000 });
    await fakeWorker.dispatchers.idle();
    await fakeWorker.report(given, [records.ended("completed")], { from: 2 });
    expect((await waiting).assignments.map((one) => one.runId)).toEqual([second]);
  });

  test.each([
    [
      "completed",
      (fakeWorker: FakeWorker, one: Assignment) =>
        fakeWorker.report(one, [records.started, records.ended("completed")]),
    ],
    [
      "failed",
      (fakeWorker: FakeWorker, one: Assignment) =>
        fakeWorker.report(one, [records.started, records.ended("failed", { cause: "error" })]),
    ],
    [
      "refused",
      (fakeWorker: FakeWorker, one: Assignment) =>
        fakeWorker.report(one, [records.ended("refused", { cause: "refused" })]),
    ],
    ["given back", (fakeWorker: FakeWorker, one: Assignment) => fakeWorker.report(one, [records.released])],
  ])("gives back what it had when it is %s", async (_, end) => {
    const tenancy = await openTenancy(testEnv, { ...gpus(1), retry: { limit: 0 } });
    await ask(tenancy);
    const fakeWorker = new FakeWorker(testEnv, await tenancy.worker("w", { gpu: 1 }));
    const [given] = await look(fakeWorker);
    if (given === undefined) throw new Error("no work was given");
    expect(await taken(fakeWorker)).toEqual({ gpu: 1 });
    await end(fakeWorker, given);
    expect(await taken(fakeWorker)).toEqual({});
    const next = await ask(tenancy);
    expect((await look(fakeWorker)).map((one) => one.runId)).toEqual([next]);
  });

  test("returns them when its worker is lost, disowns it, or does not confirm the start", async () => {
    const tenancy = await openTenancy(testEnv, { ...gpus(1), lostAfterMs: 20_000, retry: { limit: 0 } });
    await ask(tenancy);
    const fakeWorker = new FakeWorker(testEnv, await tenancy.worker("w", { gpu: 1 }));
    const [lapsing] = await look(fakeWorker);
    await testEnv.pass(40_000);
    await lapsePeriodicJob.runOnce(testEnv.deps);
    expect(await taken(fakeWorker)).toEqual({});
    await testEnv.pass(5_000);
    const [again] = await look(fakeWorker);
    expect(again).toMatchObject({ runId: lapsing?.runId, epoch: 2 });
    if (again === undefined) return;
    await fakeWorker.report(again, [records.started]);
    await testEnv.pass(120_000);
    await losePeriodicJob.runOnce(testEnv.deps);
    expect(await taken(fakeWorker)).toEqual({});
    await ask(tenancy);
    const [third] = await look(fakeWorker);
    if (third === undefined) throw new Error("no work was given");
    await fakeWorker.report(third, [records.started]);
    const fourth = await ask(tenancy);
    const restarted = new FakeWorker(testEnv, await fakeWorker.startAnew());
    expect((await look(restarted)).map((one) => one.runId)).toEqual([fourth]);
  });

  test("returns them when it is cancelled, and not before its process is gone", async () => {
    const tenancy = await openTenancy(testEnv, gpus(1));
    const id = await ask(tenancy);
    const next = await ask(tenancy);
    const fakeWorker = new FakeWorker(testEnv, await tenancy.worker("w", { gpu: 1 }));
    const [given] = await look(fakeWorker);
    if (given === undefined) throw new Error("no work was given");
    await fakeWorker.report(given, [records.started]);
    await cancelRun(testEnv.deps, tenancy.scope, { runId: id, reason: "" });
    await fakeWorker.poll({ held: [fence(given)], waitMs: 0 });
    expect(await look(fakeWorker, [given])).toEqual([]);
    await fakeWorker.report(given, [records.ended("cancelled", { cause: "user" })], { from: 2 });
    expect((await look(fakeWorker)).map((one) => one.runId)).toEqual([next]);
  });

  test("is counted once when its answer was lost and it is delivered again", async () => {
    const tenancy = await openTenancy(testEnv, gpus(1));
    await ask(tenancy);
    await ask(tenancy);
    await ask(tenancy);
    const fakeWorker = new FakeWorker(testEnv, await tenancy.worker("w", { gpu: 2 }));
    const lost = await look(fakeWorker);
    expect(lost).toHaveLength(2);
    const again = await look(fakeWorker);
    expect(again.map((one) => one.attemptId).sort()).toEqual(lost.map((one) => one.attemptId).sort());
    expect(await look(fakeWorker, again)).toEqual([]);
    expect(await taken(fakeWorker)).toEqual({ gpu: 2 });
  });

  test("is not given to a worker that reports less than the database has", async () => {
    const tenancy = await openTenancy(testEnv, gpus(1));
    await ask(tenancy);
    const fakeWorker = new FakeWorker(testEnv, await tenancy.worker("w", { gpu: 1 }));
    expect(await look(fakeWorker, [], { gpu: 0 })).toEqual([]);
    expect(await look(fakeWorker, [], { gpu: 1 })).toHaveLength(1);
  });
});

test("of many workers in two control planes, none ever gets more than it has", async () => {
  const tenancy = await openTenancy(testEnv, gpus(2));
  await tenancy.deploy("small", gpus(1));
  await createRuns(testEnv.deps, tenancy.scope, {
    deployment: "flow",
    runs: Array.from({ length: 12 }, () => tenancy.request()),
  });
  await createRuns(testEnv.deps, tenancy.scope, {
    deployment: "small",
    runs: Array.from({ length: 24 }, () => tenancy.request()),
  });
  const dispatchers = [new Dispatchers(), new Dispatchers()];
  const workers = await Promise.all(
    Array.from({ length: 6 }, (_, at) => tenancy.worker(`w${at}`, { gpu: 3 })),
  );
  const fakeWorkers = workers.map(
    (worker, at) => new FakeWorker(at % 2 === 0 ? testEnv : other, worker, dispatchers[at % 2]),
  );
  let ended = 0;
  for (let round = 0; round < 400 && ended < 36; round++) {
    const all = await Promise.all(fakeWorkers.map((fakeWorker) => look(fakeWorker)));
    for (const [at, fakeWorker] of fakeWorkers.entries()) {
      expect((await taken(fakeWorker)).gpu ?? 0).toBeLessThanOrEqual(3);
      for (const one of all[at] ?? []) {
        await fakeWorker.report(one, [records.started, records.ended("completed")]);
        ended += 1;
      }
    }
  }
  expect(ended).toBe(36);
});

test("200 runs whose amounts no worker has free delay neither the 201st nor a run that needs nothing", async () => {
  const tenancy = await openTenancy(testEnv, gpus(8));
  await tenancy.deploy("small", { compute: { cpu: 1 } });
  await tenancy.deploy("plain");
  await createRuns(testEnv.deps, tenancy.scope, {
    deployment: "flow",
    runs: Array.from({ length: 200 }, () => tenancy.request()),
  });
  const holder = new FakeWorker(testEnv, await tenancy.worker("gpus", { cpu: 4, gpu: 8 }));
  expect(await look(holder)).toHaveLength(1);
  const [small, plain] = [await ask(tenancy, "small"), await ask(tenancy, "plain")];
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker("cpus", { cpu: 4 }));
  const { assignments } = await fakeWorker.look({ free: 2 });
  expect(assignments.map((one) => one.runId).sort()).toEqual([small, plain].sort());
});

test("a run that needs the whole worker is not starved by smaller runs, and they do not wait for it at once", async () => {
  const tenancy = await openTenancy(testEnv, gpus(4));
  await tenancy.deploy("small", gpus(1));
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker("w", { gpu: 4 }));
  for (let n = 0; n < 2; n++) await ask(tenancy, "small");
  let running = await look(fakeWorker);
  const big = await ask(tenancy);
  let waitedMs = 0;
  let passed = 0;
  while (!running.some((one) => one.runId === big)) {
    // One running run ends, and another one comes: some small run would always fit.
    await ask(tenancy, "small");
    const [first] = running;
    if (first !== undefined) await fakeWorker.report(first, [records.started, records.ended("completed")]);
    running = running.slice(1);
    const given = await look(fakeWorker, running);
    passed += given.filter((one) => one.runId !== big).length;
    running = [...running, ...given];
    await testEnv.pass(10_000);
    waitedMs += 10_000;
    if (waitedMs > 120_000) throw new Error("the big run starves");
    for (const one of running) await fakeWorker.report(one, [records.started]);
  }
  expect(passed).toBeGreaterThan(2);
});
