import { z } from "zod";
import { SignedSpec } from "../../deployments/spec.ts";
import { LIMITS } from "../../kernel/limits.ts";
import { DurationMs, Id, Instant, Name } from "../../kernel/names.ts";
import { Ref, RunError } from "../runs.ts";
import { Answer } from "../waits/waits.ts";

const Failed = z.object({ outcome: z.literal("failed"), error: RunError });
const Completed = z.object({ outcome: z.literal("completed"), result: Ref.nullable() });

/** How an external job ended, as a poll says: its result is in the customer's store. */
export const PolledOutcome = z.discriminatedUnion("outcome", [Completed, Failed]);
export type PolledOutcome = z.infer<typeof PolledOutcome>;

/** How an external job ended: as a poll says, or as a callback says, its result as it was sent. */
export const JobOutcome = z.discriminatedUnion("outcome", [
  Completed.extend({ value: Answer.optional() }),
  Failed,
]);
export type JobOutcome = z.infer<typeof JobOutcome>;

/** What a backend sends to the address that it was given, once. */
export const CallBack = z.discriminatedUnion("outcome", [
  z.strictObject({ outcome: z.literal("completed"), result: Answer.default(null) }),
  z.strictObject({ outcome: z.literal("failed"), error: z.string().max(LIMITS.messageChars).default("") }),
]);
export type CallBack = z.output<typeof CallBack>;

/** What became of a callback. */
export const CalledBack = z.object({ state: z.enum(["satisfied", "expired", "cancelled"]) });
export type CalledBack = z.infer<typeof CalledBack>;

/** What a flow is told of its external job beside how the wait for it stands. */
export const CalledJob = z.object({
  handle: Ref.nullable().describe("Where the handle is kept. Null: nobody knows whether it was submitted."),
  intendedBy: Id.describe(
    "The attempt that first wanted it: it alone knows that nobody has submitted it before.",
  ),
  createdAt: Instant,
  earlier: z
    .boolean()
    .describe("It failed before the run was last retried: the flow asks for another one in its place."),
});
export type CalledJob = z.infer<typeof CalledJob>;

/** A flow's word that the external job it has asked for under this path was submitted. Repeating it changes nothing. */
export const JobHandle = z.object({ kind: z.literal("job-handle"), handle: Ref });

/** Which tending of an external job is writing. */
export const JobFence = z.object({ jobId: Id, lease: Id });
export type JobFence = z.infer<typeof JobFence>;

/** An external job that a worker tends. */
export const HeldJob = JobFence.extend({
  cancel: z.boolean().describe("It knows that the job is to be cancelled."),
});
export type HeldJob = z.infer<typeof HeldJob>;

/** What a worker tells of an external job that it tends. */
export const JobChange = z.discriminatedUnion("type", [
  JobFence.extend({
    type: z.literal("polled"),
    says: z.string().max(LIMITS.jobSaysChars),
    agoMs: DurationMs,
  }),
  JobFence.extend({
    type: z.literal("stumbled"),
    detail: z.string().max(LIMITS.messageChars),
    agoMs: DurationMs,
  }),
  JobFence.extend({ type: z.literal("ended"), outcome: PolledOutcome }),
  JobFence.extend({ type: z.literal("cancelled") }),
  JobFence.extend({ type: z.literal("released") }).describe("The worker stops: another may tend it at once."),
  JobFence.extend({ type: z.literal("left") }).describe("It runs on: there is no way to cancel it."),
]);
export type JobChange = z.infer<typeof JobChange>;

/** A worker tells of the external jobs that it tends, renews its hold of them, and asks for more. */
export const TendJobs = z.strictObject({
  free: z.int().min(0).max(LIMITS.jobs).describe("How many more it can tend."),
  held: z.array(HeldJob).max(LIMITS.jobs).describe("All that it tends. What is missing here is given anew."),
  news: z.array(JobChange).max(LIMITS.jobs),
  waitMs: DurationMs.max(LIMITS.jobsWaitMs),
});
export type TendJobs = z.infer<typeof TendJobs>;

/** An external job that a worker is to tend, for as long as it holds the lease. */
export const TendedJob = JobFence.extend({
  runId: Id,
  deployment: Name,
  version: z.int(),
  job: Name,
  handle: Ref.nullable(),
  pollEveryMs: DurationMs.nullable(),
  cancel: z.boolean().describe("It is to be cancelled, not polled."),
});
export type TendedJob = z.infer<typeof TendedJob>;

/** External jobs to tend, and what became of those that the worker named. */
export const TendedJobs = z.object({
  jobs: z.array(TendedJob),
  specs: z
    .array(z.object({ deployment: Name, version: z.int(), spec: SignedSpec }))
    .describe("The signed spec of each version that a job in this answer belongs to."),
  cancel: z.array(Id).describe("Of those held: what is to be cancelled, and was not known to be."),
  gone: z.array(Id).describe("Of those held: what is no longer to be tended by this worker."),
  wanted: z
    .boolean()
    .describe("Whether the pool has jobs that have not ended: then it is worth waiting for changes."),
});
export type TendedJobs = z.infer<typeof TendedJobs>;
