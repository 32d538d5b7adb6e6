import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { areaUnderCurve, evaluateScores, gainOverBaseRate, requireBetterThanBaseRate } from "./evaluate.ts";

/** Few distinct scores, so that ties are common. */
const scored = fc
  .array(fc.record({ score: fc.integer({ min: 0, max: 6 }), late: fc.boolean() }), {
    minLength: 2,
    maxLength: 60,
  })
  .filter((rows) => rows.some((row) => row.late) && rows.some((row) => !row.late));

describe("the area under the curve", () => {
  test("equals the share of pairs in the right order, with ties as half", () => {
    fc.assert(
      fc.property(scored, (rows) => {
        const lates = rows.filter((row) => row.late);
        const punctuals = rows.filter((row) => !row.late);
        let right = 0;
        for (const one of lates) {
          for (const other of punctuals)
            right += one.score > other.score ? 1 : one.score === other.score ? 0.5 : 0;
        }
        const scores = rows.map((row) => row.score);
        const late = Uint8Array.from(rows, (row) => (row.late ? 1 : 0));
        expect(areaUnderCurve({ scores, late })).toBeCloseTo(right / (lates.length * punctuals.length), 12);
      }),
    );
  });

  test("is refused if all outcomes are equal", () => {
    expect(() => areaUnderCurve({ scores: [1, 2], late: Uint8Array.of(1, 1) })).toThrow(/bad-split/);
  });
});

describe("evaluating", () => {
  const late = Uint8Array.from({ length: 1_000 }, (_, row) => (row % 5 === 0 ? 1 : 0));

  test("gives a constant score the AUC of chance and the log loss of the base rate", () => {
    const evaluation = evaluateScores({ scores: new Float32Array(1_000).fill(0.2), late, baseRate: 0.2 });
    expect(evaluation.auc).toBe(0.5);
    expect(evaluation.logLoss).toBeCloseTo(evaluation.baseLogLoss, 6);
    expect(gainOverBaseRate(evaluation)).toBeCloseTo(0, 6);
  });

  test("computes log loss as the mean negative logarithm", () => {
    const evaluation = evaluateScores({
      scores: Float32Array.of(0.25, 0.5),
      late: Uint8Array.of(0, 1),
      baseRate: 0.5,
    });
    expect(evaluation.logLoss).toBeCloseTo(-(Math.log(0.75) + Math.log(0.5)) / 2, 6);
    expect(evaluation.baseLogLoss).toBeCloseTo(Math.log(2), 12);
  });

  test("sorts rows into ten bins of increasing score, each row once", () => {
    const scores = Float32Array.from({ length: 1_000 }, (_, row) => ((row * 7) % 1_000) / 1_000);
    const { calibration } = evaluateScores({ scores, late, baseRate: 0.2 });
    expect(calibration).toHaveLength(10);
    expect(calibration.reduce((sum, bin) => sum + bin.rows, 0)).toBe(1_000);
    const foretold = calibration.map((bin) => bin.foretold);
    expect(foretold).toEqual([...foretold].sort((one, other) => one - other));
  });
});

describe("the requirement for publishing", () => {
  const rows = { rows: 10, lateShare: 0.2, baseRate: 0.2, calibration: [] };

  test("accepts a model that beats the base rate", () => {
    expect(() =>
      requireBetterThanBaseRate({ ...rows, auc: 0.67, logLoss: 0.48, baseLogLoss: 0.52 }),
    ).not.toThrow();
  });

  test("refuses a model that does not, and a model with NaN", () => {
    const refused = /no-better-than-base-rate/;
    expect(() => requireBetterThanBaseRate({ ...rows, auc: 0.67, logLoss: 0.53, baseLogLoss: 0.52 })).toThrow(
      refused,
    );
    expect(() => requireBetterThanBaseRate({ ...rows, auc: 0.5, logLoss: 0.48, baseLogLoss: 0.52 })).toThrow(
      refused,
    );
    expect(() =>
      requireBetterThanBaseRate({ ...rows, auc: Number.NaN, logLoss: Number.NaN, baseLogLoss: 0.52 }),
    ).toThrow(refused);
  });
});
