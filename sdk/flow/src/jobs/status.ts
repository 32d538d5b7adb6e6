import { NonRetryable } from "../problem.ts";
import type { AnyJob, JobStatus } from "./job.ts";

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
