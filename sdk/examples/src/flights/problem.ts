/**
 * Every way the flights computation refuses to go on, with what to do about it.
 *
 * None of them is cured by trying again: each says something about the data, the features or the model.
 */
export const FLIGHTS_PROBLEMS = {
  "unreadable-file": "check that `data` names a flights-3m.parquet file",
  "rejected-data": "look at the listed checks; the file is not what this flow was written for",
  "bad-split": "hold out fewer days, or read more rows",
  "leaked-feature": "remove the named feature: it knows something that is only known after departure",
  "training-diverged": "lower the learning rate",
  "no-better-than-base-rate": "do not publish this model; look at the features and the held-out weeks",
  "unreadable-model": "train the model again; the file is damaged or of another kind",
} as const satisfies Record<string, string>;

/** One key of {@link FLIGHTS_PROBLEMS}. */
export type FlightsProblemCode = keyof typeof FLIGHTS_PROBLEMS;

/** The one error this computation throws on purpose; `findings` lists each fault as a sentence. */
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
