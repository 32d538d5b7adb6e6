import { DEFAULTS } from "@towpath/contract/words";
import { InvalidDefinition, NonRetryable } from "../problem.ts";
import { type Duration, msOf } from "../suspend/wait-for.ts";
import { type DefinedAt, whereDefined } from "../where-defined.ts";

/** Time limit of one request to a backend, milliseconds. */
export const ASK_MS = 60_000;

/** Checks the result of a poll. */
function statusOf(job: AnyJob, answer: unknown): JobStatus<unknown> {
  const state = typeof answer === "object" && answer !== null && "state" in answer ? answer.state : undefined;
  if (state === "running" || state === "completed" || state === "failed") return answer as JobStatus<unknown>;
  throw new TypeError(
    `poll of job "${job.name}" must return { state: "running" | "completed" | "failed", … }, not ${String(JSON.stringify(answer))}.`,
  );
}

/**
 * Asks a backend for the state of a job. A NonRetryable that the poll throws is the job's failure. Any other error says
 * nothing about the job.
 */
export async function askStatus(
  job: AnyJob,
  handle: unknown,
  signal: AbortSignal,
): Promise<JobStatus<unknown>> {
  if (job.poll === undefined) return { state: "running" };
  try {
    return statusOf(job, await job.poll(handle as never, { signal }));
  } catch (error) {
    if (!(error instanceof NonRetryable)) throw error;
    return { state: "failed", error: error.message };
  }
}

/** The third argument of `submit`. */
export interface JobSubmission {
  /**
   * The URL to which the backend reports the job's end, once: a POST of `{ "outcome": "completed", "result": … }` or `{
   * "outcome": "failed", "error": "…" }`. Anyone who knows the URL can do so. Null unless the job says `callback:
   * true`.
   */
  readonly callbackUrl: string | null;
  /** Aborts when the run must stop. */
  readonly signal: AbortSignal;
}

/** The state of a job. `says` is the backend's own word, which people see while they wait. */
export type JobStatus<Result> =
  | { readonly state: "running"; readonly says?: string }
  | { readonly state: "completed"; readonly result?: Result }
  | { readonly state: "failed"; readonly error?: string };

/** Options of a kind of job. */
export interface JobOptions<Input, Handle, Result> {
  /** Lower-case letters, digits, `-` and `_`, at most 63; unique in the project. */
  readonly name: string;
  /**
   * Submits the job to its backend and returns its handle. The handle is stored, so that only a ref leaves. Give the
   * backend `key` as its idempotency key or as the job's name, if it takes one: the key is the same for the same call
   * of a run, and for no other.
   */
  readonly submit: (key: string, input: Input, more: JobSubmission) => Handle | Promise<Handle>;
  /**
   * Looks for a job by its key, if a process died before it stored the handle. Return null only if the backend has
   * none: then the job is submitted.
   */
  readonly find?: (key: string) => NoInfer<Handle> | null | Promise<NoInfer<Handle> | null>;
  /**
   * Asks the backend for the job's state. It runs on a worker, in one process for all jobs of the deployment, with the
   * code of the run's version.
   */
  readonly poll?: (
    handle: NoInfer<Handle>,
    more: { readonly signal: AbortSignal },
  ) => JobStatus<Result> | Promise<JobStatus<Result>>;
  /** Cancels the job. Called when its run is cancelled, fails or ends without it, and again if it throws. */
  readonly cancel?: (handle: NoInfer<Handle>, more: { readonly signal: AbortSignal }) => unknown;
  /** Interval of polls, at least a second. @default "30s" */
  readonly pollEvery?: Duration;
  /** Whether `submit` gets a callback URL. @default false */
  readonly callback?: boolean;
  /** Whether submitting twice with one key is one job. Then no `find` is needed. @default false */
  readonly idempotent?: boolean;
  /** Results of an earlier run are valid while it stays the same. @default the version of the code */
  readonly version?: string;
}

/** A declared kind of job. */
export interface Job<Input, Handle, Result> extends JobOptions<Input, Handle, Result> {
  readonly pollEveryMs: number;
}

/** A job of any kind, for the engine. */
export type AnyJob = Job<never, never, unknown>;

const KEY = Symbol.for("towpath.jobs");
const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const POLL_LEAST_MS = 1_000;

type Known = Map<string, { readonly job: AnyJob; readonly definedAt: DefinedAt | null }>;

/** Global, so that a poller finds a job by its name, whichever copy of this package declared it. */
function known(): Known {
  const home: typeof globalThis & { [KEY]?: Known } = globalThis;
  home[KEY] ??= new Map();
  return home[KEY];
}

/** The declared job of a name, or null. */
export function jobNamed(name: string): AnyJob | null {
  return known().get(name)?.job ?? null;
}

function checkOptions(options: AnyJob): void {
  const { name, poll, callback = false, pollEveryMs } = options;
  if (typeof name !== "string" || !NAME.test(name))
    throw new InvalidDefinition(
      `job name "${name}": use lower-case letters, digits, - and _, at most 63, starting with a letter or digit.`,
    );
  if (typeof options.submit !== "function")
    throw new InvalidDefinition(`job "${name}": submit must be a function.`);
  if (poll === undefined && !callback)
    throw new InvalidDefinition(
      `job "${name}": give it poll, or callback: true, so that its end can be detected.`,
    );
  if (pollEveryMs < POLL_LEAST_MS)
    throw new InvalidDefinition(`job "${name}": pollEvery must be a second or more.`);
}

/**
 * Declares a kind of external job: Spark, SageMaker, a batch cluster, or anything that can be polled. Declare it at the
 * top of a module that the flow imports. `suspend.job` submits one and waits for its end.
 * @throws InvalidDefinition naming the invalid option.
 * @example
 * export const spark = job({
 *   name: "spark",
 *   submit: async (key, input: { day: string }) => (await livy.post({ name: key, args: [input.day] })).id,
 *   find: async (key) => (await livy.named(key))?.id ?? null,
 *   poll: async (id) => statusOf(await livy.get(id)),
 *   cancel: async (id) => await livy.delete(id),
 * });
 */
export function job<Input, Handle, Result = unknown>(
  options: JobOptions<Input, Handle, Result>,
): Job<Input, Handle, Result> {
  const pollEveryMs = msOf("pollEvery", options.pollEvery ?? DEFAULTS.pollEveryMs);
  const made: Job<Input, Handle, Result> = { ...options, pollEveryMs };
  const erased = erasedJob(made);
  checkOptions(erased);
  const definedAt = whereDefined();
  const other = known().get(options.name)?.definedAt;
  if (other && definedAt && other.file !== definedAt.file)
    throw new InvalidDefinition(
      `job "${options.name}" is also declared in ${other.file}: give each job its own name.`,
    );
  known().set(options.name, { job: erased, definedAt });
  return made;
}

/** A job without its types: the engine gives its functions nothing but what they or their callers were typed to take. */
export function erasedJob<Input, Handle, Result>(one: Job<Input, Handle, Result>): AnyJob {
  return one as unknown as AnyJob;
}
