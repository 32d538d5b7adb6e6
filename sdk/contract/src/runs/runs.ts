import { z } from "zod";
import type { Compute } from "../compute/compute.ts";
import { AmountsByName } from "../compute/compute.ts";
import { CauseName, remoteTaskIn, type Spec } from "../deployments/spec.ts";
import { LIMITS } from "../kernel/limits.ts";
import {
  CodeVersion,
  DurationMs,
  Id,
  Instant,
  JsonObject,
  Name,
  PageQuery,
  severalOf,
  Tags,
} from "../kernel/names.ts";
import { Troubles } from "../kernel/trouble.ts";
import { ATTEMPT_STATES, type AttemptState, RUN_STATES, TASK_RUN_STATES } from "./states.ts";

/** A run's state on the wire. */
export const RunStateName = z.enum(RUN_STATES);

const due = {
  schedule: Name,
  dueAt: Instant.describe("The instant of the schedule that the run is for."),
  intervalStart: Instant.describe("The instant before: the data interval is from there up to `dueAt`."),
};

/** A value in the customer's store. Only this crosses the wire, never the value. */
export const Ref = z.object({
  uri: z.string().max(2048),
  codec: z
    .enum(["json", "bytes", "text", "typed"])
    .describe(
      '`typed` is JSON, and bytes behind it after a zero byte, in which what JSON cannot say (dates, maps, bytes, undefined…) stands as `{ "~": [kind, …] }`.',
    ),
  sizeBytes: z.int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type Ref = z.infer<typeof Ref>;

/** A task that a run starts in another pool, as a run of its own. */
export const RemoteTask = z.object({
  name: z.string().min(1).max(200),
  input: Ref.describe("Its arguments, in the customer's store."),
  retries: z.int().min(0).max(1_000).describe("Attempts that may be spent on lost and killed processes."),
});
export type RemoteTask = z.infer<typeof RemoteTask>;

/** Why a run exists. Unsigned: it says who asked, it grants nothing. */
export const Trigger = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("person"),
    name: z.string().max(128).describe("Name of the key, or of the person."),
  }),
  z.object({
    kind: z.literal("run"),
    runId: Id,
    path: z.string().max(1024),
    task: RemoteTask.optional().describe("The run is one task of the run that started it, in another pool."),
  }),
  z.object({ kind: z.literal("schedule"), ...due }),
  z.object({ kind: z.literal("backfill"), backfillId: Id, ...due }),
  z.object({
    kind: z.literal("rerun"),
    name: z.string().max(128).describe("Who asked for it."),
    runId: Id.describe("The run that is run again."),
    fromFailure: z.boolean().describe("It may take over what that run has completed."),
    origin: Id.describe("The first of a chain of runs that took over from one another; else the run itself."),
  }),
]);
export type Trigger = z.infer<typeof Trigger>;

/** Triggers of runs that stand for an instant of a schedule. */
export type DueTrigger = Extract<Trigger, { dueAt: string }>;

/** Whether a run stands for an instant of a schedule. */
export function isDue(trigger: Trigger): trigger is DueTrigger {
  return trigger.kind === "schedule" || trigger.kind === "backfill";
}

/** The task of another run that a run stands for; null if it is a whole flow. */
export function remoteTaskOf(trigger: Trigger): RemoteTask | null {
  return trigger.kind === "run" ? (trigger.task ?? null) : null;
}

/** What a worker must have free to be given a run: the whole flow, or one task of it. */
export function computeOf(spec: Spec, trigger: Trigger): Compute {
  const task = remoteTaskOf(trigger);
  return task === null ? spec.compute : (remoteTaskIn(spec, task.name)?.compute ?? spec.compute);
}

/** Who or what asked for a run, in a few words. */
export function triggerText(trigger: Trigger): string {
  switch (trigger.kind) {
    case "person":
      return trigger.name;
    case "run":
      return trigger.task === undefined
        ? `run ${trigger.runId}`
        : `run ${trigger.runId}, for its task ${trigger.task.name}`;
    case "rerun":
      return `${trigger.name}, as a rerun of ${trigger.runId}`;
    case "schedule":
      return `schedule ${trigger.schedule}, due ${trigger.dueAt}`;
    case "backfill":
      return `backfill of ${trigger.schedule}, due ${trigger.dueAt}`;
  }
}

/** How long a run may wait for its start. */
const ExpireAfterMs = DurationMs.min(1_000);

/** Asks for one execution of a deployment's latest version. */
export const CreateRun = z.strictObject({
  id: Id.describe("A UUIDv7 chosen by the caller: repeating the request is the same run."),
  deployment: Name,
  parameters: JsonObject.default({}),
  idempotencyKey: z.string().min(1).max(200).optional(),
  scheduledAt: Instant.optional().describe("Not before this instant. Omitted: now."),
  priority: z
    .int()
    .min(-100)
    .max(100)
    .optional()
    .describe("Higher goes first within its queue. Omitted: what its deployment says, else 0."),
  queue: Name.optional().describe(
    "A queue of the deployment's pool. Omitted: what the deployment says, else none.",
  ),
  tags: Tags.default([]),
  expireAfterMs: ExpireAfterMs.optional().describe(
    "It fails with cause `expired` if no worker has started it so long after it was due. Omitted: what its deployment says.",
  ),
});
export type CreateRun = z.input<typeof CreateRun>;

/** What went wrong, as the flow or the worker told it. Redacted by the worker. */
export const RunError = z.object({
  name: z.string().max(200).default("Error"),
  message: z.string().max(LIMITS.messageChars),
  stack: z.string().max(LIMITS.errorStackChars).optional(),
});
export type RunError = z.infer<typeof RunError>;

/** What a flow calls one of its runs: made on the worker, of the parameters. */
export const RunName = z.string().min(1).max(200);

/** A run as lists show it. Lists never hold parameters. */
export const RunSummary = z.object({
  id: Id,
  name: z.string().nullable().describe("What the flow calls the run, told when it begins. Null: nothing."),
  deployment: Name,
  version: z.int(),
  pool: Name,
  queue: Name.nullable(),
  state: RunStateName,
  cause: CauseName.nullable(),
  trigger: Trigger,
  priority: z.int(),
  tags: Tags,
  attempts: z.int(),
  createdAt: Instant,
  scheduledAt: Instant,
  startedAt: Instant.nullable(),
  endedAt: Instant.nullable(),
  labels: z.array(z.enum(["late", "disconnected"])).describe("Derived at the time of the answer."),
});
export type RunSummary = z.infer<typeof RunSummary>;

/** Records that came under a fence of the past: counted here, never applied. */
export const LateReport = z.object({
  workerId: Id,
  epoch: z.int().describe("The claim under which they were written."),
  reports: z.int(),
  records: z.int(),
  kinds: z.array(z.string()),
  firstReceivedAt: Instant,
  lastReceivedAt: Instant,
});
export type LateReport = z.infer<typeof LateReport>;

/** One admission of a run to execution. */
export const Attempt = z.object({
  id: Id,
  ordinal: z.int(),
  state: z.enum(ATTEMPT_STATES),
  cause: CauseName.nullable(),
  epoch: z.int(),
  worker: z.object({ id: Id, name: z.string() }).nullable(),
  releases: z.int().describe("How often a worker gave it back before starting."),
  releaseReason: z.string().nullable(),
  exitCode: z.int().nullable(),
  lateReports: z
    .array(LateReport)
    .describe("What a worker still reported after the attempt was lost or given to another claim."),
  createdAt: Instant,
  claimedAt: Instant.nullable(),
  startedAt: Instant.nullable(),
  endedAt: Instant.nullable(),
});
export type Attempt = z.infer<typeof Attempt>;

/** A run with all that one screen needs, save task runs, logs and artifacts. */
export const Run = RunSummary.extend({
  parameters: JsonObject,
  error: RunError.nullable(),
  result: Ref.nullable(),
  cancelRequestedAt: Instant.nullable(),
  cancelReason: z.string().nullable(),
  endsBy: Instant.nullable().describe(
    "When it fails if it has not ended, by the limit of the run as a whole. Null: it has none, has not started, or is over.",
  ),
  checkpointsDeletedAt: Instant.nullable().describe(
    "When the refs of what its tasks have left were deleted: a rerun runs all of them again.",
  ),
  needs: AmountsByName.describe(
    "What it needs of its worker, by the spec of its version. Empty: nothing but a place.",
  ),
  why: z.string().nullable().describe("For a run that waits: what it waits for, and what would unblock it."),
  attemptList: z.array(Attempt),
  troubles: Troubles,
});
export type Run = z.infer<typeof Run>;

/** Where a task call stands in its run: its parents' paths and its own identity. */
export const TaskPath = z.string().min(1).max(1024);

/** The task calls whose errors an attempt failed by: what it threw, its causes, and the parts of aggregated errors. */
export const FailedBy = z
  .array(z.string().min(1).max(1025))
  .max(LIMITS.failedBy)
  .describe(
    "Paths of the task calls whose errors the attempt failed by: a later attempt calls them again, and throws the errors of all other failed calls again. An entry that ends with `/` stands for all failed calls directly below that path. Missing: all failed calls of the attempt are called again.",
  );

/** A hash of a task call's arguments: it tells inputs apart, and cannot be turned back into one. */
export const InputHash = z.string().regex(/^[0-9a-f]{16}$/);

/** What is told of a task call when it moves, the same by a flow to its worker and by the worker onwards. */
export const TaskMove = z.object({
  at: Instant.describe("The clock of whoever tells it; shown, never used to decide."),
  path: TaskPath,
  name: z.string().min(1).max(200),
  move: z
    .enum(["queue", "begin", "retry", "complete", "fail", "cancel", "reuse"])
    .describe("`reuse` completes a call that has not begun with a result of an earlier one."),
  tries: z.int().min(0),
  codeVersion: CodeVersion.optional(),
  inputHash: InputHash.optional(),
  result: Ref.optional(),
});

/**
 * A value that a flow keeps beside the results of its tasks, so that a later attempt goes on from it: what `ctx.keep` was
 * given, as a ref; or, without one, the instant `at` itself. A later one under the same path takes its place.
 */
export const Kept = z.object({
  at: Instant,
  path: TaskPath.describe("The path of the task call it was kept in, and its own name."),
  result: Ref.optional(),
});

/** One try of a task call. */
export const TaskTry = z.object({
  startedAt: Instant,
  endedAt: Instant.nullable(),
  error: z.string().nullable().describe("The message it failed with; null of one that did not."),
});
export type TaskTry = z.infer<typeof TaskTry>;

/** The most tries of a task call that are told one by one: the latest. */
export const tryListMax = 20;

/** One task call in a run. */
export const TaskRun = z.object({
  attemptId: Id,
  path: z.string(),
  name: z.string(),
  state: z.enum(TASK_RUN_STATES),
  tries: z.int(),
  tryList: z
    .array(TaskTry)
    .describe(`Its tries one by one, oldest first, once it was tried twice: the latest ${tryListMax}.`),
  order: z.int().describe("Order of first appearance within the attempt."),
  reused: z
    .boolean()
    .describe(
      "Took how an earlier call ended instead of running: its result, or, of one that failed, its error.",
    ),
  codeVersion: CodeVersion.nullable(),
  inputHash: InputHash.nullable(),
  error: RunError.nullable(),
  fatal: z
    .boolean()
    .nullable()
    .optional()
    .describe(
      "Of a call that failed: whether its attempt failed by its error. Later attempts then call it again; else they throw its error again. Null: nobody has said so.",
    ),
  result: Ref.nullable(),
  createdAt: Instant,
  startedAt: Instant.nullable(),
  endedAt: Instant.nullable(),
});
export type TaskRun = z.infer<typeof TaskRun>;

/** A call that may have failed, as it is known by. */
type FailedCall = Pick<TaskRun, "state" | "codeVersion" | "fatal">;

/**
 * Whether later attempts throw the error of a failed call again. An attempt that was suspended or has completed has failed by
 * none of its calls. Nothing is noted of those of a completed attempt, nor by an earlier release of those of a suspended one.
 * @param attempt The state of the call's attempt. Missing: not known.
 */
export function failureStands(call: FailedCall, attempt: AttemptState | undefined): boolean {
  if (call.state !== "failed" || call.codeVersion === null) return false;
  if (typeof call.fatal === "boolean") return !call.fatal;
  return attempt === "suspended" || attempt === "completed";
}

/** What becomes of a run that a flow has started, if that flow's run ends first. Missing: it goes on. */
export const OnParentEnd = z.enum(["cancel", "abandon"]).optional();

/** Asks for a task in another pool: a run of the same version that runs this task alone. */
export const StartTask = z.object({
  kind: z.literal("start-task"),
  pool: Name,
  task: RemoteTask,
  onParentEnd: OnParentEnd,
});

/** What lists of runs can be narrowed by. Each narrows further. */
export const RunQuery = PageQuery.extend({
  state: severalOf(RunStateName).optional().describe("One state, or several with commas between them."),
  deployment: Name.optional(),
  pool: Name.optional(),
  parent: Id.optional().describe("Started by this run."),
  tag: Tags.element.optional(),
  cause: CauseName.optional(),
  from: Instant.optional().describe("Created at or after this instant."),
  to: Instant.optional().describe("Created before this instant."),
  text: z
    .string()
    .trim()
    .min(1)
    .max(64)
    .optional()
    .describe(
      "A part of the deployment's name, or, from three characters on, of the run's own; or its id, or the last eight characters of that.",
    ),
  order: z
    .enum(["oldest", "newest"])
    .default("newest")
    .describe("Whether what was created first comes first, or last."),
});

/** Asks that a run end. */
export const CancelRun = z.object({ reason: z.string().max(500).default("") });

/** How long a run may go without a worker before it is labelled late, milliseconds after it was due. */
export const lateAfterMs: z.infer<typeof DurationMs> = 15_000;
