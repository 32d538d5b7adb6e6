import { z } from "zod";
import { AmountsByName } from "../compute/compute.ts";
import { CauseName, SignedSpec } from "../deployments/spec.ts";
import { answeredBy } from "../kernel/answered-by.ts";
import { LIMITS } from "../kernel/limits.ts";
import { DeploymentName, DurationMs, Id, Instant, JsonObject, JsonValue, Name } from "../kernel/names.ts";
import { GiveBack, TakeSlots } from "../limits/limits.ts";
import { ArtifactBody, LogLine } from "../logs/logs.ts";
import { REPORTED_NAMES_MAX, ReportedSecret, StoreMark, Wall } from "../pools/pools.ts";
import { CheckpointCursor } from "../runs/checkpoints.ts";
import { CalledJob, JobHandle } from "../runs/jobs/jobs.ts";
import {
  FailedBy,
  Kept,
  OnParentEnd,
  Ref,
  RunError,
  RunName,
  StartTask,
  TaskMove,
  TaskPath,
  Trigger,
} from "../runs/runs.ts";
import { AskedWait, WAIT_STATES } from "../runs/waits/waits.ts";
import { sealable, sealableText } from "../sealing/fields.ts";
import { StoredLines } from "../sealing/reads.ts";

/**
 * Versions of the worker protocol that this release speaks, oldest first. 2 lets a report ask for work: `Report.next`. 3 knows the
 * cause `collision`. 4 knows attempts that run only a hook: `Assignment.onlyHook`.
 */
export const WORKER_PROTOCOLS = [1, 2, 3, 4] as const;
/** The first version of the worker protocol in which a report may ask for work. */
export const NEXT_PROTOCOL = 2;
/** The first version of the worker protocol whose answers may have the cause `collision`. */
export const COLLISION_PROTOCOL = 3;
/** The first version of the worker protocol with attempts that run only a hook. Another worker would run the whole flow. */
export const ONLY_HOOK_PROTOCOL = 4;

/** Exchanges a worker key for a short session token bound to one pool. */
export const OpenSession = z.strictObject({
  workerId: Id.describe("The worker chooses it once and keeps it in its state directory."),
  name: z.string().min(1).max(128),
  pool: Name,
  poolType: z.literal("process"),
  capacity: z.int().min(1).max(LIMITS.attempts).describe("The number of attempts that it can run at once."),
  amounts: AmountsByName.optional().describe(
    "Its compute, declared or detected. Missing: it has none, and takes only runs without needs.",
  ),
  stores: z
    .record(Name, StoreMark)
    .optional()
    .describe(
      "The identity of each store that it uses, by name. `default` is the store of specs that name none.",
    ),
  secrets: z
    .array(ReportedSecret)
    .max(REPORTED_NAMES_MAX)
    .optional()
    .describe(
      "The secrets that have a value on it: names of its configuration, and variables `TOWPATH_SECRET_…`. Never a value.",
    ),
  workspaceKeys: z
    .array(z.string().regex(/^[0-9a-f]{16}$/))
    .max(REPORTED_NAMES_MAX)
    .optional()
    .describe("The ids of its workspace keys, the sealing one first. Missing: it has none."),
  reads: z
    .boolean()
    .optional()
    .describe("Whether it sends sealed files of its stores to readers. Missing: it does not."),
  registries: z
    .array(z.string().max(64))
    .max(REPORTED_NAMES_MAX)
    .optional()
    .describe("The names of the code registries in its configuration."),
  wall: Wall.optional().describe("Whether its runs have users of their own."),
  namespaces: z
    .boolean()
    .optional()
    .describe(
      "Whether each of its runs has namespaces of its own: it sees only its own processes and files.",
    ),
  stableName: z
    .boolean()
    .optional()
    .describe(
      "No two machines run workers of this name in this pool at the same time. If the worker is new, the machines of earlier workers of its name are gone.",
    ),
  version: z.string().max(64),
  protocols: z.array(z.int()).min(1).max(16).describe("The protocol versions that the worker supports."),
  process: Id.describe(
    "A random id of this start of the worker. It orders polls of this start after those of earlier starts.",
  ),
});
export type OpenSession = z.infer<typeof OpenSession>;

/** A token as a header can carry it: a client must not write anything else into one. */
const SessionToken = z.string().regex(/^[\x21-\x7e]{1,4096}$/);

/** A worker's session. */
export const Session = z.object({
  token: SessionToken,
  expiresInMs: DurationMs,
  protocol: z.int(),
  workspaceId: Id,
  poolId: Id,
  ...answeredBy,
  incarnation: Id.describe(
    "It changes when the database was restored. Then send again what was acknowledged in the last hour.",
  ),
  renewIntervalMs: DurationMs,
  sealed: z.boolean().optional().describe("Whether the workspace refuses plain values."),
  reads: z
    .boolean()
    .optional()
    .describe(
      "Whether the control plane passes stored bodies from workers to readers. Missing: an earlier release does not.",
    ),
});
export type Session = z.infer<typeof Session>;

/** The database counts claims in 32 bits. */
const EPOCH_MAX = 2 ** 31 - 1;

/** The answer to a worker that has stopped. */
export const SessionClosed = z.object({
  stopped: z
    .boolean()
    .describe(
      "False: it has started again since, or it still holds attempts. Then it counts as online until its polls are missing.",
    ),
});

/** The fence: which claim of which attempt is writing. */
export const Fence = z.object({
  attemptId: Id,
  epoch: z.int().min(1).max(EPOCH_MAX),
  nonce: z.string().min(16).max(64),
});
export type Fence = z.infer<typeof Fence>;

/** Whether two fences name the same claim of the same attempt. */
export function sameFence(one: Fence, other: Fence): boolean {
  return one.attemptId === other.attemptId && one.epoch === other.epoch && one.nonce === other.nonce;
}

const Fences = z.array(Fence).max(LIMITS.attempts);

/** What a worker says when it asks for work, however it asks. */
const asking = {
  free: z
    .int()
    .min(0)
    .max(LIMITS.attempts)
    .describe("The number of attempts that it can take. With 0 it only receives commands."),
  amounts: AmountsByName.optional().describe(
    "Its free amounts. Missing: all amounts of its session are free.",
  ),
  held: Fences.describe(
    "Every attempt that it holds, confirmed or not. A running attempt that is missing here is lost at once: see `heard`.",
  ),
  reconciled: Id.nullable()
    .optional()
    .describe(
      "The incarnation that has the worker's records of the last hour again. Null: the worker is still sending them. Until it is the current incarnation, an attempt that is missing in `held` is not lost. Only for a control plane whose answers have a `position`. Missing: a worker of an earlier release.",
    ),
  draining: z.boolean().default(false),
  paused: z
    .strictObject({
      forMs: DurationMs.describe("How much longer it pauses, from now."),
      reason: z.string().max(LIMITS.messageChars).describe("The last failure before user code."),
    })
    .optional()
    .describe(
      "It takes no work for a while, because attempts failed before their code ran. Missing: it takes work.",
    ),
  seq: z
    .int()
    .min(1)
    .describe(
      "The number of this poll since the worker's start. A poll that arrives after a later one is superseded.",
    ),
  heard: z
    .int()
    .min(0)
    .describe(
      "Each poll up to this one has its answer, and the assigned attempts are in `held`; or the worker has cancelled the poll and ignores its answer. Only attempts that these polls assigned are lost if they are missing in `held`.",
    ),
};

/** Asks for work by long-poll, and says what is held. A newer poll of the same worker supersedes an older one. */
export const Claim = z.strictObject({ ...asking, waitMs: DurationMs.max(LIMITS.claimWaitMs) });
export type Claim = z.input<typeof Claim>;

/**
 * A poll that comes with a report, from protocol 2 on, and is numbered among the others: it is looked for work once the records are
 * stored, and answered with them, without waiting for any.
 */
export const NextClaim = z.strictObject(asking);
export type NextClaim = z.input<typeof NextClaim>;

/** One attempt given to a worker. Redelivered with the same epoch and nonce until its start is confirmed. */
export const Assignment = Fence.extend({
  runId: Id,
  ordinal: z.int(),
  deployment: DeploymentName,
  version: z.int(),
  spec: SignedSpec,
  parameters: JsonObject,
  trigger: Trigger,
  scheduledAt: Instant,
  leaseMs: DurationMs.describe("Measured from the moment when the worker sent its request."),
  endsInMs: DurationMs.nullable()
    .default(null)
    .describe("The remaining time of the whole run. Null: no limit."),
  onlyHook: z
    .object({ reason: z.string().describe("Why the run was cancelled.") })
    .optional()
    .describe(
      "From protocol 4 on. The run was cancelled while it had no process: run only the flow's hook for a cancellation. Missing: run the flow.",
    ),
});
export type Assignment = z.infer<typeof Assignment>;

/** A state that the control plane wants, repeated in answers until the worker reflects it. */
export const Command = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("cancel"), attemptId: Id, reason: z.string() }),
  z.object({
    kind: z.literal("abandon"),
    attemptId: Id,
    reason: z
      .string()
      .describe("The attempt no longer belongs to this worker: stop its process and report nothing."),
  }),
  z.object({
    kind: z.literal("answers"),
    attemptId: Id,
    paths: z
      .array(TaskPath)
      .describe("Waits of the flow that have ended. The flow repeats the call of each to get its answer."),
  }),
]);
export type Command = z.infer<typeof Command>;

/** Work, and commands. */
export const Claimed = z.object({
  assignments: z.array(Assignment),
  commands: z.array(Command),
  superseded: z.boolean().describe("A newer poll of the same worker replaced this one."),
});
export type Claimed = z.infer<typeof Claimed>;

/** Renews all leases in one call, never queued behind reports. */
export const Renew = z.strictObject({ held: Fences });
export type Renew = z.infer<typeof Renew>;

/** One lease's answer, and the interval the server wants from now on. */
export const Renewed = z.object({
  leases: z.array(
    z.discriminatedUnion("status", [
      z.object({ attemptId: Id, status: z.literal("renewed"), leaseMs: DurationMs }),
      z.object({ attemptId: Id, status: z.literal("gone"), reason: z.string() }),
    ]),
  ),
  commands: z.array(Command),
  intervalMs: DurationMs,
});
export type Renewed = z.infer<typeof Renewed>;

const Seq = z.int().min(1);

/** The paths of the waits that a suspended flow has asked for and has no answer to: one of them brings it back. */
export const SuspendedOn = z.array(TaskPath).min(1).max(LIMITS.suspendedOn);

/** Stands for the waits that a suspension does not name, because they are too many for one record. */
export const MoreWaits = z
  .boolean()
  .describe("Of `suspended`: `waits` is incomplete, and every wait of the attempt can resume the run.");

/** Why an attempt was released, if the control plane may end its run instead. */
export const ReleaseCode = z.enum(["secret-missing"]);
export type ReleaseCode = z.infer<typeof ReleaseCode>;

/** What changes a run's state. Its lane has its own sequence, from 1, per attempt and epoch. */
export const ControlRecord = z.discriminatedUnion("type", [
  z.object({ seq: Seq, type: z.literal("started"), at: Instant, launcher: z.enum(["warm", "cold"]) }),
  z.object({
    seq: Seq,
    type: z.literal("released"),
    at: Instant,
    reason: z.string().max(LIMITS.messageChars),
    code: ReleaseCode.optional().describe(
      "`secret-missing`: a secret has no value on this worker. The run fails unless another online worker of the pool reports all its secrets.",
    ),
  }),
  TaskMove.extend({ seq: Seq, type: z.literal("task"), error: RunError.optional() }),
  Kept.extend({ seq: Seq, type: z.literal("kept") }),
  z.object({ seq: Seq, type: z.literal("run-name"), at: Instant, name: RunName }),
  z.object({
    seq: Seq,
    type: z.literal("stage"),
    at: Instant,
    stage: z.enum(["asked", "terminated", "killed"]).describe("How far a cancellation has gone."),
  }),
  z.object({
    seq: Seq,
    type: z.literal("ended"),
    at: Instant,
    outcome: z.enum(["completed", "failed", "cancelled", "refused", "suspended"]),
    cause: CauseName.nullable(),
    waits: SuspendedOn.optional(),
    moreWaits: MoreWaits.optional(),
    failedBy: FailedBy.optional(),
    error: RunError.optional(),
    result: Ref.optional(),
    cancelHook: z
      .boolean()
      .optional()
      .describe(
        "The flow has a hook for a cancellation. If the run is cancelled before its next attempt begins, an attempt runs only this hook. Missing: it has none.",
      ),
    exitCode: z.int().nullable(),
    lastBulkSeq: z.int().min(0).describe("Bulk records up to this one are accepted after the end."),
  }),
]);
export type ControlRecord = z.infer<typeof ControlRecord>;

/** What is only to be read. Its lane has its own sequence, from 1, per attempt and epoch. */
export const BulkRecord = z.discriminatedUnion("type", [
  z.object({
    seq: Seq,
    type: z.literal("log"),
    firstLine: z.int().min(0),
    lines: z.array(LogLine).min(1).max(LIMITS.logLines),
    stored: StoredLines.optional().describe(
      "Where the texts are, which are empty here. Missing: the texts are here.",
    ),
  }),
  z.object({
    seq: Seq,
    type: z.literal("artifact"),
    at: Instant,
    key: z.string().min(1).max(200),
    title: sealableText("title", { max: 200 }),
    task: TaskPath.nullable(),
    body: sealable("artifact", ArtifactBody),
  }),
  z.object({
    seq: Seq,
    type: z.literal("gap"),
    firstLine: z.int().min(0),
    lines: z.int().min(0).describe("The number of dropped log lines. A gap takes their numbers."),
    reason: z.string().max(500),
  }),
]);
export type BulkRecord = z.infer<typeof BulkRecord>;

/**
 * Records of many attempts. Single records are checked one by one on the server, so that a malformed one is answered
 * by itself and never blocks the rest: here they are only objects with a sequence number. The records of all attempts
 * together are at most `LIMITS.reportRecords`, the body `LIMITS.reportBytes`.
 */
export const Report = z.strictObject({
  attempts: z
    .array(
      Fence.extend({
        control: z.array(z.looseObject({ seq: Seq })).max(LIMITS.laneRecords),
        bulk: z.array(z.looseObject({ seq: Seq })).max(LIMITS.laneRecords),
        acked: z
          .strictObject({ control: z.int().min(0), bulk: z.int().min(0) })
          .optional()
          .describe(
            "Of an attempt whose records are sent again: the last sequences that the control plane acknowledged before. If they are above those in the answer, the database went back.",
          ),
        sentAt: Instant.optional().describe(
          "With an `ended`: when the report was sent, by the same clock as the record's `at`. The difference says how long ago the attempt ended, even if the clock is wrong.",
        ),
      }),
    )
    .max(LIMITS.attempts)
    .superRefine((attempts, context) => {
      const count = attempts.reduce((sum, { control, bulk }) => sum + control.length + bulk.length, 0);
      if (count <= LIMITS.reportRecords) return;
      const message = `have ${count} records; a report can have at most ${LIMITS.reportRecords}. Send the rest in another report`;
      context.addIssue({ code: "custom", message });
    }),
  next: NextClaim.optional().describe(
    "Asks for work together with the report, from protocol 2 on. Attempts that the report ends need not be in `held`.",
  ),
});
export type Report = z.infer<typeof Report>;

/** The answer to one record that was not simply accepted. */
export const Rejection = z.object({
  lane: z.enum(["control", "bulk"]),
  seq: z.int(),
  code: z.string(),
  detail: z.string(),
});
export type Rejection = z.infer<typeof Rejection>;

/** Per attempt: what is safe to forget, what was rejected, and the stored outcome if it has ended. */
export const Reported = z.object({
  attempts: z.array(
    z.object({
      attemptId: Id,
      status: z
        .enum(["accepted", "stale"])
        .describe(
          "`stale`: the fence is not the current one, and nothing was changed. Keep the records as a late report.",
        ),
      controlAcked: z
        .int()
        .describe(
          "All control records up to this sequence are stored, or rejected permanently. If it is lower than before, the database went back: send the records after it again.",
        ),
      bulkAcked: z.int(),
      rejected: z.array(Rejection),
      outcome: z.object({ state: z.string(), cause: CauseName.nullable() }).nullable(),
    }),
  ),
  commands: z.array(Command),
  next: Claimed.optional().describe("The answer to `next`. If it is missing, ask again with a poll."),
});
export type Reported = z.infer<typeof Reported>;

/** What a flow needs answered. Idempotent by `callId`, which derives from the call's path in the run. */
export const Call = z.strictObject({
  ...Fence.shape,
  callId: Id,
  call: z.discriminatedUnion("kind", [
    z.object({
      kind: z.literal("start-run"),
      path: TaskPath,
      deployment: DeploymentName,
      parameters: sealable("parameters", JsonObject),
      onParentEnd: OnParentEnd,
    }),
    StartTask.extend({ path: TaskPath }),
    z.object({ kind: z.literal("get-run"), runId: Id }),
    TakeSlots,
    GiveBack,
    z.object({ kind: z.literal("wait"), path: TaskPath, wait: AskedWait }),
    JobHandle,
  ]),
});
export type Call = z.infer<typeof Call>;

/** Asks for what earlier attempts of a run have left, page by page. */
export const ListCheckpoints = z.strictObject({ ...Fence.shape, after: CheckpointCursor });
export type ListCheckpoints = z.infer<typeof ListCheckpoints>;

/** A run that a flow has started or asked about, else the flow's own. */
export const CalledRun = z.object({
  runId: Id,
  state: z.string(),
  cause: CauseName.nullable(),
  result: Ref.nullable(),
  error: RunError.nullable().optional().describe("The error of a failed run."),
  granted: z.array(z.string()).optional().describe("For `take-slots`: the keys that have their slots now."),
  withoutSlots: z
    .array(z.string())
    .optional()
    .describe("For `take-slots`: those of `granted` that need no slots and hold none."),
});
export type CalledRun = z.infer<typeof CalledRun>;

/** How a wait stands that a flow has asked for. */
export const CalledWait = z.object({
  waitId: Id,
  state: z.enum(WAIT_STATES),
  inMs: DurationMs.nullable().describe("Of an open wait that time alone ends: the remaining time."),
  answer: JsonValue.describe("Of a satisfied wait: the answer, or the payload of the event. Otherwise null."),
  answeredBy: z.string().nullable(),
  run: CalledRun.nullable().describe("Of a wait for another run: that run."),
  job: CalledJob.optional().describe("Of a wait for an external job: that job. Its outcome is the answer."),
});
export type CalledWait = z.infer<typeof CalledWait>;

/** The answer to a call: a wait if it asked for one, else a run. */
export const Called = z.union([CalledWait, CalledRun]);
export type Called = z.infer<typeof Called>;
