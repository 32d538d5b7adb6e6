import type { AskedWait, CalledRun, CalledWait, JobOutcome, Ref } from "@towpath/contract";
import { derivedId } from "@towpath/contract/words";
import { type Clock, instant } from "../clock.ts";
import type { RunCall, RunFacts } from "../engine/host.ts";
import { OutsideOfRun } from "../problem.ts";
import type { Store } from "../store/store.ts";
import { type AnyJob, askStatus, jobNamed } from "./job.ts";

/** A job of a run without a control plane. */
export interface OwnJob {
  readonly id: string;
  readonly intendedBy: string;
  readonly createdAt: string;
  handle: Ref | null;
  outcome: JobOutcome | null;
}

/** What stores and polls the jobs of a run without a worker. */
export interface OwnGround {
  readonly facts: RunFacts;
  readonly store: Store;
  readonly clock: Clock;
}

/** The jobs of a run, by their paths. */
export type OwnJobs = Map<string, OwnJob>;

/** The job of a path. The first call creates it. */
export async function ownJob(jobs: OwnJobs, { facts, clock }: OwnGround, path: string): Promise<OwnJob> {
  const found = jobs.get(path);
  if (found !== undefined) return found;
  const { runId, attemptId: intendedBy } = facts;
  const id = await derivedId(runId, path);
  const made = { id, intendedBy, createdAt: instant(clock), handle: null, outcome: null };
  jobs.set(path, made);
  return made;
}

/** Stores the handle of a job. */
export function noteHandle(jobs: OwnJobs, call: RunCall, runId: string): CalledRun | null {
  if (call.call.kind !== "job-handle") return null;
  const found = jobs.get(call.path);
  if (found !== undefined) found.handle ??= call.call.handle;
  return { runId, state: "running", cause: null, result: null };
}

/** Polls a job once, if its handle is known. */
export async function pollOwn(one: OwnJob, ground: OwnGround, name: string): Promise<void> {
  if (one.handle === null || one.outcome !== null) return;
  const job = declared(name);
  const handle = await ground.store.load(one.handle);
  const status = await askStatus(job, handle, new AbortController().signal);
  if (status.state === "failed") {
    const message = status.error ?? "Its backend reported a failure without a reason.";
    one.outcome = { outcome: "failed", error: { name: "JobFailed", message } };
  } else if (status.state === "completed") {
    const { runId, attempt } = ground.facts;
    const { result } = status;
    const place = { runId, attempt, task: one.id, name: "result" };
    const ref = result === undefined ? null : await ground.store.save(place, result, "exact");
    one.outcome = { outcome: "completed", result: ref };
  }
}

function declared(name: string): AnyJob {
  const job = jobNamed(name);
  if (job?.poll !== undefined) return job;
  throw new OutsideOfRun(`Job "${name}", which its backend ends by a callback,`, "Run the flow on a worker.");
}

/** The state of a wait for a job. @param inMs When to ask again, if nothing else reports its end. */
export function calledOwn(
  one: OwnJob,
  wait: Extract<AskedWait, { kind: "job" }>,
  inMs: number | null,
): CalledWait {
  const { id: waitId, handle, intendedBy, createdAt, outcome } = one;
  const job = { handle, intendedBy, createdAt, earlier: false };
  const common = { waitId, run: null, job };
  if (outcome === null) return { ...common, state: "open", inMs, answer: null, answeredBy: null };
  return { ...common, state: "satisfied", inMs: null, answer: outcome as never, answeredBy: wait.job };
}
