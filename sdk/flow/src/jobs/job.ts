import { DEFAULTS } from "@towpath/contract/words";
import { InvalidDefinition, NonRetryable } from "../problem.ts";
import { type Duration, msOf } from "../suspend/wait-for.ts";
import { type DefinedAt, whereDefined } from "../where-defined.ts";

/** How long one question to a backend may take, milliseconds. */
export const ASK_MS = 60_000;

/** What a poll has answered, once it is known to be one. */
function statusOf(job: AnyJob, answer: unknown): JobStatus<unknown> {
  const state = typeof answer === "object" && answer !== null && "state" in answer ? answer.state : undefined;
  if (state === "running" || state === "completed" || state === "failed") return answer as JobStatus<unknown>;
  throw new TypeError(
    `poll of job "${job.name}" must answer { state: "running" | "completed" | "failed", … }, not ${String(JSON.stringify(answer))}.`,
  );
}

/**
 * Asks how a job stands. A NonRetryable that its poll throws is the job's failure; whatever else it throws says nothing of it.
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

/** What a submission is made with, beside its key and its input. */
export interface JobSubmission {
  /**
   * Where the backend says, once, how the job ended: a POST of `{ "outcome": "completed", "result": … }` or
   * `{ "outcome": "failed", "error": "…" }`. Every holder of this URL may do so. Null unless the job says `callback: true`.
   */
  readonly callbackUrl: string | null;
  /** Aborts when the run is to stop. */
  readonly signal: AbortSignal;
}

/** How a job stands. `says` is the backend's own word, which people see while they wait. */
export type JobStatus<Result> =
  | { readonly state: "running"; readonly says?: string }
  | { readonly state: "completed"; readonly result?: Result }
  | { readonly state: "failed"; readonly error?: string };

/** What a job is told when it is declared. */
export interface JobOptions<Input, Handle, Result> {
  /** Lower-case letters, digits, `-` and `_`, at most 63; unique in the project. */
  readonly name: string;
  /**
   * Hands the job to its backend and answers what it is known by there: kept in the store, so that only a ref leaves. Give the
   * backend `key` as its own idempotency key or as the job's name, if it takes one: it is the same for the same call
   * of a run, and of no other.
   */
  readonly submit: (key: string, input: Input, more: JobSubmission) => Handle | Promise<Handle>;
  /**
   * Looks for a job by the key that it was submitted with, after a process died and nobody knows whether it got that far.
   * Answer null only if the backend has none: then it is submitted.
   */
  readonly find?: (key: string) => NoInfer<Handle> | null | Promise<NoInfer<Handle> | null>;
  /** Asks how the job stands. Runs on a worker, in a process that does this for all jobs of the deployment; its bundle is the run's. */
  readonly poll?: (
    handle: NoInfer<Handle>,
    more: { readonly signal: AbortSignal },
  ) => JobStatus<Result> | Promise<JobStatus<Result>>;
  /** Cancels the job. Called when its run is cancelled, fails or ends without it; again, if it throws. */
  readonly cancel?: (handle: NoInfer<Handle>, more: { readonly signal: AbortSignal }) => unknown;
  /** From a second up. @default "30s" */
  readonly pollEvery?: Duration;
  /** Whether `submit` is given an address for the backend to call. @default false */
  readonly callback?: boolean;
  /** Whether submitting twice with one key is one job: then no `find` is needed. @default false */
  readonly idempotent?: boolean;
  /** Results of an earlier run hold while it stays the same. @default the version of the code */
  readonly version?: string;
}

/** A declared kind of job. */
export interface Job<Input, Handle, Result> extends JobOptions<Input, Handle, Result> {
  readonly pollEveryMs: number;
}

/** A job of any kind, as the engine sees it: what it is given is what it has answered itself. */
export type AnyJob = Job<never, never, unknown>;

const KEY = Symbol.for("towpath.jobs");
const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const POLL_LEAST_MS = 1_000;

type Known = Map<string, { readonly job: AnyJob; readonly definedAt: DefinedAt | null }>;

/** Kept on the global object: a poller finds a job by its name, in whichever copy of this package declared it. */
function known(): Known {
  const home: typeof globalThis & { [KEY]?: Known } = globalThis;
  home[KEY] ??= new Map();
  return home[KEY];
}

/** The job that a module of this process has declared under a name, or null. */
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
      `job "${name}": give it poll, or callback: true; else nobody would learn that it has ended.`,
    );
  if (pollEveryMs < POLL_LEAST_MS)
    throw new InvalidDefinition(`job "${name}": pollEvery must be a second or more.`);
}

/**
 * Declares a kind of work that something else does: Spark, SageMaker, a batch cluster, anything that can be asked. Declare it at
 * the top of a module that the flow imports; `suspend.job` submits one and waits for its end.
 * @throws InvalidDefinition naming the option that makes no sense.
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
      `job "${options.name}" is declared in ${other.file} too: give each its own name.`,
    );
  known().set(options.name, { job: erased, definedAt });
  return made;
}

/** A job without its types: the engine gives its functions nothing but what they or their callers were typed to take. */
export function erasedJob<Input, Handle, Result>(one: Job<Input, Handle, Result>): AnyJob {
  return one as unknown as AnyJob;
}
