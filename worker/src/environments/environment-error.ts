/**
 * All failures of building an environment. `refused`: another try changes nothing. `unavailable`: it could not be built now.
 * Messages leave this network, so they name no package and no address. The worker's own log has the output.
 */
export const ENVIRONMENT_ERRORS = {
  "bad-lock": {
    kind: "refused",
    next: "Deploy again with `towpath deploy`, which writes the requirements.",
  },
  "unknown-index": {
    kind: "refused",
    next: "Add the index to python.indexes in the worker's configuration, or deploy without it.",
  },
  "no-npm-registry": {
    kind: "refused",
    next: "Set npm.registry or npm.cache in the worker's configuration, or bundle the packages.",
  },
  "no-npm": {
    kind: "refused",
    next: "Install npm on the worker's machine, on the PATH of the worker.",
  },
  "missing-package": {
    kind: "refused",
    next: "The worker's log names the package. Publish this version to the worker's npm registry, or add it to its cache.",
  },
  "no-installer": {
    kind: "refused",
    next: "Install uv on the worker's machine, or pip for this interpreter.",
  },
  "hash-mismatch": {
    kind: "refused",
    next: "Do not use this package. The worker's log names it. Find out who changed it in the index, then lock and deploy again.",
  },
  "no-wheel": {
    kind: "refused",
    next: "The worker's log names the package. Choose a version that has a wheel for the worker's platform and Python, or add a wheel to the index.",
  },
  "no-sources": {
    kind: "refused",
    next: "Add a wheel of the package to the index and lock again, or use a worker without a wall (runAs).",
  },
  "no-scripts": {
    kind: "refused",
    next: "Leave the package out of `npm.scripts` if its prebuilt files are enough, or use a worker without a wall (runAs).",
  },
  failed: { kind: "refused", next: "The worker's log has the installer's output." },
  "index-unreachable": {
    kind: "unavailable",
    next: "Check that the package index is up and that this worker can reach it.",
  },
  timeout: {
    kind: "unavailable",
    next: "Check the connection to the package index. The worker's log has the installer's output.",
  },
  "disk-full": { kind: "unavailable", next: "Free disk space on the worker's machine." },
} as const satisfies Record<string, { kind: "refused" | "unavailable"; next: string }>;

/** A key of `ENVIRONMENT_ERRORS`. */
export type EnvironmentErrorCode = keyof typeof ENVIRONMENT_ERRORS;

/** An environment cannot be built. */
export class EnvironmentError extends Error {
  override readonly name = "EnvironmentError";
  readonly code: EnvironmentErrorCode;
  readonly kind: "refused" | "unavailable";
  /** Only for the worker's own log: the installer's output, cut. */
  readonly output: string;

  constructor(code: EnvironmentErrorCode, what: string, output = "") {
    super(`${what} ${ENVIRONMENT_ERRORS[code].next}`);
    this.code = code;
    this.kind = ENVIRONMENT_ERRORS[code].kind;
    this.output = output;
  }
}
