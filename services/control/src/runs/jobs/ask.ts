import { type AskedWait, type CalledJob, Problem, type Ref } from "@towpath/contract";
import type { Deps, Tx } from "../../kernel/index.ts";
import { findRun } from "../history/find.ts";
import type { AttemptRow } from "../table.ts";
import { addCallback, findJob, insertJob, saveHandle } from "./store.ts";

type AskedJob = Extract<AskedWait, { kind: "job" }>;

/** Stores that a run wants an external job, before any worker submits it. The caller holds the lock of its attempt. */
export async function intendJob(
  tx: Tx,
  deps: Deps,
  args: { held: AttemptRow; jobId: string; asked: AskedJob },
): Promise<void> {
  const { workspaceId, runId, id: attemptId } = args.held;
  const run = await findRun(tx, { workspaceId, runId });
  if (run === null) throw new Problem("run-not-found", `There is no run ${runId}.`);
  await insertJob(tx, deps.clock, { id: args.jobId, attemptId, run, asked: args.asked });
}

/** The answer to a flow that asked for a job. */
export async function calledJob(
  tx: Tx,
  args: { held: AttemptRow; jobId: string; asked: AskedJob },
): Promise<CalledJob> {
  const { workspaceId, runId } = args.held;
  const row = await findJob(tx, { workspaceId, jobId: args.jobId });
  const run = await findRun(tx, { workspaceId, runId });
  if (row === null || run === null) throw noJob(args.jobId);
  const { callback: hash } = args.asked;
  const isNew = hash !== undefined && row.handle === null && !row.callbacks.includes(hash);
  if (isNew) await addCallback(tx, { workspaceId, jobId: args.jobId, hash });
  return {
    handle: row.handle,
    intendedBy: row.intendedBy,
    createdAt: row.createdAt.toISOString(),
    earlier: row.failed && row.retries < run.retries,
  };
}

/** Stores the handle of a job that a flow has submitted. Repeating it changes nothing: the first handle stays. */
export async function recordHandle(
  tx: Tx,
  deps: Deps,
  args: { held: AttemptRow; jobId: string; handle: Ref },
): Promise<void> {
  const { workspaceId, runId } = args.held;
  const { jobId, handle } = args;
  const saved = await saveHandle(tx, deps.clock, { workspaceId, runId, jobId, handle });
  if (saved === null && (await findJob(tx, { workspaceId, jobId })) === null) throw noJob(jobId);
}

function noJob(jobId: string): Problem {
  return new Problem("wait-not-found", `The run has no external job with the id ${jobId}.`);
}
