import { z } from "zod";
import { CauseName } from "../deployments/spec.ts";
import { LIMITS } from "../kernel/limits.ts";
import { CodeVersion, DeploymentName, Id, Instant, JsonObject, Name } from "../kernel/names.ts";
import { GiveBack, TakeSlots } from "../limits/limits.ts";
import { LOG_LEVELS, PlainBody } from "../logs/logs.ts";
import { JobHandle } from "../runs/jobs/jobs.ts";
import {
  FailedBy,
  Kept,
  OnParentEnd,
  Ref,
  RemoteTask,
  RunName,
  StartTask,
  TaskMove,
  TaskPath,
} from "../runs/runs.ts";
import { AskedWait } from "../runs/waits/waits.ts";
import { MoreWaits, SuspendedOn } from "../worker/protocol.ts";

/** `GET /context`: all that a flow needs to know. Secrets are named in the signed spec and resolved by the worker. */
export const Context = z.object({
  runId: Id,
  attemptId: Id,
  attempt: z.int().describe("The ordinal of the attempt, from 1."),
  workspaceId: Id,
  deployment: DeploymentName,
  version: z.int(),
  parameters: JsonObject,
  scheduledAt: Instant,
  controlPlane: z
    .string()
    .optional()
    .describe(
      "The address of the control plane in the worker's configuration. Backends send their callbacks to it.",
    ),
  due: z
    .object({
      schedule: Name,
      at: Instant,
      intervalStart: Instant.describe("The previous due time. The data interval is from here to `at`."),
    })
    .nullable()
    .describe("The due time of the schedule or backfill that started the run."),
  secrets: z.record(z.string(), z.string()),
  store: z.object({
    root: z.string().describe("The customer's store: a folder as a file: URL, or s3://bucket/prefix."),
    s3: z
      .object({
        endpoint: z.string().nullable().describe("The address of a store outside of AWS."),
        region: z.string(),
        accessKeyId: z.string(),
        secretAccessKey: z.string(),
        sessionToken: z.string().nullable(),
      })
      .optional()
      .describe("The access to a bucket, from the worker's configuration."),
    pickleKeys: z
      .array(z.string())
      .optional()
      .describe(
        "Keys of this deployment that prove who wrote a pickled value: derived from the worker's store keys, in base64url. The first one signs. Missing: the signed spec does not allow pickle. Empty: the worker has no store key.",
      ),
    hashKeys: z
      .array(z.string())
      .optional()
      .describe(
        "Keys of this workspace for the hashes of inputs, contents and names: 32 bytes each, derived from the store keys, in base64url. The first one hashes in this run and its reruns. Values of the others are still found and read. Missing: a worker of an earlier release; hashes have no key.",
      ),
    roundSizes: z
      .boolean()
      .optional()
      .describe("Whether the flow pads what it stores, so that few sizes exist."),
  }),
  resume: z
    .object({
      origin: Id.describe("The first run of a chain of reruns. Random numbers and ids derive from it."),
      earlier: z.boolean().describe("Whether `GET /checkpoints` may return results."),
      codeVersions: z.record(z.string(), CodeVersion).describe("By task name, from the signed spec."),
      code: CodeVersion.describe(
        "The version of every task without an entry. It changes with every change of the code.",
      ),
    })
    .describe("The state from which a later attempt continues."),
  task: RemoteTask.omit({ retries: true })
    .nullable()
    .describe(
      "The task that this run executes for another run, and its arguments. Null: the run executes the whole flow.",
    ),
  artifactBytes: z
    .int()
    .optional()
    .describe(
      `The largest body of an artifact, bytes of JSON. A table above ${LIMITS.artifactBytes} bytes or ${LIMITS.inlineRows} rows goes into the store, and is allowed only if this is more than ${LIMITS.artifactBytes}. Missing: ${LIMITS.artifactBytes}.`,
    ),
  acked: z
    .int()
    .describe(
      "The highest record sequence that the gateway has. A process that reconnects continues after it.",
    ),
});
export type Context = z.infer<typeof Context>;

const Seq = z.int().min(1);

/** An error as a flow tells it. Longer than what may leave: the worker takes secrets out before it cuts to `RunError`. */
const FlowError = z.object({
  name: z.string().default("Error"),
  message: z.string(),
  stack: z.string().optional(),
});

/** Bytes that the process had printed when it logged a line: the sizes of its output files. The worker numbers that output first. */
export const Printed = z.object({ stdout: z.int().min(0), stderr: z.int().min(0) });
export type Printed = z.infer<typeof Printed>;

/** Why a flow failed, as far as it can tell by itself; unless it says so: `error`. */
export const FlowCause = z.enum(["error", "timeout"]);

/** `POST /records`: one line of NDJSON each, sequenced from 1 per attempt. Repeats are ignored. */
export const FlowRecord = z.discriminatedUnion("type", [
  z.object({
    seq: Seq,
    type: z.literal("log"),
    at: Instant,
    level: z.enum(LOG_LEVELS),
    text: z.string(),
    task: TaskPath.optional(),
    printed: Printed.optional(),
  }),
  TaskMove.extend({ seq: Seq, type: z.literal("task"), error: FlowError.optional() }),
  Kept.extend({ seq: Seq, type: z.literal("kept") }),
  z.object({ seq: Seq, type: z.literal("run-name"), at: Instant, name: RunName }),
  z.object({
    seq: Seq,
    type: z.literal("artifact"),
    at: Instant,
    key: z.string().min(1).max(200),
    title: z.string().max(200).default(""),
    task: TaskPath.nullable().default(null),
    body: PlainBody,
  }),
  z.object({
    seq: Seq,
    type: z.literal("outcome"),
    at: Instant,
    outcome: z.enum(["completed", "failed", "cancelled", "suspended"]),
    waits: SuspendedOn.optional().describe(
      `Of \`suspended\`: the paths of its waits, at most ${LIMITS.suspendedOn} paths and ${LIMITS.suspendedOnChars} characters. \`moreWaits\` says that there are more.`,
    ),
    moreWaits: MoreWaits.optional(),
    cause: FlowCause.optional(),
    failedBy: FailedBy.optional(),
    error: FlowError.optional(),
    result: Ref.optional(),
  }),
]);
export type FlowRecord = z.infer<typeof FlowRecord>;
/** A record as a flow process writes it. */
export type FlowRecordInput = z.input<typeof FlowRecord>;

/** Answer to `POST /records`: everything up to `acked` is in the worker's journal. */
export const RecordsAnswer = z.object({
  acked: z.int(),
  rejected: z.array(z.object({ seq: z.int(), detail: z.string() })),
});
export type RecordsAnswer = z.infer<typeof RecordsAnswer>;

/** `GET /stored?seq=N&waitMs=M`: whether the control plane has acknowledged every record up to `seq`, once it has. */
export const StoredAnswer = z.object({ stored: z.boolean() });
export type StoredAnswer = z.infer<typeof StoredAnswer>;

/** `GET /commands?revision=N&waitMs=M`: the desired state, once it is newer than `revision`. */
export const FlowCommands = z.object({
  revision: z.int(),
  cancel: z
    .object({
      reason: z.string(),
      cause: CauseName.optional().describe(
        "Why the attempt is stopped. `user` or missing: somebody cancelled the run.",
      ),
    })
    .nullable(),
  answers: z.array(TaskPath).describe("Calls of kind `wait` that have ended. Repeat each to get its answer."),
});
export type FlowCommands = z.infer<typeof FlowCommands>;

/** `POST /calls`: forwarded to the control plane by the worker. */
export const FlowCall = z.strictObject({
  path: TaskPath.describe("The position of the call in the flow. The call's id derives from it."),
  call: z.discriminatedUnion("kind", [
    z.object({
      kind: z.literal("start-run"),
      deployment: DeploymentName,
      parameters: JsonObject,
      onParentEnd: OnParentEnd,
    }),
    StartTask,
    z.object({ kind: z.literal("get-run"), runId: Id }),
    TakeSlots,
    GiveBack,
    z.object({ kind: z.literal("wait"), wait: AskedWait }),
    JobHandle,
  ]),
});
export type FlowCall = z.infer<typeof FlowCall>;
