import type { Features } from "./features.ts";
import { logistic, MODEL_KIND, type Model } from "./model.ts";
import { pause, type Watch } from "./pace.ts";
import { FlightsProblem } from "./problem.ts";
import { seededRandom, shuffle } from "./random.ts";
import type { Split } from "./split.ts";
import { at, float32At, float64At, int32At, LATE_AFTER_MIN, uint16At } from "./table.ts";

/** Options of the training. */
export interface TrainOptions {
  /** Passes over the training rows, 1 to 100. @default 3 */
  epochs?: number | undefined;
  /** The first step of a weight. Later steps shrink with the sum of its gradients. @default 0.05 */
  learningRate?: number | undefined;
  /** Regularisation: moves a level's weight towards zero at each of its flights. @default 0.0003 */
  shrinkage?: number | undefined;
  /** The seed for the order of the rows. @default 1 */
  seed?: number | undefined;
}

/** The result of one pass over the training rows. */
export interface EpochReport {
  epoch: number;
  epochs: number;
  /** Mean log loss of the pass, each row before its step. */
  logLoss: number;
}

const MAX_EPOCHS = 100;
/** Rows between two pauses. */
const ROWS_PER_PAUSE = 65_536;
/** Keeps the first division of AdaGrad finite. */
const EPSILON = 1e-8;

/**
 * Trains a logistic regression on the training rows by stochastic gradient descent.
 *
 * Steps follow AdaGrad (Duchi, Hazan, Singer 2011). Weights of rare levels get large steps and weights of common levels small
 * ones, so that one rate fits airports with few and with many flights. The same input and seed give the same model.
 * Progress counts rows over all epochs. `onEpoch` gets the loss.
 * @throws FlightsProblem `training-diverged` if the loss stops being a number.
 */
export async function trainModel(
  features: Features,
  split: Split,
  options: TrainOptions & { onEpoch?: ((report: EpochReport) => void) | undefined } = {},
  watch: Watch = {},
): Promise<Model> {
  const { epochs = 3, learningRate = 0.05, shrinkage = 0.0003, seed = 1, onEpoch } = options;
  const learner = startLearner(features, split, { learningRate, shrinkage });
  const random = seededRandom(seed);
  const order = rowNumbers(split.trainFrom, split.heldOutFrom);
  const passes = Math.min(Math.max(1, epochs), MAX_EPOCHS);
  for (let epoch = 1; epoch <= passes; epoch++) {
    shuffle(random, order);
    let loss = 0;
    for (let start = 0; start < order.length; start += ROWS_PER_PAUSE) {
      loss += learnRows(learner, order.subarray(start, start + ROWS_PER_PAUSE));
      watch.onProgress?.(
        (epoch - 1) * order.length + Math.min(start + ROWS_PER_PAUSE, order.length),
        passes * order.length,
      );
      await pause(watch);
    }
    const logLoss = loss / order.length;
    if (!Number.isFinite(logLoss))
      throw new FlightsProblem("training-diverged", [`log loss of epoch ${epoch} is ${logLoss}`]);
    onEpoch?.({ epoch, epochs: passes, logLoss });
  }
  return describeModel(learner, { rows: order.length, epochs: passes, seed, lateShare: learner.lateShare });
}

/** The weights are in one array: the dense fields', then each categorical field's levels, then the bias. */
interface Learner {
  features: Features;
  learningRate: number;
  shrinkage: number;
  lateShare: number;
  mean: Float64Array;
  deviation: Float64Array;
  firstWeight: Int32Array;
  weights: Float64Array;
  /** Sum of squared gradients by weight. */
  moved: Float64Array;
  /** Standardised dense values of the current row. */
  values: Float64Array;
}

function startLearner(
  features: Features,
  split: Split,
  rates: { learningRate: number; shrinkage: number },
): Learner {
  const denseCount = features.denseFields.length;
  const firstWeight = new Int32Array(features.categoricalFields.length);
  let next = denseCount;
  for (const [index, field] of features.categoricalFields.entries()) {
    firstWeight[index] = next;
    next += field.levels;
  }
  const lateShare = shareLate(features, split);
  const weights = new Float64Array(next + 1);
  // A start from the base rate saves the first epoch.
  weights[next] = Math.log(lateShare / (1 - lateShare));
  return {
    features,
    ...rates,
    lateShare,
    ...standardise(features, split),
    firstWeight,
    weights,
    moved: new Float64Array(next + 1),
    values: new Float64Array(denseCount),
  };
}

/** Trains on rows one after the other. @returns the sum of their losses, each before its step */
function learnRows(learner: Learner, rows: Uint32Array): number {
  const { features, weights, values, firstWeight } = learner;
  const bias = weights.length - 1;
  let loss = 0;
  for (let index = 0; index < rows.length; index++) {
    const row = at(rows, index);
    const levelsAt = row * firstWeight.length;
    let odds = float64At(weights, bias) + addDense(learner, row);
    for (let field = 0; field < firstWeight.length; field++) {
      odds += float64At(weights, int32At(firstWeight, field) + uint16At(features.levels, levelsAt + field));
    }
    const late = at(features.late, row);
    const error = logistic(odds) - late;
    // log(1 + e^x) without overflow; x is the log odds against the outcome.
    const against = late === 1 ? -odds : odds;
    loss += Math.max(against, 0) + Math.log1p(Math.exp(-Math.abs(against)));
    step(learner, bias, error);
    for (let field = 0; field < values.length; field++)
      step(learner, field, error * float64At(values, field));
    for (let field = 0; field < firstWeight.length; field++) {
      const weight = int32At(firstWeight, field) + uint16At(features.levels, levelsAt + field);
      step(learner, weight, error + learner.shrinkage * float64At(weights, weight));
    }
  }
  return loss;
}

function addDense(learner: Learner, row: number): number {
  const { features, values, mean, deviation, weights } = learner;
  let odds = 0;
  for (let field = 0; field < values.length; field++) {
    const value =
      (float32At(features.dense, row * values.length + field) - float64At(mean, field)) /
      float64At(deviation, field);
    values[field] = value;
    odds += value * float64At(weights, field);
  }
  return odds;
}

function step(learner: Learner, weight: number, gradient: number): void {
  const moved = float64At(learner.moved, weight) + gradient * gradient;
  learner.moved[weight] = moved;
  learner.weights[weight] =
    float64At(learner.weights, weight) - (learner.learningRate * gradient) / Math.sqrt(moved + EPSILON);
}

function standardise(features: Features, split: Split): { mean: Float64Array; deviation: Float64Array } {
  const count = features.denseFields.length;
  const [sum, squares] = [new Float64Array(count), new Float64Array(count)];
  for (let row = split.trainFrom; row < split.heldOutFrom; row++) {
    for (let field = 0; field < count; field++) {
      const value = float32At(features.dense, row * count + field);
      sum[field] = float64At(sum, field) + value;
      squares[field] = float64At(squares, field) + value * value;
    }
  }
  const rows = split.heldOutFrom - split.trainFrom;
  const mean = sum.map((total) => total / rows);
  const deviation = squares.map(
    (total, field) => Math.sqrt(Math.max(0, total / rows - float64At(mean, field) ** 2)) || 1,
  );
  return { mean, deviation };
}

/** Limits a probability, since 0 and 1 have infinite log odds. */
function shareLate(features: Features, split: Split): number {
  let late = 0;
  for (let row = split.trainFrom; row < split.heldOutFrom; row++) late += at(features.late, row);
  const rows = split.heldOutFrom - split.trainFrom;
  return (late + 0.5) / (rows + 1);
}

function rowNumbers(from: number, to: number): Uint32Array {
  return Uint32Array.from({ length: to - from }, (_, index) => from + index);
}

function describeModel(learner: Learner, trained: Model["trained"]): Model {
  const { features, weights, firstWeight } = learner;
  return {
    kind: MODEL_KIND,
    lateAfterMin: LATE_AFTER_MIN,
    trained,
    bias: float64At(weights, weights.length - 1),
    dense: features.denseFields.map((field, index) => ({
      name: field.name,
      mean: float64At(learner.mean, index),
      deviation: float64At(learner.deviation, index),
      weight: float64At(weights, index),
    })),
    categorical: features.categoricalFields.map((field, index) => {
      const first = int32At(firstWeight, index);
      return { name: field.name, weights: Array.from(weights.subarray(first, first + field.levels)) };
    }),
    airports: [...features.airports],
    routes: [...features.routes],
  };
}
