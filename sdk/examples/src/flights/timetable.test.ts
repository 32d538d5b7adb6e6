import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type MadeFlight, makeFlights } from "./made-flights.fixture.ts";
import { splitFlights } from "./split.ts";
import { DAY_MIN, formatServiceDay, minuteOfServiceDay, serviceDayOf, weekdayOf } from "./table.ts";
import { learnTimetable, plannedMinutes, UNPLANNED } from "./timetable.ts";

const MONDAY = 11_323;

function daily(minutes: readonly number[], days: readonly number[]): MadeFlight[] {
  return days.flatMap((day) =>
    minutes.map((minute) => ({ day, minute, delay: 0, origin: "ABC", destination: "DEF" })),
  );
}

describe("service days", () => {
  test("begin at four in the morning, so that an hour past midnight belongs to the previous day", () => {
    const newYear = Date.UTC(2001, 0, 1, 1, 0) / 60_000;
    expect(formatServiceDay(serviceDayOf(newYear))).toBe("2000-12-31");
    expect(formatServiceDay(serviceDayOf(newYear + 180))).toBe("2001-01-01");
    expect(weekdayOf(MONDAY)).toBe(1);
  });

  test("divide time into days without loss", () => {
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 30), max: 2 ** 30 }), (minute) => {
        const within = minuteOfServiceDay(minute);
        expect(within).toBeGreaterThanOrEqual(0);
        expect(within).toBeLessThan(DAY_MIN);
        expect(serviceDayOf(minute + DAY_MIN)).toBe(serviceDayOf(minute) + 1);
        expect(weekdayOf(serviceDayOf(minute))).toBe((weekdayOf(serviceDayOf(minute + 7 * DAY_MIN)) + 7) % 7);
      }),
    );
  });
});

describe("the recovered timetable", () => {
  const weekdays = [0, 1, 2, 3, 4].map((day) => MONDAY + day);

  test("gives the n-th flight of a route its usual minute", () => {
    const flights = makeFlights(daily([120, 480, 900], weekdays));
    const planned = plannedMinutes(flights, learnTimetable(flights, flights.rows));
    expect([...planned.slice(0, 3)]).toEqual([120, 480, 900]);
  });

  test("does not change with one late departure, and gives the late flight its planned minute", () => {
    const punctual = daily([480], weekdays.slice(0, 4));
    const late = daily([1_290], weekdays.slice(4));
    const flights = makeFlights([...punctual, ...late]);
    expect([...plannedMinutes(flights, learnTimetable(flights, flights.rows))]).toEqual([
      480, 480, 480, 480, 480,
    ]);
  });

  test("keeps weekdays, Saturdays and Sundays apart", () => {
    const flights = makeFlights([
      ...daily([300], weekdays),
      ...daily([600], [MONDAY + 5]),
      ...daily([700], [MONDAY + 6]),
    ]);
    expect([...plannedMinutes(flights, learnTimetable(flights, flights.rows)).slice(-2)]).toEqual([600, 700]);
  });

  test("does not use rows after the training period, and has no planned minute for their new flights", () => {
    const flights = makeFlights([
      ...daily([300], weekdays.slice(0, 3)),
      ...daily([300, 800], weekdays.slice(3)),
    ]);
    const planned = plannedMinutes(flights, learnTimetable(flights, 3));
    expect([...planned.slice(3)]).toEqual([300, UNPLANNED, 300, UNPLANNED]);
  });
});

describe("splitting by time", () => {
  test("cuts at service days, with the last days held out", () => {
    const flights = makeFlights(
      daily(
        [100, 1_200],
        Array.from({ length: 30 }, (_, day) => MONDAY + day),
      ),
    );
    expect(splitFlights(flights, { heldOutDays: 10, warmUpDays: 5 })).toEqual({
      trainFrom: 10,
      heldOutFrom: 40,
      rows: 60,
      heldOutFromDay: MONDAY + 20,
    });
  });

  test("refuses fewer than seven training days, and no held-out day", () => {
    const flights = makeFlights(
      daily(
        [100],
        Array.from({ length: 30 }, (_, day) => MONDAY + day),
      ),
    );
    expect(() => splitFlights(flights, { heldOutDays: 28 })).toThrow(/bad-split/);
    expect(() => splitFlights(flights, { heldOutDays: 0 })).toThrow(/bad-split/);
  });
});
