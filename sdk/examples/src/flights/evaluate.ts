import { FlightsProblem } from "./problem.ts";
import { at } from "./table.ts";

/** How well the probabilities predicted the outcomes. */
export interface Evaluation {
  rows: number;
  /** Share of late flights among the rows. */
  lateShare: number;
  /** Probability that a late flight has a higher score than a punctual one. 0.5 is chance. */
  auc: number;
  /** Mean negative log likelihood, in nats; lower is better. */
  logLoss: number;
  /** Log loss of always predicting `baseRate`. */
  baseLogLoss: number;
  /** Share of late flights in the training period, which is known without a model. */
  baseRate: number;
  calibration: CalibrationBin[];
}

/** A tenth of the rows, by rising score. */
export interface CalibrationBin {
  rows: number;
  /** Mean predicted probability. */
  foretold: number;
  /** Share of late flights. */
  observed: number;
}

/** Bins of the calibration table. */
const CALIBRATION_BINS = 10;

/** The least distance of a probability from 0 and 1, so that one certain mistake has a finite loss. */
const CERTAINTY = 1e-7;

/**
 * Compares scores with the outcomes. `late` holds 0 or 1 and is as long as `scores`.
 * @throws FlightsProblem `bad-split` if all flights are late or none is.
 */
export function evaluateScores(args: {
  scores: Float32Array;
  late: Uint8Array;
  baseRate: number;
}): Evaluation {
  const { scores, late, baseRate } = args;
  const order = orderByScore(scores);
  return {
    rows: scores.length,
    lateShare: late.reduce((sum, label) => sum + label, 0) / scores.length,
    auc: areaUnderCurve({ scores, late, order }),
    logLoss: meanLogLoss(late, (row) => at(scores, row)),
    baseLogLoss: meanLogLoss(late, () => baseRate),
    baseRate,
    calibration: calibrate({ scores, late, order }),
  };
}

/**
 * Area under the ROC curve from ranks (Mann and Whitney's U): tied scores share their mean rank, so a constant score gives exactly 0.5.
 * @throws FlightsProblem `bad-split` if there is only one kind of outcome.
 */
export function areaUnderCurve(args: {
  scores: ArrayLike<number>;
  late: Uint8Array;
  order?: Uint32Array;
}): number {
  const { scores, late } = args;
  const order = args.order ?? orderByScore(scores);
  let [lates, rankSum, start] = [0, 0, 0];
  while (start < order.length) {
    let end = start + 1;
    while (end < order.length && at(scores, at(order, end)) === at(scores, at(order, start))) end++;
    let latesHere = 0;
    for (let place = start; place < end; place++) latesHere += at(late, at(order, place));
    // Ranks count from 1: the ties have ranks start + 1 to end.
    rankSum += (latesHere * (start + 1 + end)) / 2;
    lates += latesHere;
    start = end;
  }
  const punctuals = order.length - lates;
  if (lates === 0 || punctuals === 0) {
    throw new FlightsProblem("bad-split", [
      `${lates} of ${order.length} flights are late; both kinds are needed`,
    ]);
  }
  return (rankSum - (lates * (lates + 1)) / 2) / (lates * punctuals);
}

function orderByScore(scores: ArrayLike<number>): Uint32Array {
  const order = Uint32Array.from({ length: scores.length }, (_, index) => index);
  return order.sort((one, other) => at(scores, one) - at(scores, other));
}

function meanLogLoss(late: Uint8Array, probabilityOf: (row: number) => number): number {
  let sum = 0;
  for (let row = 0; row < late.length; row++) {
    const probability = Math.min(Math.max(probabilityOf(row), CERTAINTY), 1 - CERTAINTY);
    sum -= Math.log(at(late, row) === 1 ? probability : 1 - probability);
  }
  return sum / late.length;
}

function calibrate(args: { scores: Float32Array; late: Uint8Array; order: Uint32Array }): CalibrationBin[] {
  const bins: CalibrationBin[] = [];
  for (let bin = 0; bin < CALIBRATION_BINS; bin++) {
    const from = Math.floor((bin * args.order.length) / CALIBRATION_BINS);
    const own = args.order.subarray(from, Math.floor(((bin + 1) * args.order.length) / CALIBRATION_BINS));
    if (own.length === 0) continue;
    let [foretold, observed] = [0, 0];
    for (const row of own) {
      foretold += at(args.scores, row);
      observed += at(args.late, row);
    }
    bins.push({ rows: own.length, foretold: foretold / own.length, observed: observed / own.length });
  }
  return bins;
}

/** The least quality of a model that may be published. */
export interface Bar {
  /** @default 0.55 */
  minAuc?: number | undefined;
  /** The least relative improvement of the log loss over the base rate. @default 0.005 */
  minGain?: number | undefined;
}

/** The relative improvement of the model's log loss over the base rate. Negative if it is worse. */
export function gainOverBaseRate(evaluation: Evaluation): number {
  return 1 - evaluation.logLoss / evaluation.baseLogLoss;
}

/**
 * Checks that a model is clearly better than always predicting the base rate.
 * @throws FlightsProblem `no-better-than-base-rate` with the failed requirements.
 */
export function requireBetterThanBaseRate(evaluation: Evaluation, bar: Bar = {}): void {
  const { minAuc = 0.55, minGain = 0.005 } = bar;
  const gain = gainOverBaseRate(evaluation);
  const findings = [
    // NaN fails these comparisons.
    ...(evaluation.auc >= minAuc ? [] : [`AUC ${evaluation.auc.toFixed(4)}, at least ${minAuc} is required`]),
    ...(gain >= minGain
      ? []
      : [
          `log loss gains ${(gain * 100).toFixed(2)} % on the base rate, at least ${minGain * 100} % is required`,
        ]),
  ];
  if (findings.length > 0) throw new FlightsProblem("no-better-than-base-rate", findings);
}
