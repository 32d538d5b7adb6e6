import { expect, test } from "vitest";
import { locateDataFile } from "../data-file.ts";
import { evaluateScores, requireBetterThanBaseRate } from "./evaluate.ts";
import { buildFeatures } from "./features.ts";
import { readFlights } from "./ingest.ts";
import { requireNoLeak } from "./leakage.ts";
import { decodeModel, encodeModel, scoreRows } from "./model.ts";
import { splitFlights } from "./split.ts";
import { trainModel } from "./train.ts";
import { validateFlights } from "./validate.ts";

test("five weeks of the real data lead to a model that beats the base rate", {
  timeout: 120_000,
}, async () => {
  const flights = await readFlights({
    path: locateDataFile({ name: "flights-3m.parquet" }),
    maxRows: 600_000,
  });
  expect(validateFlights(flights, { minRows: 600_000 })).toMatchObject({ from: "2000-12-31", days: 38 });

  const split = splitFlights(flights, { heldOutDays: 7 });
  const features = await buildFeatures(flights, split);
  const model = decodeModel(encodeModel(await trainModel(features, split, { epochs: 2 })));
  const scores = scoreRows(model, features, { from: split.heldOutFrom, to: split.rows });
  const late = features.late.subarray(split.heldOutFrom);
  const evaluation = evaluateScores({ scores, late, baseRate: model.trained.lateShare });

  requireNoLeak({ flights, features, split, modelAuc: evaluation.auc });
  requireBetterThanBaseRate(evaluation);
  expect(evaluation.auc).toBeGreaterThan(0.6);
});
