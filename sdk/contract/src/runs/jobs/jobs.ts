import { z } from "zod";
import { SignedSpec } from "../../deployments/spec.ts";
import { LIMITS } from "../../kernel/limits.ts";
import { DeploymentName, DurationMs, Id, Instant, Name } from "../../kernel/names.ts";
import { sealableText } from "../../sealing/fields.ts";
import { Ref, RunError } from "../runs.ts";
import { Answer } from "../waits/waits.ts";

const Failed = z.object({ outcome: z.literal("failed"), error: RunError });
const Completed = z.object({ outcome: z.literal("completed"), result: Ref.nullable() });

/** The end of an external job from a poll. Its result is in the customer's store. */
export const PolledOutcome = z.discriminatedUnion("outcome", [Completed, Failed]);
export type PolledOutcome = z.infer<typeof PolledOutcome>;

/** The end of an external job from a poll, or from a callback with its result. */
export const JobOutcome = z.discriminatedUnion("outcome", [
  Completed.extend({ value: Answer.optional() }),
  Failed,
]);
export type JobOutcome = z.infer<typeof JobOutcome>;

/** The body of a backend's callback, which it sends once. A backend has no workspace key, so nothing of it can be sealed. */
export const CallBack = z.discriminatedUnion("outcome", [
  z.strictObject({
    outcome: z.literal("completed"),
    result: Answer.default(null).describe("Must be missing or null in a sealed workspace."),
  }),
  z.strictObject({
    outcome: z.literal("failed"),
    error: z
      .string()
      .max(LIMITS.messageChars)
      .default("")
      .describe("Must be missing or empty in a sealed workspace."),
  }),
]);
export type CallBack = z.output<typeof CallBack>;

/** The result of a callback. */
export const CalledBack = z.object({ state: z.enum(["satisfied", "expired", "cancelled"]) });
export type CalledBack = z.infer<typeof CalledBack>;

/** What a flow gets about its external job besides the state of its wait. */
export const CalledJob = z.object({
  handle: Ref.nullable().describe(
    "The ref of the handle. Null: it is unknown whether the job was submitted.",
  ),
  intendedBy: Id.describe(
    "The attempt that first asked for the job. Only this attempt can be sure that it was not submitted before.",
  ),
  createdAt: Instant,
  earlier: z.boolean().describe("It failed before the latest retry of the run. The flow asks for a new job."),
});
export type CalledJob = z.infer<typeof CalledJob>;

/** A flow's report that it submitted the external job of this path. Repeating it changes nothing. */
export const JobHandle = z.object({ kind: z.literal("job-handle"), handle: Ref });

/** The fence of an external job: which lease is writing. */
export const JobFence = z.object({ jobId: Id, lease: Id });
export type JobFence = z.infer<typeof JobFence>;

/** An external job that a worker polls. */
export const HeldJob = JobFence.extend({
  cancel: z.boolean().describe("The worker knows that the job must be cancelled."),
});
export type HeldJob = z.infer<typeof HeldJob>;

/** A worker's report about an external job. */
export const JobChange = z.discriminatedUnion("type", [
  JobFence.extend({
    type: z.literal("polled"),
    says: sealableText("job", { max: LIMITS.jobSaysChars }),
    agoMs: DurationMs,
  }),
  JobFence.extend({
    type: z.literal("stumbled"),
    detail: sealableText("job", { max: LIMITS.messageChars }),
    agoMs: DurationMs,
  }),
  JobFence.extend({ type: z.literal("ended"), outcome: PolledOutcome }),
  JobFence.extend({ type: z.literal("cancelled") }),
  JobFence.extend({ type: z.literal("released") }).describe(
    "The worker stops. Another worker can take over at once.",
  ),
  JobFence.extend({ type: z.literal("left") }).describe("It cannot be cancelled and continues."),
]);
export type JobChange = z.infer<typeof JobChange>;

/** A worker's report about its external jobs. It renews their leases and asks for more. */
export const TendJobs = z.strictObject({
  free: z.int().min(0).max(LIMITS.jobs).describe("How many more jobs it can poll."),
  held: z
    .array(HeldJob)
    .max(LIMITS.jobs)
    .describe("All jobs that it polls. A job that is missing here is assigned again."),
  news: z.array(JobChange).max(LIMITS.jobs),
  waitMs: DurationMs.max(LIMITS.jobsWaitMs),
});
export type TendJobs = z.infer<typeof TendJobs>;

/** An external job that a worker must poll while it holds the lease. */
export const TendedJob = JobFence.extend({
  runId: Id,
  deployment: DeploymentName,
  version: z.int(),
  job: Name,
  handle: Ref.nullable(),
  pollEveryMs: DurationMs.nullable(),
  cancel: z.boolean().describe("It must be cancelled, not polled."),
});
export type TendedJob = z.infer<typeof TendedJob>;

/** External jobs to poll, and the state of those that the worker named. */
export const TendedJobs = z.object({
  jobs: z.array(TendedJob),
  specs: z
    .array(z.object({ deployment: DeploymentName, version: z.int(), spec: SignedSpec }))
    .describe("The signed spec of each version with a job in this answer."),
  cancel: z.array(Id).describe("Held jobs that must be cancelled, as far as the worker did not know."),
  gone: z.array(Id).describe("Held jobs that this worker must no longer poll."),
  wanted: z
    .boolean()
    .describe("Whether the pool has jobs that have not ended. Then the worker should wait for changes."),
});
export type TendedJobs = z.infer<typeof TendedJobs>;
