import { z } from "zod";
import type { Features } from "./features.ts";
import { FlightsProblem } from "./problem.ts";
import { at } from "./table.ts";

/** The format name in a model file. A file with another name is refused. */
export const MODEL_KIND = "flights/late-arrival/logistic";

const finite = z.number().finite();
const modelShape = z.strictObject({
  kind: z.literal(MODEL_KIND),
  lateAfterMin: z.int(),
  trained: z.strictObject({ rows: z.int(), epochs: z.int(), seed: z.int(), lateShare: finite }),
  bias: finite,
  dense: z
    .array(z.strictObject({ name: z.string(), mean: finite, deviation: finite.positive(), weight: finite }))
    .max(1_000),
  categorical: z.array(z.strictObject({ name: z.string(), weights: z.array(finite).max(65_536) })).max(100),
  airports: z.array(z.string()).max(65_536),
  routes: z.array(z.string()).max(65_536),
});

/**
 * A trained model as it is written to disk: names and numbers, no code.
 *
 * The log odds of being late are the bias, plus for each dense field `weight × (value − mean) / deviation`, plus for each categorical
 * field the weight of its level. `airports` and `routes` name the levels.
 */
export type Model = z.infer<typeof modelShape>;

/** Writes a model as JSON. Numbers keep every digit, so the model that is read back scores exactly the same. */
export function encodeModel(model: Model): string {
  return JSON.stringify(modelShape.parse(model));
}

/**
 * Reads a model.
 * @throws FlightsProblem `unreadable-model` if the text is not JSON or not such a model; the findings name the fields.
 */
export function decodeModel(text: string): Model {
  const parsed = modelShape.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  const findings = parsed.error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.join(".") || "model"}: ${issue.message}`);
  throw new FlightsProblem("unreadable-model", findings);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FlightsProblem("unreadable-model", ["it is not JSON"], { cause });
  }
}

/**
 * Predicts the probability of a late arrival for the rows `[from, to)`; entry 0 is row `from`.
 * @throws FlightsProblem `unreadable-model` if the model's fields are not those of the features, name by name and level by level.
 */
export function scoreRows(
  model: Model,
  features: Features,
  range: { from: number; to: number },
): Float32Array {
  const findings = findMismatch(model, features);
  if (findings.length > 0) throw new FlightsProblem("unreadable-model", findings);
  const dense = model.dense.map((field) => ({ ...field, scale: field.weight / field.deviation }));
  const tables = model.categorical.map((field) => Float64Array.from(field.weights));
  const scores = new Float32Array(range.to - range.from);
  for (let row = range.from; row < range.to; row++) {
    let odds = model.bias;
    for (const [index, field] of dense.entries()) {
      odds += (at(features.dense, row * dense.length + index) - field.mean) * field.scale;
    }
    for (const [index, weights] of tables.entries()) {
      odds += at(weights, at(features.levels, row * tables.length + index));
    }
    scores[row - range.from] = logistic(odds);
  }
  return scores;
}

/** The probability for log odds. */
export function logistic(odds: number): number {
  return 1 / (1 + Math.exp(-odds));
}

function findMismatch(model: Model, features: Features): string[] {
  const own = [
    ...model.dense.map((f) => f.name),
    ...model.categorical.map((f) => `${f.name}[${f.weights.length}]`),
  ];
  const given = [
    ...features.denseFields.map((f) => f.name),
    ...features.categoricalFields.map((f) => `${f.name}[${f.levels}]`),
  ];
  if (own.join() === given.join()) return [];
  return [`the model reads ${own.join(", ")}; the features are ${given.join(", ")}`];
}
