import { Schedule, ScheduleSettings, type ScheduleSettingsInput } from "@towpath/contract";
import { expect, test } from "vitest";
import { newTexts, previewOf, type ScheduleTexts, settingsOf, textsOf } from "./schedule-texts.ts";

const AT = "2026-01-01T00:00:00.000Z";

function scheduleOf(settings: Partial<ScheduleSettingsInput>): Schedule {
  return Schedule.parse({
    name: "nightly",
    timing: { kind: "cron", cron: "0 3 * * *", zone: "Europe/Berlin" },
    ...settings,
    id: "0193a0b1-7c00-7000-8000-000000000001",
    deployment: "orders@prod",
    source: "person",
    paused: false,
    fault: null,
    nextAt: null,
    lastRunId: null,
    createdAt: AT,
    updatedAt: AT,
  });
}

const filled = (texts: Partial<ScheduleTexts>): ScheduleTexts => ({
  ...newTexts({ deployment: "orders", zone: "Europe/Berlin" }),
  name: "nightly",
  cron: "0 3 * * *",
  ...texts,
});

test.each<Partial<ScheduleSettingsInput>>([
  {},
  { timing: { kind: "interval", everyMs: 5_400_500, anchor: "2026-01-01T00:00:00.123Z" } },
  {
    timing: {
      kind: "rrule",
      rrule: "FREQ=MONTHLY;BYDAY=-1FR",
      start: "2026-01-30T18:00",
      zone: "Asia/Kolkata",
    },
  },
  { startsAt: "2026-03-29T00:59:59.999Z", endsAt: "2026-10-25T01:30:00.000Z", jitterMs: 90_000 },
  {
    overlap: "cancel-running",
    catchUp: "none",
    catchUpWindowMs: 0,
    priority: -7,
    expireAfterMs: 1_800_000,
    tags: ["a", "b"],
  },
])("A schedule that is opened and saved without a change stays as it is: %j", (settings) => {
  const schedule = scheduleOf({ ...settings, parameters: { island: "Dream" } });
  const saved = settingsOf(textsOf(schedule), { before: schedule, parameters: schedule.parameters });
  expect(ScheduleSettings.parse(saved)).toEqual(
    ScheduleSettings.parse({
      name: "nightly",
      timing: schedule.timing,
      ...settings,
      parameters: { island: "Dream" },
    }),
  );
});

test("Times are read on the clocks of the schedule's zone", () => {
  const settings = settingsOf(filled({ startsAt: "2026-07-01T09:00", endsAt: "2026-12-01T09:00:30" }), {
    before: null,
    parameters: {},
  });
  expect(settings).toMatchObject({
    startsAt: "2026-07-01T07:00:00.000Z",
    endsAt: "2026-12-01T08:00:30.000Z",
  });
});

test.each([
  [{ cron: " " }, ["timing.cron"]],
  [{ zone: "Berlin" }, ["timing.zone"]],
  [{ kind: "interval", every: "often" }, ["timing.everyMs"]],
  [{ kind: "interval", every: "" }, ["timing.everyMs"]],
  [{ kind: "rrule" }, ["timing.rrule", "timing.start"]],
  [{ jitter: "x", window: "y", priority: "1.5" }, ["catchUpWindowMs", "jitterMs", "priority"]],
] as const)("Faulty texts %j are refused at once, each with its field", (texts, paths) => {
  const read = () => settingsOf(filled(texts), { before: null, parameters: {} });
  expect(read).toThrow(
    expect.objectContaining({ faults: paths.map((path) => expect.objectContaining({ path })) }),
  );
});

test("Nothing is previewed until the timing is complete", () => {
  expect(previewOf(filled({ cron: "" }), null)).toBeNull();
  expect(previewOf(filled({ priority: "not a number" }), null)).toEqual({
    timing: { kind: "cron", cron: "0 3 * * *", zone: "Europe/Berlin" },
    startsAt: null,
    endsAt: null,
  });
});
