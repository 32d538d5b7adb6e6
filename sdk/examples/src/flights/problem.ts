/**
 * The expected failures of the flights example, with advice.
 *
 * A retry helps with none of them: each concerns the data, the features or the model.
 */
export const FLIGHTS_PROBLEMS = {
  "unreadable-file": "check that `data` names a flights-3m.parquet file",
  "rejected-data": "check the listed faults: the file does not fit this flow",
  "bad-split": "hold out fewer days, or read more rows",
  "leaked-feature": "remove the named feature: it has information that is only known after departure",
  "training-diverged": "lower the learning rate",
  "no-better-than-base-rate": "do not publish this model; check the features and the held-out weeks",
  "unreadable-model": "train the model again; the file is damaged or of another kind",
} as const satisfies Record<string, string>;

/** One key of {@link FLIGHTS_PROBLEMS}. */
export type FlightsProblemCode = keyof typeof FLIGHTS_PROBLEMS;

/** An expected failure of this example. `findings` has a sentence for each fault. */
export class FlightsProblem extends Error {
  override readonly name = "FlightsProblem";
  readonly code: FlightsProblemCode;
  readonly findings: readonly string[];

  constructor(code: FlightsProblemCode, findings: readonly string[], options?: ErrorOptions) {
    super(`${code}: ${findings.join("; ")} (${FLIGHTS_PROBLEMS[code]})`, options);
    this.code = code;
    this.findings = findings;
  }
}
