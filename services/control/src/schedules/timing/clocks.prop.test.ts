import { Timing, type TimingInput } from "@towpath/contract";
import fc from "fast-check";
import rruleLibrary, { type Options } from "rrule";
import { expect, test } from "vitest";
import { changesIn, clockOf, cronMinutes, FIRST_YEAR, minuteShowing } from "./clocks.fixture.ts";
import { instantsOf } from "./timing.ts";

const { RRule } = rruleLibrary;
const HOUR = 60;
const DAY = 24 * HOUR;

/** Zones whose clocks change: by an hour, by half an hour, at midnight, for a month of the year, by a skipped day. */
const CHANGING = [
  "Europe/Berlin",
  "America/New_York",
  "Australia/Lord_Howe",
  "America/Sao_Paulo",
  "Africa/Casablanca",
  "America/Havana",
  "Asia/Beirut",
  "America/Santiago",
  "Asia/Amman",
  "Pacific/Norfolk",
  "Antarctica/Troll",
];
const zones = fc.oneof(fc.constantFrom(...CHANGING), fc.constantFrom(...Intl.supportedValuesOf("timeZone")));
const years = fc.integer({ min: FIRST_YEAR, max: 2037 });

/** A zone, and a minute near a change of its clocks, if they change in that year. */
const moments = fc
  .tuple(zones, years, fc.nat({ max: 365 * DAY }), fc.nat(), fc.boolean())
  .map(([zone, year, minute, dice, near]) => {
    const changes = near ? changesIn(zone, year) : [];
    const change = changes[dice % Math.max(1, changes.length)];
    const at = Date.UTC(year, 0) / 60_000 + minute;
    return { zone, at: change === undefined ? at : change - (minute % DAY) };
  });

const value = (min: number, max: number) => fc.integer({ min, max });
const single = (min: number, max: number) => value(min, max).map(String);
const list = (min: number, max: number) =>
  fc
    .uniqueArray(value(min, max), { minLength: 2, maxLength: 4 })
    .map((all) => all.sort((a, b) => a - b).join(","));
const range = (min: number, max: number) =>
  fc.tuple(value(min, max), value(min, max)).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
const step = value(2, 9).map((by) => `*/${by}`);
const time = (max: number) =>
  fc.oneof(single(0, max), single(0, 4), list(0, max), range(0, max), step, fc.constant("*"));
const days = fc.oneof(
  { weight: 4, arbitrary: fc.constant("* * *") },
  range(0, 6).map((weekday) => `* * ${weekday}`),
  fc.tuple(range(1, 31), range(1, 12)).map(([day, month]) => `${day} ${month} *`),
);
const crons = fc.tuple(time(59), time(23), days).map((fields) => fields.join(" "));

const recurrenceOf = (timing: TimingInput) =>
  instantsOf({ timing: Timing.parse(timing), startsAt: null, endsAt: null });
const text = (minutes: number[]) =>
  minutes.map((minute) => new Date(minute * 60_000).toISOString().slice(0, 16));

/** The instants from a minute to another, which is excluded, found by going forward. */
function forward(
  { next }: ReturnType<typeof instantsOf>,
  { from, to }: { from: number; to: number },
): number[] {
  const found: number[] = [];
  for (let ms = next(from * 60_000 - 1); ms !== null && ms < to * 60_000; ms = next(ms))
    found.push(ms / 60_000);
  return found;
}

/** The same instants, found by going back. */
function back(
  { previous }: ReturnType<typeof instantsOf>,
  { from, to }: { from: number; to: number },
): number[] {
  const found: number[] = [];
  for (let ms = previous(to * 60_000); ms !== null && ms >= from * 60_000; ms = previous(ms))
    found.unshift(ms / 60_000);
  return found;
}

/** The most instants that are compared at once. */
const INSTANTS_MAX = 200;

test("cron instants equal those found by counting minutes, over zones, years and changes of the clocks, forward and back", () => {
  fc.assert(
    fc.property(crons, moments, (cron, { zone, at }) => {
      const all = cronMinutes(cron, zone, { from: at - 2 * HOUR, to: at + 30 * HOUR });
      const some = all.slice(0, INSTANTS_MAX);
      const stretch = { from: at - 2 * HOUR, to: all[INSTANTS_MAX] ?? at + 30 * HOUR };
      const expected = text(some);
      const ours = recurrenceOf({ kind: "cron", cron, zone });
      const name = `${cron} in ${zone} from ${text([at])}`;
      expect(text(forward(ours, stretch)), name).toEqual(expected);
      expect(text(back(ours, stretch)), `${name}, going back`).toEqual(expected);
    }),
    { numRuns: 200 },
  );
}, 240_000);

const weekdays = fc.uniqueArray(fc.constantFrom("MO", "TU", "WE", "TH", "FR", "SA", "SU"), { minLength: 1 });
const some = (all: fc.Arbitrary<string | null>[]) =>
  fc.tuple(...all).map((parts) => parts.filter((part) => part !== null).join(";"));
const maybe = (part: fc.Arbitrary<string>) => fc.option(part);
const rules = fc.oneof(
  some([
    fc.constantFrom("FREQ=HOURLY", "FREQ=HOURLY;INTERVAL=5", "FREQ=MINUTELY;INTERVAL=90"),
    maybe(weekdays.map((all) => `BYDAY=${all.join(",")}`)),
  ]),
  some([
    fc.constantFrom("FREQ=DAILY", "FREQ=DAILY;INTERVAL=2", "FREQ=DAILY;INTERVAL=3"),
    maybe(list(0, 23).map((hours) => `BYHOUR=${hours}`)),
    maybe(list(0, 59).map((minutes) => `BYMINUTE=${minutes}`)),
  ]),
  some([
    fc.constantFrom("FREQ=WEEKLY", "FREQ=WEEKLY;INTERVAL=2"),
    weekdays.map((all) => `BYDAY=${all.join(",")}`),
  ]),
  some([
    fc.constantFrom("FREQ=MONTHLY", "FREQ=MONTHLY;INTERVAL=2"),
    fc.oneof(
      value(1, 31).map((day) => `BYMONTHDAY=${day}`),
      fc
        .tuple(fc.constantFrom(-1, 1, 2, 4), fc.constantFrom("SU", "MO", "FR"))
        .map(([nth, day]) => `BYDAY=${nth}${day}`),
    ),
  ]),
  some([
    fc.constant("FREQ=YEARLY"),
    list(1, 12).map((months) => `BYMONTH=${months}`),
    value(1, 28).map((day) => `BYMONTHDAY=${day}`),
  ]),
);

/** How long after its start a rule is compared, and for how long, in minutes. */
const LATER = 60 * DAY;
const COMPARED = 64 * DAY;

/** The start of a rule that is compared near a minute: an earlier time that the zone's clock shows. */
function startOf(zone: string, at: number): number | null {
  const shown = clockOf(zone)(at) - LATER;
  return minuteShowing(shown, zone) === null ? null : shown;
}

test("instants of recurrence rules equal those of another library at their first showing, over zones, years and changes of the clocks", () => {
  fc.assert(
    fc.property(rules, moments, (rrule, { zone, at }) => {
      const start = startOf(zone, at);
      fc.pre(start !== null);
      if (start === null) return;
      const options: Partial<Options> = { ...RRule.parseString(rrule), dtstart: new Date(start * 60_000) };
      const stretch = { from: at - 3 * DAY, to: at - LATER + COMPARED };
      const shown = new RRule(options).between(
        new Date(start * 60_000),
        new Date((start + COMPARED + 2 * DAY) * 60_000),
        true,
      );
      const minutes = shown.flatMap((one) => minuteShowing(one.getTime() / 60_000, zone) ?? []);
      const expected = text(minutes.filter((minute) => minute >= stretch.from && minute < stretch.to));
      const local = text([start])[0] ?? "";
      const ours = recurrenceOf({ kind: "rrule", rrule, start: local, zone });
      const name = `${rrule} from ${local} in ${zone}, from ${text([stretch.from])}`;
      expect(text(forward(ours, stretch)), name).toEqual(expected);
      expect(text(back(ours, stretch)), `${name}, going back`).toEqual(expected);
    }),
    { numRuns: 120 },
  );
}, 240_000);
