/** Every expected failure of the HTTP API: status, title, and whether the same request may succeed later. */
export const PROBLEMS = {
  "bad-request": { status: 400, title: "The request is malformed", retryable: false },
  unauthenticated: { status: 401, title: "A valid key is required", retryable: false },
  "session-expired": { status: 401, title: "The worker session has expired", retryable: true },
  forbidden: { status: 403, title: "The key does not permit this action", retryable: false },
  "sign-in-needed": { status: 403, title: "This action requires a recent sign-in", retryable: false },
  "not-found": { status: 404, title: "Nothing exists at this address", retryable: false },
  "run-not-found": { status: 404, title: "No such run", retryable: false },
  "wait-not-found": { status: 404, title: "No such wait", retryable: false },
  "deployment-not-found": { status: 404, title: "No such deployment", retryable: false },
  "schedule-not-found": { status: 404, title: "No such schedule", retryable: false },
  "backfill-not-found": { status: 404, title: "No such backfill", retryable: false },
  "pool-not-found": { status: 404, title: "No such work pool", retryable: false },
  "worker-not-found": { status: 404, title: "No such worker", retryable: false },
  "queue-not-found": { status: 404, title: "No such queue", retryable: false },
  "limit-not-found": { status: 404, title: "No such limit", retryable: false },
  "notifier-not-found": { status: 404, title: "No such notifier", retryable: false },
  "session-not-found": { status: 404, title: "No such browser session", retryable: false },
  "key-not-found": { status: 404, title: "No such key", retryable: false },
  "stored-not-found": { status: 404, title: "The run has no such stored body", retryable: false },
  "stored-gone": { status: 410, title: "The stored body is no longer in the store", retryable: false },
  "stored-refused": {
    status: 409,
    title: "The worker did not send the stored body",
    retryable: false,
  },
  "store-unreachable": {
    status: 409,
    title: "No online worker can read the store",
    retryable: true,
  },
  "stored-timeout": {
    status: 504,
    title: "No worker sent the stored body in time",
    retryable: true,
  },
  "run-id-conflict": {
    status: 409,
    title: "Another run already has this id or idempotency key",
    retryable: false,
  },
  "run-transition-not-allowed": {
    status: 409,
    title: "The run's state does not allow this",
    retryable: false,
  },
  "run-in-use": { status: 409, title: "Another run still needs this run", retryable: false },
  "deployment-in-use": { status: 409, title: "The deployment is still in use", retryable: false },
  "worker-in-use": { status: 409, title: "The worker is online or still holds runs", retryable: false },
  "version-below-floor": {
    status: 409,
    title: "Workers are not allowed to run this version any more",
    retryable: false,
  },
  "wait-settled": { status: 409, title: "The wait has already ended", retryable: false },
  "event-id-conflict": { status: 409, title: "Another event already has this id", retryable: false },
  "too-many-waits": { status: 422, title: "The run has too many waits", retryable: false },
  "invalid-answer": {
    status: 422,
    title: "The answer does not match the question's schema",
    retryable: false,
  },
  "invalid-event": {
    status: 422,
    title: "The event does not match the schema of the waits for it",
    retryable: false,
  },
  "slots-held": { status: 409, title: "The calling task already holds slots", retryable: false },
  "stale-fence": { status: 409, title: "A later claim owns the attempt", retryable: false },
  "runs-below-floor": {
    status: 409,
    title: "Runs that have not ended need an older version",
    retryable: false,
  },
  "version-conflict": { status: 409, title: "Another version was registered first", retryable: true },
  "edit-conflict": {
    status: 409,
    title: "The settings have changed since they were read",
    retryable: false,
  },
  "pool-exists": {
    status: 409,
    title: "A work pool with this name exists and has other settings",
    retryable: false,
  },
  "notifier-exists": { status: 409, title: "A notifier with this name already exists", retryable: false },
  "notifier-refused": { status: 422, title: "Notifications cannot be sent to this URL", retryable: false },
  "pool-in-use": { status: 409, title: "Deployments or workers still use the work pool", retryable: false },
  "pool-type-mismatch": {
    status: 409,
    title: "The worker's type does not match the pool's type",
    retryable: false,
  },
  "payload-too-large": { status: 413, title: "The request body is too large", retryable: false },
  "unsupported-media-type": { status: 415, title: "The body must be JSON", retryable: false },
  "invalid-spec": { status: 422, title: "The spec is not valid", retryable: false },
  "invalid-schedule": { status: 422, title: "The schedule is not valid", retryable: false },
  "invalid-backfill": { status: 422, title: "The backfill is not valid", retryable: false },
  "backfill-conflict": { status: 409, title: "Another backfill already has this id", retryable: false },
  "invalid-parameters": {
    status: 422,
    title: "The parameters do not match the deployment's schema",
    retryable: false,
  },
  "plain-value": {
    status: 422,
    title: "The workspace is sealed and takes no plain values",
    retryable: false,
  },
  "callback-value": {
    status: 422,
    title: "A callback of a sealed workspace may only say how the job ended",
    retryable: false,
  },
  "no-workspace-key": {
    status: 403,
    title: "The workspace is sealed, and the worker has no workspace key",
    retryable: false,
  },
  "not-ready-to-seal": {
    status: 409,
    title: "The workspace still has plain values in use",
    retryable: false,
  },
  "bad-seal": { status: 422, title: "A sealed value cannot be opened", retryable: false },
  "secret-in-call": {
    status: 422,
    title: "A secret must not leave its worker",
    retryable: false,
  },
  "ref-refused": {
    status: 409,
    title: "The worker refused a ref that it cannot prove",
    retryable: false,
  },
  "too-many-artifacts": {
    status: 422,
    title: "The attempt has too many artifacts",
    retryable: false,
  },
  "quota-exceeded": {
    status: 409,
    title: "The workspace has reached a quota",
    retryable: false,
  },
  "protocol-unsupported": {
    status: 426,
    title: "Worker and control plane have no common protocol version",
    retryable: false,
  },
  "too-many-polls": {
    status: 429,
    title: "Too many workers of this workspace are polling at once",
    retryable: true,
  },
  "too-many-requests": { status: 429, title: "Too many requests", retryable: true },
  internal: { status: 500, title: "The control plane failed unexpectedly", retryable: true },
  unavailable: { status: 503, title: "The control plane cannot answer now", retryable: true },
} as const satisfies Record<string, { status: number; title: string; retryable: boolean }>;

/** The stable name of one expected failure. */
export type ProblemCode = keyof typeof PROBLEMS;

/** Every code, for schemas that carry one. */
// The table is an object literal: it has no other keys.
export const PROBLEM_CODES = Object.keys(PROBLEMS) as readonly string[] as readonly ProblemCode[];

/** One fault in the input: its dotted path such as `parameters.island`, what is wrong, and the next step if there is one. */
export interface Fault {
  readonly path: string;
  readonly message: string;
  readonly suggestion?: string | undefined;
}

/** The parts of a `Problem` besides its code and detail. */
export interface ProblemOptions {
  readonly faults?: readonly Fault[];
  /** When the same request may be sent again, milliseconds from now: `Retry-After`. */
  readonly retryAfterMs?: number | undefined;
  /** For our logs, never for the caller. */
  readonly cause?: unknown;
}

/**
 * An expected failure. The server throws it, and the typed client throws it when the server answers with one.
 * `detail` is for the caller and never contains parameters or secrets.
 */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly code: ProblemCode;
  readonly detail: string;
  readonly faults: readonly Fault[];
  readonly retryAfterMs: number | null;

  constructor(code: ProblemCode, detail: string, options: ProblemOptions = {}) {
    super(
      PROBLEMS[code].status === 404 ? detail : `${PROBLEMS[code].title}: ${detail}`,
      options.cause === undefined ? {} : { cause: options.cause },
    );
    this.code = code;
    this.detail = detail;
    this.faults = options.faults ?? [];
    this.retryAfterMs = options.retryAfterMs ?? null;
  }

  /** The HTTP status of the answer. */
  get status(): number {
    return PROBLEMS[this.code].status;
  }

  /** Whether the same request may succeed later. */
  get retryable(): boolean {
    return PROBLEMS[this.code].retryable;
  }
}

/** Whether a string is one of the known problem codes. */
export function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(PROBLEMS, code);
}
