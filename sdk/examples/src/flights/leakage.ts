import { areaUnderCurve } from "./evaluate.ts";
import { type DenseField, SOURCES } from "./feature-fields.ts";
import type { Features } from "./features.ts";
import { FlightsProblem } from "./problem.ts";
import type { Split } from "./split.ts";
import { at, type Flights } from "./table.ts";

/** The thresholds of the leakage check. The best single feature of the real data has an AUC of 0.61. */
export interface LeakageLimits {
  /** The highest plausible AUC of a single feature, in either direction. @default 0.75 */
  maxFeatureAuc?: number;
  /** The highest plausible correlation of a dense feature with the delay, in either direction. @default 0.5 */
  maxDelayCorrelation?: number;
  /** The highest plausible AUC of the whole model. @default 0.9 */
  maxModelAuc?: number;
}

/** How well one feature alone predicts the held-out flights. */
export interface FeatureSuspicion {
  name: string;
  /** The AUC of the feature alone, at least 0.5: the direction does not matter. */
  auc: number;
  /** The correlation with the delay in minutes. Missing for categorical features. */
  delayCorrelation?: number;
}

/** The sampled rows of each period, for a standard error of the AUC of about 0.003. */
const MAX_SAMPLE = 50_000;

/**
 * Finds features with information from after departure, in three ways: by their declared sources, by how well each alone
 * separates late flights from punctual ones, and by its correlation with the delay. Returns the figures if none is suspicious.
 * @throws FlightsProblem `leaked-feature` with each suspicious feature and the reason.
 */
export function requireNoLeak(
  args: { flights: Flights; features: Features; split: Split; modelAuc?: number },
  limits: LeakageLimits = {},
): FeatureSuspicion[] {
  const { maxFeatureAuc = 0.75, maxDelayCorrelation = 0.5, maxModelAuc = 0.9 } = limits;
  const suspicions = [...suspectDense(args), ...suspectCategorical(args)];
  const findings = [
    ...findForbiddenSources([...args.features.denseFields, ...args.features.categoricalFields]),
    ...suspicions
      .filter((s) => !(s.auc <= maxFeatureAuc))
      .map((s) => `${s.name} alone reaches an AUC of ${s.auc.toFixed(3)}, more than ${maxFeatureAuc}`),
    ...suspicions
      .filter(
        (s) => s.delayCorrelation !== undefined && !(Math.abs(s.delayCorrelation) <= maxDelayCorrelation),
      )
      .map((s) => `${s.name} follows the delay with a correlation of ${s.delayCorrelation?.toFixed(3)}`),
    ...(args.modelAuc !== undefined && !(args.modelAuc <= maxModelAuc)
      ? [
          `the model reaches an AUC of ${args.modelAuc.toFixed(3)}, more than ${maxModelAuc}: too good for a forecast`,
        ]
      : []),
  ];
  if (findings.length > 0) throw new FlightsProblem("leaked-feature", findings);
  return suspicions;
}

/** Features with a declared source that is known only after departure. */
function findForbiddenSources(fields: readonly DenseField[]): string[] {
  return fields.flatMap((field) =>
    field.reads
      .filter((source) => SOURCES[source].known === "after")
      .map((source) => `${field.name} reads ${source}, ${SOURCES[source].what}`),
  );
}

type Period = { flights: Flights; features: Features; split: Split };

function suspectDense({ flights, features, split }: Period): FeatureSuspicion[] {
  const rows = sampleRows(split.heldOutFrom, split.rows);
  const late = rows.late(features);
  const delays = Float64Array.from(rows.numbers, (row) => at(flights.delayMin, row));
  const width = features.denseFields.length;
  return features.denseFields.map((field, index) => {
    const values = Float64Array.from(rows.numbers, (row) => at(features.dense, row * width + index));
    return {
      name: field.name,
      auc: eitherWay(areaUnderCurve({ scores: values, late })),
      delayCorrelation: correlate(values, delays),
    };
  });
}

/** The score of a level is its share of late flights in training, so that the evaluation uses other days. */
function suspectCategorical({ features, split }: Period): FeatureSuspicion[] {
  const training = sampleRows(split.trainFrom, split.heldOutFrom);
  const heldOut = sampleRows(split.heldOutFrom, split.rows);
  const late = heldOut.late(features);
  const width = features.categoricalFields.length;
  return features.categoricalFields.map((field, index) => {
    const levelOf = (row: number) => at(features.levels, row * width + index);
    const [lates, flown] = [new Float64Array(field.levels), new Float64Array(field.levels)];
    for (const row of training.numbers) {
      flown[levelOf(row)] = at(flown, levelOf(row)) + 1;
      lates[levelOf(row)] = at(lates, levelOf(row)) + at(features.late, row);
    }
    // The share for a level without flights: one flight in five is late.
    const scores = Float64Array.from(
      heldOut.numbers,
      (row) => (at(lates, levelOf(row)) + 2) / (at(flown, levelOf(row)) + 10),
    );
    return { name: field.name, auc: eitherWay(areaUnderCurve({ scores, late })) };
  });
}

/** Every n-th row of a period: always the same rows, from all its days. */
function sampleRows(
  from: number,
  to: number,
): { numbers: Uint32Array; late: (features: Features) => Uint8Array } {
  const stride = Math.max(1, Math.ceil((to - from) / MAX_SAMPLE));
  const numbers = Uint32Array.from(
    { length: Math.ceil((to - from) / stride) },
    (_, index) => from + index * stride,
  );
  return { numbers, late: (features) => Uint8Array.from(numbers, (row) => at(features.late, row)) };
}

function eitherWay(auc: number): number {
  return Math.max(auc, 1 - auc);
}

/** Pearson's correlation. 0 if one side is constant. */
function correlate(one: Float64Array, other: Float64Array): number {
  const [meanOne, meanOther] = [mean(one), mean(other)];
  let [both, own, others] = [0, 0, 0];
  for (let index = 0; index < one.length; index++) {
    const [a, b] = [at(one, index) - meanOne, at(other, index) - meanOther];
    both += a * b;
    own += a * a;
    others += b * b;
  }
  const scale = Math.sqrt(own * others);
  return scale === 0 ? 0 : both / scale;
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
