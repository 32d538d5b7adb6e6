import { beforeAll, describe, expect, test } from "vitest";
import type { CategoricalField, DenseField } from "./feature-fields.ts";
import { buildFeatures, type Features } from "./features.ts";
import { requireNoLeak } from "./leakage.ts";
import { makeFlights, makeWeeks } from "./made-flights.fixture.ts";
import { splitFlights } from "./split.ts";
import { minuteOfServiceDay } from "./table.ts";

const flights = makeFlights(makeWeeks(10));
const split = splitFlights(flights, { heldOutDays: 21 });
// In the test data, flights from BAD are late so regularly that its features alone are strong.
const limits = { maxFeatureAuc: 0.9, maxDelayCorrelation: 0.75 };
let features: Features;

beforeAll(async () => {
  features = await buildFeatures(flights, split);
});

/** The features with another number for each flight. */
function withDense(field: DenseField, numberOf: (row: number) => number): Features {
  const width = features.denseFields.length;
  const dense = new Float32Array(features.rows * (width + 1));
  for (let row = 0; row < features.rows; row++) {
    dense.set(features.dense.subarray(row * width, (row + 1) * width), row * (width + 1));
    dense[row * (width + 1) + width] = numberOf(row);
  }
  return { ...features, dense, denseFields: [...features.denseFields, field] };
}

/** The features with another code for each flight. */
function withLevels(field: CategoricalField, levelOf: (row: number) => number): Features {
  const width = features.categoricalFields.length;
  const levels = new Uint16Array(features.rows * (width + 1));
  for (let row = 0; row < features.rows; row++) {
    levels.set(features.levels.subarray(row * width, (row + 1) * width), row * (width + 1));
    levels[row * (width + 1) + width] = levelOf(row);
  }
  return { ...features, levels, categoricalFields: [...features.categoricalFields, field] };
}

const delayOf = (row: number) => flights.delayMin[row] ?? 0;

describe("the leakage check", () => {
  test("accepts valid features and returns how well each predicts", () => {
    const suspicions = requireNoLeak({ flights, features, split, modelAuc: 0.7 }, limits);
    expect(suspicions.map((suspicion) => suspicion.name)).toEqual(
      [...features.denseFields, ...features.categoricalFields].map((field) => field.name),
    );
  });

  test("finds the delay itself, even with another declared source", () => {
    const leaked = withDense({ name: "wind", reads: ["calendar"] }, delayOf);
    expect(() => requireNoLeak({ flights, features: leaked, split }, limits)).toThrow(
      /wind alone reaches an AUC of 1.000/,
    );
  });

  test("finds a disguised delay: noisy, inverted and with a valid name", () => {
    const veiled = withDense(
      { name: "wind", reads: ["calendar"] },
      (row) => -delayOf(row) + ((row * 37) % 11) * 3,
    );
    expect(() => requireNoLeak({ flights, features: veiled, split }, limits)).toThrow(
      /leaked-feature: wind alone/,
    );
  });

  test("finds a categorical feature made from the delay", () => {
    const field = { name: "carrier", reads: ["origin"], levels: 4 } as const;
    const leaked = withLevels(field, (row) => (delayOf(row) > 15 ? 2 + (row % 2) : row % 2));
    expect(() => requireNoLeak({ flights, features: leaked, split }, limits)).toThrow(/carrier alone/);
  });

  test("finds a weak feature with a declared source from after departure", () => {
    const field = { name: "real-hour", reads: ["departure"] } as const;
    const leaked = withDense(field, (row) =>
      Math.floor(minuteOfServiceDay(flights.departedAtMin[row] ?? 0) / 60),
    );
    expect(() => requireNoLeak({ flights, features: leaked, split }, limits)).toThrow(
      /real-hour reads departure/,
    );
  });

  test("finds a model that is too good for a forecast", () => {
    expect(() => requireNoLeak({ flights, features, split, modelAuc: 0.97 }, limits)).toThrow(
      /too good for a forecast/,
    );
  });
});
