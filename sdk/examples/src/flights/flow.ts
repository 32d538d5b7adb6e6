import { artifact, ctx, flow, log, type RefTo, task } from "towpath";
import { z } from "zod";
import { locateDataFile } from "../data-file.ts";
import { type Evaluation, evaluateScores, gainOverBaseRate, requireBetterThanBaseRate } from "./evaluate.ts";
import { buildFeatures, type Features } from "./features.ts";
import { readFlights } from "./ingest.ts";
import { type FeatureSuspicion, requireNoLeak } from "./leakage.ts";
import { type Model, scoreRows } from "./model.ts";
import type { Watch } from "./pace.ts";
import { showCalibration, showMetrics, showSummary } from "./show.ts";
import { type Split, splitFlights } from "./split.ts";
import { type Flights, formatServiceDay } from "./table.ts";
import { trainModel } from "./train.ts";
import { validateFlights } from "./validate.ts";

const DATA_FILE = "flights-3m.parquet";
/** A little more than five weeks: with fewer flights, no week remains for training. */
const SAMPLE_MIN = 500_000;
/** The held-out weeks of all flights, and of a sample. */
const HELD_OUT_DAYS = { all: 28, sample: 7 } as const;

/** The progress bar of a step, and the signal that stops it. */
function watched(shown: { key: string; title: string; unit: string; total: number | null }): Watch {
  let bar: ReturnType<typeof artifact.progress> | undefined;
  const onProgress = (done: number, total: number) => {
    bar ??= artifact.progress({ ...shown, total: shown.total ?? total });
    void bar.update(done);
  };
  return { onProgress, signal: ctx.signal };
}

const ingest = task({ name: "ingest" }, async (source: { path: string; maxRows: number | undefined }) => {
  const flights = await readFlights(
    source,
    watched({ key: "ingest", title: "Reading", unit: "rows", total: null }),
  );
  log.info("%d flights read", flights.rows);
  return flights;
});

const validate = task({ name: "validate" }, (flights: Flights) => {
  const report = validateFlights(flights);
  log.info("%s to %s, %d airports, %d routes", report.from, report.to, report.airports, report.routes);
  return report;
});

const describe = task({ name: "features" }, async (flights: Flights, split: Split) => {
  const watch = watched({ key: "features", title: "Describing", unit: "rows", total: null });
  return await buildFeatures(flights, split, watch);
});

const train = task(
  { name: "train" },
  async (features: Features, split: Split, how: { epochs: number; seed: number }) => {
    const onEpoch = (report: { epoch: number; logLoss: number }) =>
      log.info("pass %d: log loss %s", report.epoch, report.logLoss.toFixed(4));
    const watch = watched({ key: "train", title: "Learning", unit: "rows", total: null });
    return await trainModel(features, split, { ...how, onEpoch }, watch);
  },
);

interface Examined {
  readonly evaluation: Evaluation;
  readonly suspicions: readonly FeatureSuspicion[];
}

/** Evaluates the model. A model with leakage, or no better than the base rate, fails the run here. */
const evaluate = task(
  { name: "evaluate" },
  async (args: { flights: Flights; features: Features; split: Split; model: Model }): Promise<Examined> => {
    const { flights, features, split, model } = args;
    const scores = scoreRows(model, features, { from: split.heldOutFrom, to: split.rows });
    const late = features.late.subarray(split.heldOutFrom);
    const evaluation = evaluateScores({ scores, late, baseRate: model.trained.lateShare });
    await showMetrics(evaluation);
    await showCalibration(evaluation);
    const suspicions = requireNoLeak({ flights, features, split, modelAuc: evaluation.auc });
    requireBetterThanBaseRate(evaluation);
    return { evaluation, suspicions };
  },
);

const publish = task({ name: "publish" }, async (model: Model): Promise<RefTo<Model>> => {
  const ref = await ctx.save("model", model);
  log.info("the model is kept, %d bytes", ref.sizeBytes);
  return ref;
});

const input = z.object({
  data: z
    .string()
    .optional()
    .describe(`Path of ${DATA_FILE} where the flow runs. Without it: the copy in the package vega-datasets.`),
  sample: z.int().min(SAMPLE_MIN).optional().describe("Uses only the first flights, for a quick run."),
  epochs: z.int().min(1).max(20).default(3).describe("Passes over the training flights."),
  seed: z.int().default(1).describe("The seed for the order of the training flights."),
});

/**
 * Trains a model on 3,000,000 flights that predicts late arrivals before departure. Publishes the model if it beats the base
 * rate on the held-out last weeks.
 */
export const flights = flow({ name: "flights", input }, async ({ data, sample, epochs, seed }) => {
  const path = locateDataFile({ name: DATA_FILE, given: data });
  const table = await ingest({ path, maxRows: sample });
  const report = await validate(table);
  const heldOutDays = sample === undefined ? HELD_OUT_DAYS.all : HELD_OUT_DAYS.sample;
  const split = splitFlights(table, { heldOutDays });
  const features = await describe(table, split);
  const model = await train(features, split, { epochs, seed });
  const { evaluation, suspicions } = await evaluate({ flights: table, features, split, model });
  const ref = await publish(model);
  await showSummary({ report, evaluation, suspicions, split, model: ref });
  return {
    flights: table.rows,
    heldOutFrom: formatServiceDay(split.heldOutFromDay),
    auc: evaluation.auc,
    logLoss: evaluation.logLoss,
    gainOverBaseRate: gainOverBaseRate(evaluation),
    model: ref,
  };
});

await flights.runIfMain(import.meta);
