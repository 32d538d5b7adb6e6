import { describe, expect, test } from "vitest";
import { buildFeatures, type Features } from "./features.ts";
import { makeFlights, makeWeeks } from "./made-flights.fixture.ts";
import { splitFlights } from "./split.ts";
import { type Flights, serviceDayOf } from "./table.ts";

const flights = makeFlights(makeWeeks(8));
const split = splitFlights(flights, { heldOutDays: 14 });

/** The same flights. From a service day on, all values that are known only after departure are different. */
function withOtherOutcomes(from: { row: number }): Flights {
  const delayMin = flights.delayMin.map((delay, row) => (row < from.row ? delay : delay > 15 ? 0 : 90));
  return { ...flights, delayMin };
}

function firstRowOfDay(day: number): number {
  return flights.departedAtMin.findIndex((minute) => serviceDayOf(minute) >= day);
}

function columnOf(features: Features, name: string): number[] {
  const index = features.denseFields.findIndex((field) => field.name === name);
  return Array.from(
    { length: features.rows },
    (_, row) => features.dense[row * features.denseFields.length + index] ?? 0,
  );
}

describe("features", { timeout: 60_000 }, () => {
  test("of a day do not change with the outcomes of that day and later ones", async () => {
    const honest = await buildFeatures(flights, split);
    for (const day of [split.heldOutFromDay - 10, split.heldOutFromDay, split.heldOutFromDay + 5]) {
      const row = firstRowOfDay(day);
      const nextDay = firstRowOfDay(day + 1);
      const other = await buildFeatures(withOtherOutcomes({ row }), split);
      expect(other.dense.slice(0, nextDay * other.denseFields.length)).toEqual(
        honest.dense.slice(0, nextDay * honest.denseFields.length),
      );
      expect(other.levels.slice(0, nextDay * other.categoricalFields.length)).toEqual(
        honest.levels.slice(0, nextDay * honest.categoricalFields.length),
      );
      expect(other.dense).not.toEqual(honest.dense);
    }
  });

  test("keep long-term rates constant from the first held-out day on", async () => {
    const honest = await buildFeatures(flights, split);
    const other = await buildFeatures(withOtherOutcomes({ row: split.heldOutFrom }), split);
    for (const name of ["route-rate", "origin-hour-rate", "destination-hour-rate"]) {
      expect(columnOf(other, name)).toEqual(columnOf(honest, name));
    }
    expect(columnOf(other, "network-recent")).not.toEqual(columnOf(honest, "network-recent"));
  });

  test("do not count a flight as landed while it is still in the air when the day ends", async () => {
    const redEye = { day: 11_340, minute: 1_430, delay: 600, origin: "BAD", destination: "NOW", miles: 500 };
    const punctual = makeFlights([...makeWeeks(8), { ...redEye, delay: 0 }]);
    const late = makeFlights([...makeWeeks(8), redEye]);
    const [one, other] = [await buildFeatures(punctual, split), await buildFeatures(late, split)];
    const width = one.denseFields.length;
    const changed = one.dense.findIndex((value, index) => value !== other.dense[index]);
    expect(serviceDayOf(punctual.departedAtMin[Math.floor(changed / width)] ?? 0)).toBe(11_342);
  });

  test("are finite numbers and levels within their fields", async () => {
    const features = await buildFeatures(flights, split);
    expect(features.dense.every(Number.isFinite)).toBe(true);
    const width = features.categoricalFields.length;
    for (const [index, field] of features.categoricalFields.entries()) {
      const levels = features.levels.filter((_, place) => place % width === index);
      expect(Math.max(...levels)).toBeLessThan(field.levels);
    }
  });
});
