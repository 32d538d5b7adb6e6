import { ScheduleSettings, type ScheduleSettingsInput } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { FakeWorker, records } from "../fake-worker.fixture.ts";
import { cancelRun, getRun, runsPeriodicJobs } from "../runs/index.ts";
import { sign, specOf } from "../spec.fixture.ts";
import { openTestEnv, type TestEnv } from "../test-env.fixture.ts";
import { schedulesPeriodicJob } from "./periodic-jobs.ts";
import { getSchedule, listSchedules, listUpcoming, setSchedule } from "./schedules.ts";
import { registerVersion } from "./seed.ts";
import { decideAllOf, HOUR, hourly, type Setting, settingOf } from "./setting.fixture.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const decideAll = () => decideAllOf(testEnv);
const setting = () => settingOf(testEnv);
const nowIso = (hours = 0) => new Date(testEnv.clock.nowMs() + hours * HOUR).toISOString();

/** Ends the runs that no worker has started in time. */
const expire = () => runsPeriodicJobs.find(({ name }) => name === "expire")?.runOnce(testEnv.deps);

describe("an instant that comes due", () => {
  test("has a run, which has the instant and its data interval", async () => {
    const a = await setting();
    const due = nowIso(1);
    await a.set({ tags: ["night"], priority: 7 });
    testEnv.clock.advance(HOUR);
    await decideAll();
    const [run, ...others] = await a.runs();
    expect(others).toEqual([]);
    expect(run).toMatchObject({
      state: "ready",
      tags: ["night"],
      priority: 7,
      trigger: { kind: "schedule", schedule: "nightly", dueAt: due, intervalStart: nowIso(-1) },
    });
    expect(await getSchedule(testEnv.deps, a.nightly)).toMatchObject({
      nextAt: nowIso(1),
      lastRunId: run?.id,
    });
    expect(await a.instants()).toEqual([[due, null, null]]);
  });

  test("has a run that expires after its due time as the schedule says, if no worker takes it", async () => {
    const a = await setting();
    await a.set({ expireAfterMs: 60_000 });
    testEnv.clock.advance(HOUR);
    await decideAll();
    const look = async () => (await a.runs()).map(({ state, cause }) => [state, cause]);
    await testEnv.pass(59_000);
    await expire();
    expect(await look()).toEqual([["ready", null]]);
    await testEnv.pass(1_000);
    await expire();
    expect(await look()).toEqual([["failed", "expired"]]);
  });

  test("has one run, however many processes decide at the same time", async () => {
    const a = await setting();
    await a.set({});
    testEnv.clock.advance(HOUR);
    await Promise.all(Array.from({ length: 6 }, () => schedulesPeriodicJob.runOnce(testEnv.deps)));
    await decideAll();
    expect(await a.runs()).toHaveLength(1);
  });

  test("has one run even if the schedule is moved back before it", async () => {
    const a = await setting();
    const { id } = await a.set({});
    const before = nowIso();
    testEnv.clock.advance(HOUR);
    await decideAll();
    await testEnv.deps.database
      .sql`update schedule set cursor_at = ${before}, next_at = ${nowIso()} where id = ${id}`;
    await decideAll();
    expect(await a.runs()).toHaveLength(1);
  });

  test("has a run delayed by its jitter, the same for the same instant", async () => {
    const a = await setting();
    await a.set({ jitterMs: HOUR / 2 });
    testEnv.clock.advance(HOUR);
    await decideAll();
    const [run] = await a.runs();
    const lateMs = Date.parse(run?.scheduledAt ?? "") - testEnv.clock.nowMs();
    expect(lateMs).toBeGreaterThanOrEqual(0);
    expect(lateMs).toBeLessThanOrEqual(HOUR / 2);
  });

  test("has a recorded reason instead if the parameters are no longer valid", async () => {
    const a = await setting();
    await a.set({ parameters: { island: "Dream" } });
    const parameters = { type: "object", properties: {}, additionalProperties: false };
    await a.deploy("flow", { version: 2, parameters });
    testEnv.clock.advance(HOUR);
    await decideAll();
    expect(await a.runs()).toEqual([]);
    expect(await a.instants()).toEqual([[nowIso(), null, "invalid-parameters"]]);
    expect((await getSchedule(testEnv.deps, a.nightly)).nextAt).toBe(nowIso(1));
  });
});

describe("instants that were missed", () => {
  test("are run by the policy; the others are recorded as a stretch", async () => {
    const a = await setting();
    const begin = testEnv.clock.nowMs();
    for (const catchUp of ["none", "latest", "all"] as const) await a.set({ name: catchUp, catchUp });
    testEnv.clock.advance(3 * HOUR + HOUR / 2);
    await decideAll();
    const hour = (h: number) => new Date(begin + h * HOUR).toISOString();
    expect(await a.instants("none")).toEqual([[hour(1), hour(3), "catch-up"]]);
    expect(await a.instants("latest")).toEqual([
      [hour(1), hour(2), "catch-up"],
      [hour(3), null, null],
    ]);
    expect(await a.instants("all")).toEqual([1, 2, 3].map((h) => [hour(h), null, null]));
    expect(await a.runs()).toHaveLength(4);
  });
});

describe("while the previous run is open", () => {
  async function twoHoursOn(overlap: "allow" | "skip" | "wait" | "cancel-running") {
    const a = await setting();
    await a.set({ overlap });
    const fakeWorker = new FakeWorker(testEnv, await a.worker());
    testEnv.clock.advance(HOUR);
    await decideAll();
    const first = await fakeWorker.take();
    await fakeWorker.report(first, [records.started]);
    testEnv.clock.advance(HOUR);
    await decideAll();
    const end = async (outcome = "completed") => {
      await fakeWorker.report(first, [records.ended(outcome)], { from: 2 });
      await decideAll();
    };
    return { ...a, first, end };
  }

  test("allow creates runs beside it", async () => {
    const a = await twoHoursOn("allow");
    expect(await a.runs()).toHaveLength(2);
  });

  test("skip creates none, and records the reason", async () => {
    const a = await twoHoursOn("skip");
    expect(await a.runs()).toHaveLength(1);
    expect((await a.instants()).at(-1)).toEqual([nowIso(), null, "overlap"]);
    await a.end();
    expect(await a.runs()).toHaveLength(1);
  });

  test("wait creates the run once it has ended", async () => {
    const a = await twoHoursOn("wait");
    expect(await a.runs()).toHaveLength(1);
    await a.end();
    expect(await a.runs()).toHaveLength(2);
    expect((await a.instants()).at(-1)).toEqual([nowIso(), null, null]);
  });

  test("cancel-running cancels it, and creates the run once it has ended", async () => {
    const a = await twoHoursOn("cancel-running");
    const old = await getRun(testEnv.deps, a.scope, { runId: a.first.runId });
    expect(old).toMatchObject({ state: "cancelling", cancelReason: "schedule nightly is due again" });
    expect(await a.runs()).toHaveLength(1);
    await a.end("cancelled");
    expect(await a.runs()).toMatchObject([{ state: "cancelled", cause: "collision" }, { state: "ready" }]);
  });

  test.each(["none", "latest", "all"] as const)(
    "cancel-running with the catch-up policy %s holds when several due times come while the run is being cancelled: only the newest runs",
    async (catchUp) => {
      const a = await twoHoursOn("cancel-running");
      await a.set({ overlap: "cancel-running", catchUp });
      testEnv.clock.advance(3 * HOUR);
      await decideAll();
      expect(await a.runs()).toMatchObject([{ state: "cancelling" }]);
      await a.end("cancelled");
      await decideAll();
      const runs = await a.runs();
      expect(runs).toMatchObject([{ state: "cancelled" }, { state: "ready", trigger: { dueAt: nowIso() } }]);
      expect((await a.instants()).at(-1)).toEqual([nowIso(), null, null]);
    },
  );

  test("cancel-running cancels a run for which the schedule already waits", async () => {
    const a = await twoHoursOn("wait");
    expect((await a.runs()).map((run) => run.state)).toEqual(["running"]);
    await a.set({ overlap: "cancel-running" });
    await decideAll();
    expect((await a.runs()).map((run) => run.state)).toEqual(["cancelling"]);
    await a.end("cancelled");
    expect((await a.runs()).map((run) => run.state)).toEqual(["cancelled", "ready"]);
  });

  test("cancel-running creates the newest of several due runs, and records the others", async () => {
    const a = await setting();
    await a.set({ overlap: "cancel-running", catchUp: "all" });
    testEnv.clock.advance(3 * HOUR);
    await decideAll();
    expect(await a.instants()).toEqual([
      [nowIso(-2), nowIso(-1), "overlap"],
      [nowIso(), null, null],
    ]);
  });

  test("cancel-running creates one run, the newest, after an absence of very many instants", async () => {
    const a = await setting();
    const minutely = { kind: "interval", everyMs: 60_000, anchor: nowIso() } as const;
    await a.set({ timing: minutely, overlap: "cancel-running", catchUp: "all" });
    const first = nowIso(1 / 60);
    testEnv.clock.advance(5 * HOUR);
    await decideAll();
    expect(await a.runs()).toMatchObject([{ state: "ready", trigger: { dueAt: nowIso() } }]);
    expect(await a.instants()).toEqual([
      [first, nowIso(-1 / 60), "overlap"],
      [nowIso(), null, null],
    ]);
  });

  test("a run that has not started is cancelled at once", async () => {
    const a = await setting();
    await a.set({ overlap: "wait" });
    testEnv.clock.advance(HOUR);
    await decideAll();
    testEnv.clock.advance(HOUR);
    await decideAll();
    const [run] = await a.runs();
    await cancelRun(testEnv.deps, a.scope, { runId: run?.id ?? "", reason: "" });
    await decideAll();
    expect((await a.runs()).map((one) => one.state)).toEqual(["cancelled", "ready"]);
  });
});

test("the first instant of a bounded schedule has a data interval of the usual length", async () => {
  const a = await setting();
  await a.set({ startsAt: nowIso(1) });
  const { items } = await listUpcoming(testEnv.deps, { ...a.nightly, limit: 1 });
  expect(items).toEqual([{ at: nowIso(1), intervalStart: nowIso() }]);
  testEnv.clock.advance(HOUR);
  await decideAll();
  expect(await a.runs()).toMatchObject([{ trigger: { dueAt: nowIso(), intervalStart: nowIso(-1) } }]);
});

test("coming instants are computed, with their intervals", async () => {
  const a = await setting();
  await a.set({ endsAt: nowIso(2.5) });
  const { items } = await listUpcoming(testEnv.deps, { ...a.nightly, limit: 10 });
  expect(items).toEqual([
    { at: nowIso(1), intervalStart: nowIso() },
    { at: nowIso(2), intervalStart: nowIso(1) },
  ]);
});

describe("is refused, with the next step", () => {
  test("an invalid cron expression", async () => {
    const a = await setting();
    const set = a.set({ timing: { kind: "cron", cron: "whenever" } });
    await expect(set).rejects.toMatchObject({
      code: "invalid-schedule",
      faults: [{ path: "timing.cron" }],
    });
  });

  test("a missing deployment", async () => {
    const a = await setting();
    const settings = ScheduleSettings.parse({ name: "nightly", timing: hourly });
    const set = setSchedule(testEnv.deps, { scope: a.scope, deployment: "flo", settings });
    await expect(set).rejects.toThrow('did you mean "flow"?');
  });

  test("a missing schedule, with a suggestion", async () => {
    const a = await setting();
    await a.set({});
    const get = getSchedule(testEnv.deps, { ...a.nightly, schedule: "nigthly" });
    await expect(get).rejects.toThrow('did you mean "nightly"?');
  });

  test("another workspace's schedule", async () => {
    const [a, b] = [await setting(), await setting()];
    await a.set({});
    const get = getSchedule(testEnv.deps, { ...a.nightly, scope: b.scope });
    await expect(get).rejects.toMatchObject({ code: "schedule-not-found" });
  });
});

describe("the schedules of a version", () => {
  async function deployed(args: Setting, version: number, schedules: Partial<ScheduleSettingsInput>[]) {
    const whole = specOf(args.scope.workspaceId, {
      deployment: "flow",
      version,
      parameters: { type: "object" },
      schedules: schedules.map((one) => ({ name: "nightly", timing: hourly, ...one })),
    });
    await registerVersion(testEnv.deps, { scope: args.scope, jws: await sign(whole) });
    const { items } = await listSchedules(testEnv.deps, { scope: args.scope, limit: 10 });
    return items.map(({ name, tags, source }) => ({ name, tags, source }));
  }

  test("are created, changed and deleted with versions", async () => {
    const a = await setting();
    expect(await deployed(a, 2, [{ tags: ["a"] }, { name: "weekly" }])).toEqual([
      { name: "nightly", tags: ["a"], source: "code" },
      { name: "weekly", tags: [], source: "code" },
    ]);
    expect(await deployed(a, 3, [{ tags: ["b"] }])).toEqual([
      { name: "nightly", tags: ["b"], source: "code" },
    ]);
  });

  test("leave alone what a person has set", async () => {
    const a = await setting();
    await deployed(a, 2, [{ tags: ["a"] }]);
    await a.set({ tags: ["mine"] });
    const mine = [{ name: "nightly", tags: ["mine"], source: "person" }];
    expect(await deployed(a, 3, [{ tags: ["b"] }])).toEqual(mine);
    expect(await deployed(a, 4, [])).toEqual(mine);
  });

  test("prevent the registration if a rule cannot be computed", async () => {
    const a = await setting();
    const timing = { kind: "cron", cron: "61 * * * *" } as const;
    await expect(deployed(a, 2, [{ timing }])).rejects.toMatchObject({ code: "invalid-schedule" });
    expect(await deployed(a, 2, [])).toEqual([]);
  });
});

test("a rule that can no longer be computed sets its schedule aside, and the others continue", async () => {
  const a = await setting();
  const { id } = await a.set({});
  await a.set({ name: "sound" });
  const broken = JSON.stringify({
    ...ScheduleSettings.parse({ name: "nightly", timing: hourly }),
    timing: { kind: "cron", cron: "?", zone: "UTC" },
  });
  await testEnv.deps.database.sql`update schedule set settings = ${broken}::text::jsonb where id = ${id}`;
  testEnv.clock.advance(HOUR);
  await decideAll();
  expect(await a.runs()).toHaveLength(1);
  const { nextAt, fault } = await getSchedule(testEnv.deps, a.nightly);
  expect(nextAt).toBeNull();
  expect(fault).toMatch(/^invalid configuration format \('\?'\)/);
  expect(await a.set({})).toMatchObject({ fault: null, nextAt: nowIso(1) });
});
