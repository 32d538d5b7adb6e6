import { areaUnderCurve } from "./evaluate.ts";
import { type DenseField, SOURCES } from "./feature-fields.ts";
import type { Features } from "./features.ts";
import { FlightsProblem } from "./problem.ts";
import type { Split } from "./split.ts";
import { at, type Flights } from "./table.ts";

/** Where honest foreknowledge ends. The best single feature of the real data reaches an AUC of 0.61. */
export interface LeakageLimits {
  /** A single feature that tells late from punctual better than this, in either direction, knows too much. @default 0.75 */
  maxFeatureAuc?: number;
  /** Correlation of a dense feature with the delay in minutes, in either direction. @default 0.5 */
  maxDelayCorrelation?: number;
  /** A whole model better than this does not forecast, it looks. @default 0.9 */
  maxModelAuc?: number;
}

/** How much one feature alone tells about the held-out flights. */
export interface FeatureSuspicion {
  name: string;
  /** AUC alone, at least 0.5: a feature that points the other way is turned round. */
  auc: number;
  /** Correlation with the delay in minutes; left out for categorical features. */
  delayCorrelation?: number;
}

/** Rows looked at in each period; the standard error of an AUC is about 0.003 with so many. */
const MAX_SAMPLE = 50_000;

/**
 * Looks for features that know the future, in three ways: by what they say they read, by how well each alone tells late flights from
 * punctual ones, and by how closely each follows the delay itself. Answers the figures when nothing is suspicious.
 * @throws FlightsProblem `leaked-feature` naming each suspect and why.
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

/** Features that read, by their own word, what is known only after departure. */
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

/** A level is scored by the share of late flights it had in training, so that the examination is on other days. */
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
    // One flight in five is late: the share a level without flights is given.
    const scores = Float64Array.from(
      heldOut.numbers,
      (row) => (at(lates, levelOf(row)) + 2) / (at(flown, levelOf(row)) + 10),
    );
    return { name: field.name, auc: eitherWay(areaUnderCurve({ scores, late })) };
  });
}

/** Every n-th row of a period: the same rows each time, spread over all its days. */
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

/** Pearson's correlation; 0 if one side never changes. */
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
