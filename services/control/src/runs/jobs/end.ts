import { JOB_TRANSITIONS, type JobOutcome, type JobTransition, type Json } from "@towpath/contract";
import { cleanJson, type Deps, perRowJob, type Tx } from "../../kernel/index.ts";
import { releaseDependents } from "../dependents/release.ts";
import { keptOpen } from "../dependents/store.ts";
import { moveRun } from "../moves/apply.ts";
import { findActiveAttemptId } from "../moves/locks.ts";
import type { JobRow } from "../table.ts";
import { settleWaits } from "../waits/resume.ts";
import { lockWaiting, noteAnswer, type WaitingRun } from "../waits/store.ts";
import { type GivenUpJob, LEAVING_BATCH, listGivenUp, saveJobEnds, untilGivenUp } from "./store.ts";

/** The end of an external job. */
export interface JobOver {
  readonly jobId: string;
  readonly runId: string;
  readonly by: Extract<JobTransition, "end" | "settle" | "leave">;
  /** Of `end`. */
  readonly outcome: JobOutcome | null;
  /** Only under this lease. Null: under any. */
  readonly lease: string | null;
}

/**
 * Ends external jobs, once each. Their runs continue with the outcomes, and cancelled runs that waited only for such a
 * job now end. Takes the locks of the runs first, in the order of their ids.
 * @returns the jobs that this call has ended
 */
export async function endJobs(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; over: readonly JobOver[]; answeredBy: string },
): Promise<JobRow[]> {
  const { workspaceId, over } = args;
  const runIds = [...new Set(over.map((one) => one.runId))];
  const runs = await lockWaiting(tx, { workspaceId, runIds });
  const ends = over.map(({ jobId, lease, by, outcome }) => {
    const { from, to } = JOB_TRANSITIONS[by];
    return { id: jobId, lease, from, to: to[0], failed: outcome?.outcome === "failed" };
  });
  const ended = await saveJobEnds(tx, deps.clock, { workspaceId, ends });
  const done = new Set(ended.map((row) => row.id));
  const settled = over.filter((one) => done.has(one.jobId) && one.outcome !== null);
  for (const { jobId, outcome } of settled) {
    // As it is in JSON: without what is undefined.
    const answer: Json = JSON.parse(JSON.stringify(cleanJson(outcome)));
    await noteAnswer(tx, deps.clock, {
      workspaceId,
      waitId: jobId,
      answer,
      answeredBy: args.answeredBy,
      eventId: null,
    });
  }
  const waits = settled.map(({ jobId, runId }) => ({ id: jobId, runId, by: "satisfy" as const }));
  await settleWaits(tx, deps, { workspaceId, waits });
  await settleRuns(tx, deps, { workspaceId, runs });
  return ended;
}

/** Ends cancelled runs that no job keeps open any more. The caller holds their locks. */
async function settleRuns(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; runs: readonly WaitingRun[] },
): Promise<void> {
  const { workspaceId } = args;
  const waiting = args.runs.filter((one) => one.state === "cancelling");
  if (waiting.length === 0) return;
  const kept = await keptOpen(tx, { workspaceId, runIds: waiting.map(({ id }) => id) });
  for (const { id: runId, cancelCause } of waiting) {
    if (kept.has(runId) || (await findActiveAttemptId(tx, { workspaceId, runId })) !== null) continue;
    const row = await moveRun(tx, deps.clock, {
      workspaceId,
      id: runId,
      by: "settle",
      cause: cancelCause ?? "user",
    });
    await releaseDependents(tx, deps, [row]);
  }
}

/** Who a job is given up by. */
const GIVER = "control plane";

/** Leaves external jobs alone that could not be cancelled in time, so that their runs end. */
export const jobsPeriodicJob = perRowJob<GivenUpJob>({
  name: "jobs",
  everyMs: 5_000,
  hold: "claims",
  batch: LEAVING_BATCH,
  nextInMs: ({ clock }, among) => untilGivenUp(clock, among),
  find: (from, { clock }, which) => listGivenUp(from, clock, which),
  async act(tx, deps, late) {
    const over = late.map(({ id, subjectId }) => {
      return { jobId: id, runId: subjectId, by: "leave" as const, outcome: null, lease: null };
    });
    await endJobs(tx, deps, { workspaceId: late[0]?.workspaceId ?? "", over, answeredBy: GIVER });
  },
});
