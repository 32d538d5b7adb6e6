import { z } from "zod";
import type { Compute } from "../compute/compute.ts";
import { AmountsByName } from "../compute/compute.ts";
import { CauseName, remoteTaskIn, type Spec } from "../deployments/spec.ts";
import { LIMITS } from "../kernel/limits.ts";
import {
  CodeVersion,
  DeploymentName,
  DurationMs,
  Id,
  Instant,
  JsonObject,
  Name,
  PageQuery,
  page,
  StageQuery,
  severalOf,
  Tag,
  Tags,
} from "../kernel/names.ts";
import { Troubles } from "../kernel/trouble.ts";
import { sealable, sealableText } from "../sealing/fields.ts";
import { ATTEMPT_STATES, type AttemptState, RUN_STATES, TASK_RUN_STATES } from "./states.ts";

/** A run's state on the wire. */
export const RunStateName = z.enum(RUN_STATES);

const due = {
  schedule: Name,
  dueAt: Instant.describe("The scheduled time of the run."),
  intervalStart: Instant.describe("The previous scheduled time. The data interval is from here to `dueAt`."),
};

/** A reference to a value in the customer's store. The value itself never crosses the wire. */
export const Ref = z.object({
  uri: z.string().max(2048),
  codec: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,31}$/)
    .describe(
      'The format of the value: `json`, `text`, `bytes`, `typed`; from Python also `parquet`, `npy`, `safetensors` and `pickle`. `typed` is JSON, then a zero byte and the bytes of byte arrays. Values that JSON cannot store (dates, maps, bytes, tables, undefined…) have the form `{ "~": [kind, …] }`. A reader refuses a format that it does not know.',
    ),
  sizeBytes: z.int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type Ref = z.infer<typeof Ref>;

/** A task that a run starts in another pool, as a run of its own. */
export const RemoteTask = z.object({
  name: z.string().min(1).max(200),
  input: Ref.describe("Its arguments, in the customer's store."),
  retries: z.int().min(0).max(1_000).describe("Further attempts after lost and killed processes."),
});
export type RemoteTask = z.infer<typeof RemoteTask>;

/** Why a run exists. It is not signed and grants nothing. */
export const Trigger = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("person"),
    name: z.string().max(128).describe("Name of the key, or of the person."),
  }),
  z.object({
    kind: z.literal("run"),
    runId: Id,
    path: z.string().max(1024),
    task: RemoteTask.optional().describe("The run is a remote task of the run that started it."),
  }),
  z.object({ kind: z.literal("schedule"), ...due }),
  z.object({ kind: z.literal("backfill"), backfillId: Id, ...due }),
  z.object({
    kind: z.literal("rerun"),
    name: z.string().max(128).describe("Who started it."),
    runId: Id.describe("The earlier run."),
    fromFailure: z.boolean().describe("It may reuse what that run completed."),
    origin: Id.describe("The first run of a chain of reruns that reuse results; else the run itself."),
  }),
]);
export type Trigger = z.infer<typeof Trigger>;

/** Triggers of runs for a scheduled time. */
export type DueTrigger = Extract<Trigger, { dueAt: string }>;

/** Whether a run is for a scheduled time. */
export function isDue(trigger: Trigger): trigger is DueTrigger {
  return trigger.kind === "schedule" || trigger.kind === "backfill";
}

/** The remote task that a run runs. Null if it runs a whole flow. */
export function remoteTaskOf(trigger: Trigger): RemoteTask | null {
  return trigger.kind === "run" ? (trigger.task ?? null) : null;
}

/** The compute of a run: of the whole flow, or of its remote task. */
export function computeOf(spec: Spec, trigger: Trigger): Compute {
  const task = remoteTaskOf(trigger);
  return task === null ? spec.compute : (remoteTaskIn(spec, task.name)?.compute ?? spec.compute);
}

/** A short text of who or what started a run. */
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

/** The longest wait for a run's start. */
const ExpireAfterMs = DurationMs.min(1_000);

/** Creates a run of a deployment's latest version. */
export const CreateRun = z.strictObject({
  id: Id.describe("A UUIDv7 that the caller chooses. A repeated request creates no second run."),
  deployment: DeploymentName,
  parameters: sealable("parameters", JsonObject.default({})),
  idempotencyKey: sealable("key", z.string().min(1).max(200)).optional(),
  scheduledAt: Instant.optional().describe("The run starts at or after this time. Omitted: now."),
  priority: z
    .int()
    .min(-100)
    .max(100)
    .optional()
    .describe(
      "The highest priority starts first within the queue. Omitted: the deployment's default, else 0.",
    ),
  queue: Name.optional().describe(
    "A queue of the deployment's pool. Omitted: the deployment's default, else none.",
  ),
  tags: Tags.default([]),
  expireAfterMs: ExpireAfterMs.optional().describe(
    "It fails with cause `expired` if no worker starts it within this time of its scheduled time. Omitted: the deployment's default.",
  ),
});
export type CreateRun = z.input<typeof CreateRun>;

/** An error from the flow or the worker, redacted by the worker. */
export const RunError = z.object({
  name: z.string().max(200).default("Error"),
  message: sealableText("error", { max: LIMITS.messageChars }),
  stack: sealableText("stack", { max: LIMITS.errorStackChars }).optional(),
});
export type RunError = z.infer<typeof RunError>;

/** A run's name, which the flow computes on the worker from the parameters. */
export const RunName = sealableText("run-name", { min: 1, max: 200 });

/** A run in lists. Lists never contain parameters. */
export const RunSummary = z.object({
  id: Id,
  name: sealable("run-name", z.string())
    .nullable()
    .describe("The name that the flow gives the run when it starts. Null: none."),
  deployment: DeploymentName,
  version: z.int(),
  pool: Name,
  queue: Name.nullable(),
  state: RunStateName,
  cause: CauseName.nullable(),
  trigger: Trigger,
  priority: z.int(),
  tags: z.array(Tag).describe("Its deployment's tags, and those that its creator gave it."),
  attempts: z.int(),
  createdAt: Instant,
  scheduledAt: Instant,
  startedAt: Instant.nullable(),
  endedAt: Instant.nullable(),
  workedMs: z
    .int()
    .nullable()
    .default(null)
    .describe(
      "The time of its attempts that have ended, without the time between attempts, in which it waited. Null: no attempt has ended, it had only one, or an earlier release did not count.",
    ),
  workingSince: Instant.nullable()
    .default(null)
    .describe("When the present attempt started. Null: no attempt runs."),
  labels: z.array(z.enum(["late", "disconnected"])).describe("Derived at the time of the answer."),
});
export type RunSummary = z.infer<typeof RunSummary>;

/** Records that arrived with an outdated fence. They are counted here and never applied. */
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
  releases: z.int().describe("How often a worker gave it back before it started."),
  releaseReason: z.string().nullable(),
  exitCode: z.int().nullable(),
  lateReports: z
    .array(LateReport)
    .describe("Reports of a worker after the attempt was lost or claimed again."),
  createdAt: Instant,
  claimedAt: Instant.nullable(),
  startedAt: Instant.nullable(),
  endedAt: Instant.nullable(),
  reportedAt: Instant.nullable()
    .default(null)
    .describe(
      "When the end reached the control plane, if that was a second or more after `endedAt`: the worker could not reach it. Then `endedAt` is computed from the worker's clock: the arrival, minus the time that the worker measured between the end and its report.",
    ),
});
export type Attempt = z.infer<typeof Attempt>;

/** A run with all its data except task runs, logs and artifacts. */
export const Run = RunSummary.extend({
  parameters: sealable("parameters", JsonObject),
  error: RunError.nullable(),
  result: Ref.nullable(),
  cancelRequestedAt: Instant.nullable(),
  cancelReason: z.string().nullable(),
  endsBy: Instant.nullable().describe(
    "When the run's total time limit ends. Null: it has none, has not started, or has ended.",
  ),
  checkpointsDeletedAt: Instant.nullable().describe(
    "When the refs of its results were deleted. A rerun runs all tasks again.",
  ),
  needs: AmountsByName.describe("The compute that it needs, from its version's spec. Empty: only a slot."),
  why: z.string().nullable().describe("For a waiting run: what it waits for, and what would unblock it."),
  attemptList: z.array(Attempt),
  troubles: Troubles,
});
export type Run = z.infer<typeof Run>;

/** The path of a task call: its parents' paths and its own identity. */
export const TaskPath = z.string().min(1).max(1024);

/** A hash of an input where a path holds one. */
export const HASH_IN_PATH = /:([0-9a-f]{16})(?=\/|#|$)/g;

/** A task's path by the names and keys that people know, without the hashes of inputs. */
export function taskPathLabel(path: string): string {
  return path.replaceAll(HASH_IN_PATH, "");
}

/** The task calls whose errors made an attempt fail: its error, that error's causes, and the parts of aggregated errors. */
export const FailedBy = z
  .array(z.string().min(1).max(1025))
  .max(LIMITS.failedBy)
  .describe(
    "Paths of the task calls whose errors made the attempt fail. A later attempt calls these again. It throws the errors of all other failed calls again. An entry that ends with `/` means all failed calls directly below that path. Missing: all failed calls of the attempt are called again.",
  );

/** A hash of a task call's arguments. It cannot be reversed. */
export const InputHash = z.string().regex(/^[0-9a-f]{16}$/);

const Bytes = z.int().nonnegative().optional();

/** How long a task call handled its data. A kind of work that took only a moment is missing. Work that overlaps counts once. */
export const DataTime = z
  .object({
    hashMs: DurationMs.optional().describe("Hashing its arguments, before the call waited or began."),
    loadMs: DurationMs.optional().describe("Loading values: its arguments, or a result that it reuses."),
    loadBytes: Bytes,
    saveMs: DurationMs.optional().describe("Saving its result, and other values."),
    saveBytes: Bytes,
  })
  .describe("How long the call hashed, loaded and saved data, in milliseconds, and how many bytes.");
export type DataTime = z.infer<typeof DataTime>;

/** The task calls that produced a call's arguments. Only objects and refs are followed, so it may be incomplete. */
export const Upstream = z
  .object({
    paths: z
      .array(TaskPath)
      .min(1)
      .max(LIMITS.upstream)
      .describe("Paths of task calls. The path of a map stands for all its calls."),
    more: z.boolean().optional().describe("Whether there are more than the list may have."),
  })
  .describe("The task calls that returned the objects or refs that this call received as arguments.");
export type Upstream = z.infer<typeof Upstream>;

/** A report of a task call's move, from a flow to its worker and from the worker to the control plane. */
export const TaskMove = z.object({
  at: Instant.describe("The reporter's clock. It is shown, but decides nothing."),
  path: TaskPath,
  name: z.string().min(1).max(200),
  move: z
    .enum(["queue", "begin", "retry", "complete", "fail", "cancel", "reuse"])
    .describe("`reuse` completes a pending call with an earlier result."),
  tries: z.int().min(0),
  codeVersion: CodeVersion.optional(),
  inputHash: InputHash.optional(),
  result: Ref.optional(),
  upstream: Upstream.optional(),
  dataTime: DataTime.optional(),
});

/**
 * A value that a flow keeps for later attempts besides the results of its tasks: the value of `ctx.keep` as a ref, or, without
 * a ref, the time `at`. A later one under the same path replaces it.
 */
export const Kept = z.object({
  at: Instant,
  path: TaskPath.describe("The path of its task call, and its own name."),
  result: Ref.optional(),
});

/** One try of a task call. */
export const TaskTry = z.object({
  startedAt: Instant,
  endedAt: Instant.nullable(),
  error: sealable("error", z.string()).nullable().describe("The error message, or null if it did not fail."),
});
export type TaskTry = z.infer<typeof TaskTry>;

/** The most tries of a task call that are listed, the latest. */
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
    .describe(`Its tries, oldest first, if there were at least two. At most the latest ${tryListMax}.`),
  order: z.int().describe("Order of first appearance within the attempt."),
  reused: z.boolean().describe("It did not run, but reused an earlier call's result or error."),
  codeVersion: CodeVersion.nullable(),
  inputHash: InputHash.nullable(),
  error: RunError.nullable(),
  fatal: z
    .boolean()
    .nullable()
    .optional()
    .describe(
      "Of a failed call: whether its error made the attempt fail. If so, later attempts call it again; else they throw its error again. Null: not known.",
    ),
  result: Ref.nullable(),
  upstream: Upstream.optional(),
  dataTime: DataTime.optional(),
  createdAt: Instant,
  startedAt: Instant.nullable(),
  endedAt: Instant.nullable(),
});
export type TaskRun = z.infer<typeof TaskRun>;

/** The fields that decide whether a failure stands. */
type FailedCall = Pick<TaskRun, "state" | "codeVersion" | "fatal">;

/**
 * Whether later attempts throw the error of a failed call again. No failed call made a suspended or completed attempt fail.
 * Completed attempts, and suspended ones of an earlier release, have no record of it.
 * @param attempt The state of the call's attempt. Undefined: not known.
 */
export function failureStands(call: FailedCall, attempt: AttemptState | undefined): boolean {
  if (call.state !== "failed" || call.codeVersion === null) return false;
  if (typeof call.fatal === "boolean") return !call.fatal;
  return attempt === "suspended" || attempt === "completed";
}

/** What happens to a child run if its parent ends first. Missing: it continues. */
export const OnParentEnd = z.enum(["cancel", "abandon"]).optional();

/** Starts a remote task: a run of the same version that runs only this task. */
export const StartTask = z.object({
  kind: z.literal("start-task"),
  pool: Name,
  task: RemoteTask,
  onParentEnd: OnParentEnd,
});

/** A page of a list of runs. */
export const RunPage = page(RunSummary).extend({
  feedId: z
    .string()
    .nullable()
    .default(null)
    .describe(
      "The position of the workspace's stream from before the list was read. If the stream's event `open` has this id, nothing has changed since. Null on later pages.",
    ),
});
export type RunPage = z.infer<typeof RunPage>;

/** Filters of lists of runs. */
export const RunQuery = PageQuery.extend({
  state: severalOf(RunStateName).optional().describe("One state, or several separated by commas."),
  deployment: DeploymentName.optional(),
  stage: StageQuery,
  pool: Name.optional(),
  parent: Id.optional().describe("Only runs that this run started."),
  tag: Tags.element.optional(),
  cause: CauseName.optional(),
  from: Instant.optional().describe("Created at or after this time."),
  to: Instant.optional().describe("Created before this time."),
  text: z
    .string()
    .trim()
    .min(1)
    .max(64)
    .optional()
    .describe(
      "A part of the deployment's name, or of the run's name (three characters or more), or the run's id or its last eight characters.",
    ),
  order: z.enum(["oldest", "newest"]).default("newest").describe("The order by creation."),
});

/** Cancels a run. */
export const CancelRun = z.object({ reason: z.string().max(500).default("") });

/** A run without a worker is labelled late this long after its scheduled time, milliseconds. */
export const lateAfterMs: z.infer<typeof DurationMs> = 15_000;
