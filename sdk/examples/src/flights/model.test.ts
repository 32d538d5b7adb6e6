import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { evaluateScores } from "./evaluate.ts";
import { buildFeatures } from "./features.ts";
import { makeFlights, makeWeeks } from "./made-flights.fixture.ts";
import { decodeModel, encodeModel, scoreRows } from "./model.ts";
import { FlightsProblem } from "./problem.ts";
import { seededRandom, shuffle } from "./random.ts";
import { splitFlights } from "./split.ts";
import { type EpochReport, trainModel } from "./train.ts";

const flights = makeFlights(makeWeeks(12));
const split = splitFlights(flights, { heldOutDays: 21 });
const heldOut = { from: split.heldOutFrom, to: split.rows };

describe("training", { timeout: 60_000 }, () => {
  test("learns the pattern, and the loss falls with each pass", async () => {
    const features = await buildFeatures(flights, split);
    const reports: EpochReport[] = [];
    const model = await trainModel(features, split, { epochs: 8, onEpoch: (report) => reports.push(report) });
    const scores = scoreRows(model, features, heldOut);
    const evaluation = evaluateScores({
      scores,
      late: features.late.subarray(heldOut.from),
      baseRate: model.trained.lateShare,
    });
    expect(evaluation.auc).toBeGreaterThan(0.7);
    expect(evaluation.logLoss).toBeLessThan(evaluation.baseLogLoss);
    expect(reports.map((report) => report.epoch)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(reports.at(-1)?.logLoss).toBeLessThan(reports[0]?.logLoss ?? 0);
  });

  test("gives the same model for the same seed, and another model for another seed", async () => {
    const features = await buildFeatures(flights, split);
    const [one, same, other] = [
      await trainModel(features, split, { seed: 5 }),
      await trainModel(features, split, { seed: 5 }),
      await trainModel(features, split, { seed: 6 }),
    ];
    expect(encodeModel(same)).toBe(encodeModel(one));
    expect(other.bias).not.toBe(one.bias);
  });

  test("stops when its signal is aborted, and when the loss becomes NaN", async () => {
    const features = await buildFeatures(flights, split);
    const training = trainModel(features, split, {}, { signal: AbortSignal.abort(new Error("enough")) });
    await expect(training).rejects.toThrow("enough");
    const diverging = trainModel(features, split, { learningRate: Number.POSITIVE_INFINITY });
    await expect(diverging).rejects.toMatchObject({ code: "training-diverged" });
  });
});

describe("a model on disk", { timeout: 60_000 }, () => {
  test("scores exactly as it did before it was written", async () => {
    const features = await buildFeatures(flights, split);
    const model = await trainModel(features, split);
    const back = decodeModel(encodeModel(model));
    expect(back).toEqual(model);
    expect(scoreRows(back, features, heldOut)).toEqual(scoreRows(model, features, heldOut));
  });

  test("is refused with a typed error if it is damaged or has another format", async () => {
    const features = await buildFeatures(flights, split);
    const text = encodeModel(await trainModel(features, split, { epochs: 1 }));
    expect(() => decodeModel(text.slice(0, -10))).toThrow(/unreadable-model: it is not JSON/);
    expect(() => decodeModel(text.replace('"kind":"', '"kind":"x'))).toThrow(/kind/);
    fc.assert(
      fc.property(fc.json(), (json) => {
        expect(() => decodeModel(json)).toThrow(FlightsProblem);
      }),
    );
  });

  test("refuses features that it was not trained on", async () => {
    const features = await buildFeatures(flights, split);
    const model = await trainModel(features, split, { epochs: 1 });
    const fewer = { ...features, denseFields: features.denseFields.slice(1) };
    expect(() => scoreRows(model, fewer, heldOut)).toThrow(/the features are/);
  });
});

describe("seeded shuffling", () => {
  test("is a permutation, the same for the same seed", () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(200), (seed, length) => {
        const order = Uint32Array.from({ length }, (_, index) => index);
        const again = order.slice();
        shuffle(seededRandom(seed), order);
        shuffle(seededRandom(seed), again);
        expect(again).toEqual(order);
        expect([...order].sort((one, other) => one - other)).toEqual(
          Array.from({ length }, (_, index) => index),
        );
      }),
    );
  });
});
