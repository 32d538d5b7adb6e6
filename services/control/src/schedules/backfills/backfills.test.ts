import { CreateBackfill, ScheduleSettings, type ScheduleSettingsInput, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { z } from "zod";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { inTransaction } from "../../kernel/index.ts";
import { createIn, listRuns, runsPeriodicJobs } from "../../runs/index.ts";
import { openTenancy, openTestEnv, START_MS, type TestEnv } from "../../test-env.fixture.ts";
import { scheduleNamed, setSchedule } from "../schedules.ts";
import { cancelBackfill, createBackfill, listBackfills } from "./backfills.ts";
import { backfillPeriodicJob } from "./periodic-job.ts";
import { coveredInstants, selectBackfills } from "./store.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const DAY = 24 * 3600_000;
const day = (number: number) => new Date(Date.UTC(2026, 0, number)).toISOString();

async function moveAll(): Promise<void> {
  while ((await backfillPeriodicJob.runOnce(testEnv.deps)).worked);
}

const runPeriodicJob = (wanted: string) =>
  runsPeriodicJobs.find(({ name }) => name === wanted)?.runOnce(testEnv.deps);

/** Ends the runs that no worker has started in time. */
const expire = () => runPeriodicJob("expire");

/** Moves ended runs to history. */
const archive = () => runPeriodicJob("archive");

async function setting(over: Partial<ScheduleSettingsInput> = {}) {
  const tenancy = await openTenancy(testEnv);
  const { scope } = tenancy;
  const settings = ScheduleSettings.parse({
    name: "daily",
    timing: { kind: "cron", cron: "0 0 * * *" },
    parameters: { from: "schedule" },
    ...over,
  });
  await setSchedule(testEnv.deps, { scope, deployment: "flow", settings });
  const ask = (over: Partial<z.input<typeof CreateBackfill>> = {}) =>
    createBackfill(testEnv.deps, {
      scope,
      deployment: "flow",
      request: CreateBackfill.parse({
        id: uuidv7(testEnv.clock.nowMs()),
        schedule: "daily",
        from: day(1),
        to: day(6),
        ...over,
      }),
    });
  const list = async () => (await listBackfills(testEnv.deps, { scope, limit: 10 })).items;
  const dues = async () => {
    const { items } = await listRuns(testEnv.deps, scope, { limit: 100 });
    return items.toReversed().map(({ trigger, state }) => ["dueAt" in trigger ? trigger.dueAt : null, state]);
  };
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const finish = async (outcome = "completed") => {
    const taken = await fakeWorker.take();
    const over = outcome === "failed" ? { cause: "error" } : {};
    await fakeWorker.report(taken, [records.started, records.ended(outcome, over)]);
    await moveAll();
    return taken;
  };
  return { ...tenancy, ask, list, dues, finish };
}

describe("a backfill", () => {
  test("creates its runs in order, a limited number at a time, and ends with the last of them", async () => {
    const a = await setting();
    const asked = await a.ask({ concurrency: 2 });
    expect(asked).toMatchObject({
      state: "running",
      instants: 5,
      created: 0,
      first: [1, 2, 3, 4, 5].map(day),
    });
    await moveAll();
    expect(await a.dues()).toEqual([
      [day(1), "ready"],
      [day(2), "ready"],
    ]);
    const first = await a.finish();
    expect(first.parameters).toEqual({ from: "schedule" });
    expect(first.trigger).toMatchObject({ kind: "backfill", backfillId: asked.id, intervalStart: day(0) });
    await a.finish("failed");
    expect((await a.dues()).map(([, state]) => state)).toEqual(["completed", "failed", "ready", "ready"]);
    for (let count = 0; count < 3; count++) await a.finish();
    const [done] = await a.list();
    expect(done).toMatchObject({ state: "completed", created: 5, ended: 5, failed: 1 });
    expect(done?.endedAt).not.toBeNull();
  });

  test("creates runs that expire as its schedule says, and continues with the next", async () => {
    const a = await setting({ expireAfterMs: 60_000 });
    await a.ask({ from: day(1), to: day(3) });
    await moveAll();
    await testEnv.pass(59_000);
    await expire();
    expect(await a.dues()).toEqual([[day(1), "ready"]]);
    await testEnv.pass(1_000);
    await expire();
    await moveAll();
    expect(await a.dues()).toEqual([
      [day(1), "failed"],
      [day(2), "ready"],
    ]);
    await a.finish();
    expect(await a.list()).toMatchObject([{ state: "completed", failed: 1, ended: 2 }]);
  });

  test("may begin with the newest, and with other parameters", async () => {
    const a = await setting();
    await a.ask({ order: "newest", parameters: { from: "person" } });
    await moveAll();
    const first = await a.finish();
    expect(first.parameters).toEqual({ from: "person" });
    await a.finish();
    expect((await a.dues()).map(([due]) => due)).toEqual([day(5), day(4), day(3)]);
  });

  test("creates no run twice, however many processes advance it", async () => {
    const a = await setting();
    await a.ask({ concurrency: 5 });
    await Promise.all(Array.from({ length: 6 }, () => backfillPeriodicJob.runOnce(testEnv.deps)));
    await moveAll();
    expect((await a.dues()).map(([due]) => due)).toEqual([1, 2, 3, 4, 5].map(day));
  });

  test("is idempotent by id; an id of another request is refused", async () => {
    const a = await setting();
    const id = uuidv7(testEnv.clock.nowMs());
    await a.ask({ id });
    expect((await a.ask({ id })).id).toBe(id);
    await expect(a.ask({ id, concurrency: 3 })).rejects.toMatchObject({ code: "backfill-conflict" });
    expect(await a.list()).toHaveLength(1);
  });

  test("runs only the times that are missing, or that did not complete", async () => {
    const a = await setting();
    await a.ask({ from: day(1), to: day(5), concurrency: 4 });
    await moveAll();
    await a.finish();
    const failed = await a.finish("failed");
    const again = await a.finish("failed");
    expect(await a.ask({ only: "missing", dryRun: true })).toMatchObject({ instants: 1, first: [day(5)] });
    const redo = { only: "missing-or-failed", dryRun: true } as const;
    expect(await a.ask(redo)).toMatchObject({ instants: 3, first: [day(2), day(3), day(5)] });
    expect(await a.ask({ ...redo, order: "newest" })).toMatchObject({ first: [day(5), day(3), day(2)] });

    const { runId } = failed;
    const trigger = { kind: "rerun", name: "ada", runId, fromFailure: true, origin: runId } as const;
    const { workspaceId } = a.scope;
    const request = { id: uuidv7(testEnv.clock.nowMs()), deployment: "flow", parameters: {}, tags: [] };
    await inTransaction(testEnv.deps, (tx) => createIn(tx, testEnv.deps, { workspaceId, request, trigger }));
    await a.finish();
    await a.finish();
    expect(await a.ask(redo)).toMatchObject({ instants: 2, first: [day(3), day(5)] });

    await a.ask({ ...redo, dryRun: false, concurrency: 2 });
    await moveAll();
    expect((await a.dues()).slice(-2)).toEqual([
      [day(3), "ready"],
      [day(5), "ready"],
    ]);
    expect(again.trigger).toMatchObject({ dueAt: day(3) });
    await a.finish();
    await a.finish();
    expect((await a.list())[0]).toMatchObject({ only: "missing-or-failed", state: "completed", ended: 2 });
  });

  test("finds a rerun among very many later runs, and decides the times without reading those", async () => {
    const a = await setting();
    const { db } = testEnv.deps.database;
    const { workspaceId } = a.scope;
    await a.ask({ to: day(3) });
    await moveAll();
    const { runId } = await a.finish("failed");
    await a.finish();
    const trigger = { kind: "rerun", name: "ada", runId, fromFailure: true, origin: runId } as const;
    const request = { id: uuidv7(testEnv.clock.nowMs()), deployment: "flow", parameters: {}, tags: [] };
    await inTransaction(testEnv.deps, (tx) => createIn(tx, testEnv.deps, { workspaceId, request, trigger }));
    await a.finish();
    await testEnv.pass(testEnv.deps.config.archiveAfterMs + 1_000);
    await archive();
    await db.execute(sql`insert into run_history select (jsonb_populate_record(h, jsonb_build_object(
        'id', gen_random_uuid(), 'trigger', '{"kind":"user","name":"ada"}'::jsonb, 'created_at', h.created_at + n * interval '1 ms'))).*
      from run_history h, generate_series(1, 20100) n where h.workspace_id = ${workspaceId} and h.id = ${request.id}`);
    await db.execute(sql`analyze run_history`);
    const redo = await a.ask({ to: day(4), only: "missing-or-failed", dryRun: true });
    expect(redo).toMatchObject({ instants: 1, first: [day(3)] });

    const range = { from: new Date(day(1)), to: new Date(day(4)), workspaceId, deployment: "flow" };
    const { id: scheduleId } = await scheduleNamed(db, { workspaceId, deployment: "flow", name: "daily" });
    const covering = {
      ...range,
      schedule: "daily",
      scheduleId,
      only: "missing-or-failed",
      rerun: [],
    } as const;
    const plan = JSON.stringify(
      await db.execute(sql`explain (analyze, format json) ${coveredInstants(covering)}`),
    );
    expect(plan).not.toMatch(/"Actual Rows":\d{3}|"Rows Removed by (Filter|Join Filter)":\d{3}/);
  });

  test("is listed without its left-out times, which may be many, unless an earlier release created it", async () => {
    const a = await setting();
    const { db } = testEnv.deps.database;
    await a.ask({ from: day(2), to: day(3) });
    await moveAll();
    await a.ask({ only: "missing" });
    const read = async () => (await selectBackfills(db, { ...listing, workspaceId: a.scope.workspaceId }))[0];
    const listing = { deployment: null, before: null, limit: 1 };
    expect(await read()).toMatchObject({ skips: null, only: "missing" });
    const shown = [1, 3, 4, 5].map(day);
    expect((await a.list())[0]).toMatchObject({ first: shown });
    await db.execute(
      sql`update backfill set first_instants = null where workspace_id = ${a.scope.workspaceId}`,
    );
    expect(await read()).toMatchObject({ skips: [Date.parse(day(2))] });
    expect((await a.list())[0]).toMatchObject({ first: shown });
  });

  test("with an unknown choice of times is refused by the database", async () => {
    const a = await setting();
    await a.ask();
    const change = testEnv.deps.database.db.execute(
      sql`update backfill set "only" = 'some' where workspace_id = ${a.scope.workspaceId}`,
    );
    await expect(change).rejects.toMatchObject({ cause: { constraint_name: "backfill_only_check" } });
  });

  test("leaves out the times that another backfill has yet to run", async () => {
    const a = await setting();
    await a.ask({ from: day(2), to: day(5) });
    await moveAll();
    expect(await a.ask({ only: "missing", dryRun: true })).toMatchObject({
      instants: 2,
      first: [day(1), day(5)],
    });
  });

  test("with nothing left to run completes without a run", async () => {
    const a = await setting();
    await a.ask({ to: day(2) });
    await moveAll();
    await a.finish();
    expect(await a.ask({ to: day(2), only: "missing" })).toMatchObject({ instants: 0, first: [] });
    await moveAll();
    expect((await a.list()).map(({ state }) => state)).toEqual(["completed", "completed"]);
    expect(await a.dues()).toHaveLength(1);
  });

  test("does not see the runs of another workspace", async () => {
    const [a, b] = [await setting(), await setting()];
    await b.ask({ concurrency: 5 });
    await moveAll();
    expect(await a.ask({ only: "missing" })).toMatchObject({ instants: 5 });
  });

  test("creates nothing in a dry run", async () => {
    const a = await setting();
    expect(await a.ask({ dryRun: true })).toMatchObject({
      id: null,
      instants: 5,
      first: [1, 2, 3, 4, 5].map(day),
    });
    await moveAll();
    expect(await a.list()).toEqual([]);
    expect(await a.dues()).toEqual([]);
  });

  test("cancels its open runs and creates no more when it is cancelled", async () => {
    const a = await setting();
    const { id } = await a.ask({ concurrency: 2 });
    await moveAll();
    await a.finish();
    for (let twice = 0; twice < 2; twice++) {
      const cancelled = await cancelBackfill(testEnv.deps, { scope: a.scope, backfillId: id ?? "" });
      expect(cancelled.state).toBe("cancelled");
    }
    await moveAll();
    expect((await a.dues()).map(([, state]) => state)).toEqual(["completed", "cancelled", "cancelled"]);
  });

  test("is not visible in another workspace", async () => {
    const [a, b] = [await setting(), await setting()];
    const { id } = await a.ask();
    const cancel = cancelBackfill(testEnv.deps, { scope: b.scope, backfillId: id ?? "" });
    await expect(cancel).rejects.toMatchObject({ code: "backfill-not-found" });
    expect(await b.list()).toEqual([]);
  });

  const refused: [string, Partial<z.input<typeof CreateBackfill>>, RegExp][] = [
    [
      "a range with instants to come",
      { to: new Date(START_MS + 400 * DAY).toISOString() },
      /has times in the future, from 2026/,
    ],
    ["an empty range", { to: day(1) }, /exclusive|not after/],
    [
      "a range without an instant",
      { from: new Date(START_MS + 1).toISOString(), to: new Date(START_MS + 2).toISOString() },
      /no time in this range/,
    ],
    [
      "too large a range",
      { from: "1970-01-01T00:00:00.000Z", to: new Date(START_MS + 40 * 365 * DAY).toISOString() },
      /more than 10000/,
    ],
  ];
  for (const [what, over, message] of refused)
    test(`is refused for ${what}`, async () => {
      const a = await setting();
      await expect(a.ask(over)).rejects.toThrow(message);
    });
});
