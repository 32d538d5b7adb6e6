import { describe, expect, test } from "vitest";
import { type MadeFlight, makeFlights, makeWeeks } from "./made-flights.fixture.ts";
import { FlightsProblem } from "./problem.ts";
import type { Flights } from "./table.ts";
import { type Expectations, validateFlights } from "./validate.ts";

function findingsOf(flights: Flights, expectations?: Expectations): readonly string[] {
  try {
    validateFlights(flights, expectations);
  } catch (problem) {
    if (problem instanceof FlightsProblem) return problem.findings;
    throw problem;
  }
  return [];
}

function withOne(change: Partial<MadeFlight>): Flights {
  const [first, ...others] = makeWeeks(2);
  return makeFlights(first ? [{ ...first, ...change }, ...others] : others);
}

describe("validating flights", () => {
  test("returns a report for valid data", () => {
    expect(validateFlights(makeFlights(makeWeeks(2)))).toMatchObject({
      rows: 252,
      days: 14,
      airports: 3,
      routes: 6,
      from: "2001-01-01",
      to: "2001-01-14",
      delayMin: { min: -3, max: 45 },
      suspectRows: 0,
    });
  });

  test("refuses too few rows before anything else", () => {
    expect(findingsOf(makeFlights([]))).toEqual(["0 rows, at least 1 expected"]);
    expect(findingsOf(makeFlights(makeWeeks(1)), { minRows: 1_000 })).toEqual([
      "126 rows, at least 1000 expected",
    ]);
  });

  test("refuses delays and distances out of range", () => {
    expect(findingsOf(withOne({ delay: 3_000 }))).toEqual([
      expect.stringMatching(/^delay reaches from -3 to 3000/),
    ]);
    expect(findingsOf(withOne({ miles: 9_000 }))).toContainEqual(expect.stringMatching(/^distance reaches/));
  });

  test("tolerates a rare impossible arrival and refuses many", () => {
    expect(findingsOf(withOne({ delay: -400 }), { maxSuspectShare: 0.01 })).toEqual([]);
    expect(findingsOf(withOne({ delay: -400 }), { maxSuspectShare: 0.001 })).toEqual([
      "1 arrivals are earlier than physics allows",
    ]);
  });

  test("refuses airports that are misspelt or unknown", () => {
    expect(findingsOf(withOne({ origin: "b4d" }))).toContain("1 unknown airports: b4d");
    expect(
      findingsOf(withOne({ origin: "XYZ" }), { knownAirports: new Set(["BAD", "MID", "NOW"]) }),
    ).toContain("1 unknown airports: XYZ");
  });

  test("refuses a flight that ends where it began, and one with another distance for its route", () => {
    expect(findingsOf(withOne({ destination: "BAD" }))).toContain("1 flights end where they began");
    expect(findingsOf(withOne({ miles: 501 })).join()).toMatch(/disagree with others of their route/);
  });

  test("refuses a day without flights, and rows out of order", () => {
    const weeks = makeWeeks(2);
    const gap = weeks.filter((flight) => flight.day !== 11_326);
    expect(findingsOf(makeFlights(gap))).toEqual(["days without a flight: 2001-01-04"]);
    const flights = makeFlights(weeks);
    expect(findingsOf({ ...flights, departedAtMin: flights.departedAtMin.toReversed() })).toContainEqual(
      expect.stringMatching(/departs before the row above it/),
    );
  });

  test("refuses nulls, and an impossible share of late flights", () => {
    const flights = makeFlights(makeWeeks(2));
    expect(findingsOf({ ...flights, nulls: { ...flights.nulls, delay: 2 } })).toEqual([
      "2 nulls in column delay",
    ]);
    const never = { ...flights, delayMin: new Int16Array(flights.rows) };
    expect(findingsOf(never)).toEqual([expect.stringMatching(/^share of late flights/)]);
  });

  test("names every fault at once", () => {
    expect(findingsOf(withOne({ delay: 3_000, miles: 9_000, origin: "b4d" })).length).toBeGreaterThanOrEqual(
      3,
    );
  });
});
