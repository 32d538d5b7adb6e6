import { ScheduleSettings, type ScheduleSettingsInput } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { cancelRun, listRuns } from "../../runs/index.ts";
import { openTenancy, openTestEnv, START_MS, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { schedulesPeriodicJob } from "../periodic-jobs.ts";
import { pauseSchedule, setSchedule } from "../schedules.ts";
import { scheduleInstant } from "../table.ts";
import { getCalendar, hoursOf } from "./calendar.ts";

let testEnv: TestEnv;
let tenancy: Tenancy;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  tenancy = await openTenancy(testEnv);
});
afterAll(() => testEnv.close());

const HOUR_MS = 3_600_000;
const iso = (hours: number) => new Date(START_MS + hours * HOUR_MS).toISOString();

async function set(name: string, settings: Partial<ScheduleSettingsInput>) {
  const { scope } = tenancy;
  await setSchedule(testEnv.deps, {
    scope,
    deployment: "flow",
    settings: ScheduleSettings.parse({ name, timing: { kind: "cron", cron: "0 * * * *" }, ...settings }),
  });
  return { scope, name: "flow", schedule: name };
}

test("past hours show the outcomes of runs, coming hours show what is due", async () => {
  const schedule = await set("half-hourly", { timing: { kind: "cron", cron: "*/30 * * * *", zone: "UTC" } });
  for (let step = 0; step < 4; step++) {
    testEnv.clock.advance(HOUR_MS / 2);
    while ((await schedulesPeriodicJob.runOnce(testEnv.deps)).worked);
  }
  const { items } = await listRuns(testEnv.deps, tenancy.scope, { limit: 10 });
  await cancelRun(testEnv.deps, tenancy.scope, { runId: items[0]?.id ?? "", reason: "" });
  const calendar = await getCalendar(testEnv.deps, { ...schedule, from: iso(-24), to: iso(5) });
  expect(calendar.zone).toBe("UTC");
  expect(calendar.hours).toEqual([
    { at: iso(0), on: "2026-01-15", hour: 12, open: 1 },
    { at: iso(1), on: "2026-01-15", hour: 13, open: 2 },
    { at: iso(2), on: "2026-01-15", hour: 14, cancelled: 1, due: 1 },
    { at: iso(3), on: "2026-01-15", hour: 15, due: 2 },
    { at: iso(4), on: "2026-01-15", hour: 16, due: 2 },
  ]);
  expect(calendar.dueUntil).toBeNull();
});

test("skipped instants are counted, and a stretch of them is shown as one", async () => {
  const schedule = await set("nightly", {});
  const { workspaceId } = tenancy.scope;
  const decided = [
    { at: new Date(iso(-9)), until: new Date(iso(-6)), runId: null, skipped: "catch-up" as const },
    { at: new Date(iso(-3)), runId: null, skipped: "overlap" as const },
  ];
  const { db, sql } = testEnv.deps.database;
  const [row] = await sql<
    { id: string }[]
  >`select id from schedule where workspace_id = ${workspaceId} and name = 'nightly'`;
  const whose = { workspaceId, scheduleId: row?.id ?? "", decidedAt: new Date(iso(0)) };
  await db.insert(scheduleInstant).values(decided.map((one) => ({ ...whose, ...one })));
  const calendar = await getCalendar(testEnv.deps, { ...schedule, from: iso(-7), to: iso(-1) });
  expect(calendar.hours).toEqual([{ at: iso(-3), on: "2026-01-15", hour: 9, skipped: 1 }]);
  expect(calendar.stretches).toEqual([{ from: iso(-9), to: iso(-6), skipped: "catch-up" }]);
});

test("a paused schedule is never due", async () => {
  const schedule = await set("paused", {});
  await pauseSchedule(testEnv.deps, schedule);
  const { hours } = await getCalendar(testEnv.deps, { ...schedule, from: iso(0), to: iso(48) });
  expect(hours).toEqual([]);
});

test("the answer says up to when it counted if there are too many coming instants", async () => {
  const schedule = await set("often", { timing: { kind: "interval", everyMs: 1_000, anchor: iso(0) } });
  const { dueUntil, hours } = await getCalendar(testEnv.deps, { ...schedule, from: iso(0), to: iso(48) });
  expect(hours.reduce((sum, hour) => sum + (hour.due ?? 0), 0)).toBe(5_000);
  expect(dueUntil).toBe(new Date(testEnv.clock.nowMs() + 5_001_000).toISOString());
});

test("an hour that clocks repeat is two hours, and a skipped one is none", () => {
  const berlin = hoursOf("Europe/Berlin");
  const told = (text: string) => {
    const { startMs, on, hour } = berlin(Date.parse(text));
    return [new Date(startMs).toISOString(), on, hour];
  };
  expect(told("2026-10-25T00:40:00Z")).toEqual(["2026-10-25T00:00:00.000Z", "2026-10-25", 2]);
  expect(told("2026-10-25T01:40:00Z")).toEqual(["2026-10-25T01:00:00.000Z", "2026-10-25", 2]);
  expect(told("2026-03-29T00:59:00Z")).toEqual(["2026-03-29T00:00:00.000Z", "2026-03-29", 1]);
  expect(told("2026-03-29T01:00:00Z")).toEqual(["2026-03-29T01:00:00.000Z", "2026-03-29", 3]);
});

test("the hours of a zone with a half-hour offset begin at their own times", () => {
  const { startMs, hour } = hoursOf("Asia/Kolkata")(Date.parse("2026-06-01T10:10:00Z"));
  expect([new Date(startMs).toISOString(), hour]).toEqual(["2026-06-01T09:30:00.000Z", 15]);
});
