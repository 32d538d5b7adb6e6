import { createHash, randomBytes } from "node:crypto";
import type { AskedWait, CalledJob, CalledWait, JobOutcome } from "@towpath/contract";
import type { ResultFacts } from "../checkpoint/checkpoints.ts";
import { instant } from "../clock.ts";
import { describeError } from "../engine/describe-error.ts";
import type { TaskDraft } from "../engine/records.ts";
import { type Scope, tracked } from "../engine/scope.ts";
import { GatewayRefused, JobFailed, JobOutcomeUnknown, NotData, WaitExpired } from "../problem.ts";
import { deadlineOf, outsideOfTasks, type WaitOptions } from "../suspend/wait-for.ts";
import { DataTimer } from "../task/data-timer.ts";
import { hashInput } from "../task/input-hash.ts";
import { type Producer, upstreamFact } from "../task/lineage.ts";
import type { AnyJob } from "./job.ts";

/** Options of a wait for a job. */
export interface JobWaitOptions extends WaitOptions {
  /** Identifies this call. @default a hash of the input */
  readonly key?: string;
}

/** One call of `suspend.job`. */
interface JobCall {
  readonly scope: Scope;
  readonly job: AnyJob;
  readonly input: unknown;
  readonly path: string;
  /** The calls that its input came from. */
  readonly upstream: readonly Producer[];
  readonly deadline: { deadlineMs?: number };
}

/** The most failed jobs of one call in a run, at most one per retry. */
const EARLIER_MAX = 100;
const JOB_NEXT = 'Pass plain data, give the class a toJSON(), or give each call its own option key: "…".';
const TOKEN_BYTES = 32;
const VERSION_CHARS = 16;

/**
 * Submits a job once and waits for its end; see `suspend.job`. First the control plane records the intent, then the job
 * is submitted, then its handle is stored. If the process dies in between, the next attempt can continue.
 */
export async function awaitJob(job: AnyJob, input: unknown, options: JobWaitOptions): Promise<unknown> {
  const scope = outsideOfTasks("suspend.job");
  const hash = hashOf({ scope, job, input }, options);
  const key = `${job.name} ${options.key ?? hash}`;
  const { path, settled } = scope.calls.name("job", { kind: "given", key }, "wait");
  try {
    const facts = factsOf(scope, job, options.key === undefined ? undefined : hash);
    const data = new DataTimer(scope.run.host.clock);
    const upstream = scope.run.lineage.of([input]);
    const earlier = await scope.run.checkpoints.reuse(path, { facts, data });
    if (earlier === null) {
      return await awaitAnew(
        { scope, job, input, path, upstream, deadline: deadlineOf(scope, options) },
        facts,
      );
    }
    if (!earlier.isRecorded) {
      const known = { ...upstreamFact(upstream), ...reported(facts), ...data.facts };
      const reuse = { move: "reuse", tries: 0, ...known } as const;
      await post({ scope, job, path }, { ...reuse, result: earlier.ref });
    }
    scope.run.lineage.note(earlier.value, { producer: { path }, upstream });
    return earlier.value;
  } finally {
    settled();
  }
}

/** Null: the call has a key, and its input cannot be compared. */
function hashOf(
  { scope, job, input }: Pick<JobCall, "scope" | "job" | "input">,
  { key }: JobWaitOptions,
): string | null {
  const what = `Job "${job.name}"`;
  try {
    return hashInput({ what, next: JOB_NEXT, hashes: scope.run.host.store.hashes }, [input]);
  } catch (error) {
    if (key !== undefined && error instanceof NotData) return null;
    throw error;
  }
}

/** The facts by which a later run knows whether the result is valid. */
function factsOf({ run }: Scope, job: AnyJob, inputHash: string | null | undefined): ResultFacts {
  const text = () => createHash("sha256").update(String(job.submit)).digest("hex").slice(0, VERSION_CHARS);
  const codeVersion = run.checkpoints.codeVersionOf({ name: job.name, version: job.version, text });
  return { codeVersion, inputHash };
}

function reported({ codeVersion, inputHash }: ResultFacts) {
  return typeof inputHash === "string" ? { codeVersion, inputHash } : { codeVersion };
}

type Moved = Pick<TaskDraft, "move" | "tries"> & Partial<TaskDraft>;

function draftOf(args: Pick<JobCall, "scope" | "job" | "path">, moved: Moved): TaskDraft {
  const { clock } = args.scope.run.host;
  return { type: "task", at: instant(clock), path: args.path, name: args.job.name, ...moved };
}

async function post(args: Pick<JobCall, "scope" | "job" | "path">, moved: Moved): Promise<void> {
  await args.scope.run.host.records.post(draftOf(args, moved));
}

/** The current job of this call. A job that failed before the run was retried is followed by the next. */
async function awaitAnew(call: JobCall, facts: ResultFacts): Promise<unknown> {
  for (let place = 1; place <= EARLIER_MAX; place++) {
    const own = place === 1 ? call : { ...call, path: `${call.path}/${place}` };
    await failAgain(own, facts);
    const asked = await tracked(call.scope, submitted(own));
    if (jobOf(asked).earlier) continue;
    const ended = await call.scope.run.waits.until({ path: own.path, call: waitOf(own) }, call.scope.signal);
    if (ended.state === "expired") throw new WaitExpired(own.path);
    return await tracked(call.scope, conclude(call, ended, facts));
  }
  throw new GatewayRefused(`Job "${call.job.name}" has failed ${EARLIER_MAX} times at ${call.path}.`);
}

/** Repeats the failure of a job that the flow handled in an earlier attempt. */
async function failAgain(call: JobCall, facts: ResultFacts): Promise<void> {
  const { scope, job, path } = call;
  const earlier = scope.run.checkpoints.failure(path, facts);
  if (earlier === null) return;
  const { failures, host } = scope.run;
  const error = new JobFailed(job.name, earlier.error.message);
  failures.note(path, error);
  const known = { ...upstreamFact(call.upstream), ...reported(facts) };
  const end = draftOf(call, { move: "fail", tries: 0, error: earlier.error, ...known });
  if (earlier.isRecorded) failures.noteUnrecorded(end);
  else await host.records.post(end);
  throw error;
}

function jobOf({ job }: CalledWait): CalledJob {
  if (job === undefined) throw new GatewayRefused("The gateway's answer to a wait for a job lacks the job.");
  return job;
}

function waitOf(
  { job, deadline }: JobCall,
  token?: string,
): { readonly kind: "wait"; readonly wait: AskedWait } {
  const pollEveryMs = job.poll === undefined ? null : job.pollEveryMs;
  const hash = token && createHash("sha256").update(token).digest("hex");
  return {
    kind: "wait",
    wait: {
      kind: "job",
      job: job.name,
      pollEveryMs,
      cancels: job.cancel !== undefined,
      ...deadline,
      ...(hash && { callback: hash }),
    },
  };
}

/**
 * Records the intent and submits the job, unless it is known to be submitted. Returns the state of the job at the first
 * request.
 */
async function submitted(call: JobCall): Promise<CalledWait> {
  const { scope, job, input, path } = call;
  const { host } = scope.run;
  const token = job.callback ? randomBytes(TOKEN_BYTES).toString("base64url") : undefined;
  const asked = await host.waits.ask({ path, call: waitOf(call, token) }, scope.signal);
  const { handle: ref, intendedBy, earlier } = jobOf(asked);
  if (asked.state !== "open" || ref !== null || earlier) return asked;
  const key = asked.waitId;
  const callbackUrl = token === undefined ? null : addressOf(call, key, token);
  const isFirst = intendedBy === host.facts.attemptId;
  const found = isFirst ? null : await foundAgain(job, key);
  const handle = found ?? (await job.submit(key, input as never, { callbackUrl, signal: scope.signal }));
  const place = { runId: host.facts.runId, attempt: host.facts.attempt, task: path, name: "handle" };
  const saved = await host.store.save(place, handle, "exact");
  // Not under the run's signal: a submitted job must be recorded even if the run is being cancelled.
  await host.call({ path, call: { kind: "job-handle", handle: saved } }, scope.run.ended);
  return asked;
}

function addressOf({ scope }: JobCall, jobId: string, token: string): string {
  const { workspaceId, controlPlane } = scope.run.host.facts;
  if (controlPlane === undefined)
    throw new GatewayRefused(
      "This run has no control plane that a backend could call: poll the job instead.",
    );
  return `${controlPlane.replace(/\/+$/, "")}/api/callbacks/${workspaceId}/${jobId}/${token}`;
}

/**
 * Finds a job that an earlier attempt may have submitted. Null: submit it, because there is none or submitting twice is
 * safe.
 * @throws JobOutcomeUnknown if it is unknown.
 */
async function foundAgain(job: AnyJob, key: string): Promise<unknown> {
  if (job.find === undefined) {
    if (job.idempotent === true) return null;
    throw new JobOutcomeUnknown(job.name, key, {});
  }
  try {
    return (await job.find(key)) ?? null;
  } catch (cause) {
    throw new JobOutcomeUnknown(job.name, key, { cause });
  }
}

/** The result of an ended job for the flow. It is stored like a task's, so reruns reuse it. */
async function conclude(call: JobCall, ended: CalledWait, facts: ResultFacts): Promise<unknown> {
  const { scope, job, path } = call;
  const { host, checkpoints } = scope.run;
  const outcome = ended.answer as unknown as JobOutcome;
  const { createdAt } = jobOf(ended);
  await post(call, { move: "queue", tries: 0, at: createdAt, ...upstreamFact(call.upstream) });
  await post(call, { move: "begin", tries: 1, at: createdAt });
  const end = { type: "task", at: instant(host.clock), path, name: job.name, tries: 1 } as const;
  if (outcome.outcome === "failed") {
    const error = new JobFailed(job.name, outcome.error.message);
    scope.run.failures.note(path, error);
    await host.records.postHeld({
      ...end,
      move: "fail",
      error: describeError(error),
      ...reported(facts),
    });
    throw error;
  }
  const { result } = outcome;
  const value = result === null ? broughtBack(job, outcome) : await host.store.load(result);
  const kept = result ?? (await checkpoints.keep(value, { path, task: job.name, required: false }));
  await host.records.postHeld({
    ...end,
    move: "complete",
    ...reported(facts),
    ...(kept !== null && { result: kept }),
  });
  scope.run.lineage.note(value, { producer: { path }, upstream: call.upstream });
  return value;
}

/**
 * The value that came with the end of a job. Nobody signs it, so it is taken only of a job that a callback may end: the worker
 * signs the refs of polled results.
 * @throws GatewayRefused if the job has no callback.
 */
function broughtBack(job: AnyJob, { value = null }: { readonly value?: unknown }): unknown {
  if (value === null) return undefined;
  if (job.callback) return value;
  throw new GatewayRefused(
    `The control plane says that a callback ended job "${job.name}" with a result, but this job has no callback. Check at its backend how it ended.`,
  );
}
