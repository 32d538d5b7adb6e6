import { z } from "zod";
import { Compute } from "../compute/compute.ts";
import { CAUSE_NAMES, LAST_CAUSES } from "../kernel/causes.ts";
import { deploymentNameOf } from "../kernel/deployment-name.ts";
import { DEFAULTS, LIMITS } from "../kernel/limits.ts";
import {
  CodeVersion,
  DeploymentName,
  DurationMs,
  Id,
  Instant,
  JsonObject,
  Name,
  Tags,
} from "../kernel/names.ts";
import type { Fault } from "../kernel/problems.ts";
import { Concurrency, LimitUses } from "../limits/limits.ts";
import { SCHEDULES_MAX, ScheduleSettings } from "../schedules/schedules.ts";
import { sealable, sealableText } from "../sealing/fields.ts";
import { CodePath } from "./code-path.ts";
import { NodePackages } from "./node-packages.ts";
import { PythonCodecs, PythonEnvironment, PythonName } from "./python.ts";

/** A cause on the wire. */
export const CauseName = z.enum(CAUSE_NAMES);

/** The link to a commit: https, without a login. */
const CommitLink = z
  .url({ protocol: /^https$/ })
  .max(2048)
  .refine((text) => {
    // The check before this one reports an invalid address.
    if (!URL.canParse(text)) return true;
    const { username, password } = new URL(text);
    return username === "" && password === "";
  }, "must not contain a login");

const ManifestDigest = z.string().regex(/^sha256:[0-9a-f]{64}$/, "a sha256 digest of the image manifest");

const ArchiveDigest = z.string().regex(/^sha256:[0-9a-f]{64}$/, "a sha256 digest of the archive");

/**
 * Where a version's code is, pinned by digest. `registry` is a name that the worker's configuration maps to an address. So
 * the control plane learns no address but the optional `link`, and a worker runs code only from registries that it
 * allows.
 */
export const CodePin = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("oci-layout"), registry: Name, digest: ManifestDigest }),
  z.object({ kind: z.literal("oci"), registry: Name, digest: ManifestDigest }),
  z.object({ kind: z.literal("s3"), registry: Name, digest: ArchiveDigest }),
  z.object({ kind: z.literal("archive"), registry: Name, digest: ArchiveDigest }),
  z.object({
    kind: z.literal("npm"),
    registry: Name,
    version: z
      .string()
      .max(128)
      .regex(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/, "a version of the package"),
    digest: z.string().regex(/^sha512:[0-9a-f]{128}$/, "the sha512 digest of the tarball"),
  }),
  z.object({
    kind: z.literal("git"),
    registry: Name,
    digest: z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/, "a full commit id in lower-case hex"),
    link: CommitLink.optional().describe("The commit's web page, if the project allows links."),
  }),
]);
export type CodePin = z.infer<typeof CodePin>;

/** What to run: a flow exported by a module, a flow of a Python module, or a plain command in the code's folder. */
export const Entry = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("flow"),
    module: CodePath,
    export: z
      .string()
      .regex(/^[A-Za-z_$][\w$]*$/)
      .max(128),
    packages: NodePackages.optional().describe("Missing: the code is complete."),
  }),
  z.object({
    kind: z.literal("python"),
    module: CodePath.describe("The Python file, such as `flows/train.py`."),
    function: PythonName.describe("The flow's name at the top of its module."),
    environment: PythonEnvironment.optional().describe("Missing: the worker's default interpreter."),
    codecs: PythonCodecs.optional(),
  }),
  z.object({
    kind: z.literal("command"),
    argv: z
      .array(
        z
          .string()
          .max(4096)
          .refine((part) => !part.includes("\0"), "no NUL"),
      )
      .min(1)
      .max(64),
    environment: PythonEnvironment.optional().describe(
      "The environment whose interpreter is `python` and `python3` for the command. Missing: those of the worker.",
    ),
    packages: NodePackages.optional().describe(
      "The npm packages that the code finds, if the command is `node`. Missing: none.",
    ),
  }),
]);
export type Entry = z.infer<typeof Entry>;

/** Automatic retries of a run. Distinct from a task's own. */
export const RetryPolicy = z.object({
  limit: z.int().min(0).max(100).default(0).describe("Retries after the first attempt."),
  delayMs: DurationMs.default(10_000).describe("The delay before each retry."),
  causes: z
    .array(CauseName)
    .max(CAUSE_NAMES.length)
    .default(["error", "timeout", "oom", "killed"])
    .describe(
      "The causes that are retried. `lost` is not a default, because the process of a lost attempt may still work.",
    ),
});
export type RetryPolicy = z.infer<typeof RetryPolicy>;

/**
 * Finds faults in a policy that names causes which are never retried. Deploying and registering check this; reading does
 * not, so that a spec which was signed earlier stays readable. There the cause has no effect.
 */
export function retryFaults(policy: RetryPolicy): Fault[] {
  return policy.causes.flatMap((cause, index) =>
    LAST_CAUSES.includes(cause)
      ? [
          {
            path: `retry.causes.${index}`,
            message: `must not be "${cause}", because a run with this cause is never retried; leave it out`,
          },
        ]
      : [],
  );
}

/** What an attempt does while its worker cannot reach the control plane. */
export const ON_DISCONNECT = ["continue", "stop"] as const;

/** The version of the spec's format that this release writes. */
export const SPEC_FORMAT = 1;

/** The protected header type of a signed spec. */
export const SPEC_TYP = "towpath-spec+jws";

/**
 * What a deployment version runs: the payload of a compact JWS (RFC 7515, EdDSA), signed on the customer's side.
 * Workers execute only what came out of the verified payload. Everything not listed here is unsigned.
 */
export const Spec = z.strictObject({
  format: z.literal(SPEC_FORMAT),
  workspaceId: Id,
  deployment: Name.describe("Its name in the project, without the stage."),
  stage: Name.nullable()
    .default(null)
    .describe("The stage that it was deployed for. Part of its name: `churn@prod`. Null: without a stage."),
  version: z.int().min(1),
  floor: z
    .int()
    .min(1)
    .describe(
      "The oldest version that workers may still run. They remember the highest floor that they have seen.",
    ),
  issuedAt: Instant,
  expiresAt: Instant.nullable(),
  code: CodePin,
  reach: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional()
    .describe(
      "A hash of the code that the deployment may use. Only `towpath dev` sets it: a save that leaves it unchanged makes no version.",
    ),
  entry: Entry,
  env: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), sealableText("env", { max: 32_768 }))
    .default({}),
  secrets: z
    .array(
      z.object({
        name: Name,
        env: z
          .string()
          .regex(/^[A-Za-z_][A-Za-z0-9_]*$/)
          .nullable()
          .default(null),
      }),
    )
    .max(64)
    .default([])
    .describe(
      "Secrets that the worker reads from its own providers. `env` also sets an environment variable.",
    ),
  compute: Compute.prefault({}).describe("The compute that a worker needs to have free for a run."),
  pools: z.array(Name).min(1).max(16),
  store: Name.nullable()
    .default(null)
    .describe(
      "The store of its runs' values, by a name from the worker's configuration. Null: the worker's default store.",
    ),
  parameters: sealable("schema", JsonObject).describe("JSON Schema 2020-12 of the parameters object."),
  timeoutMs: DurationMs.nullable().default(null).describe("The time limit of one attempt."),
  runTimeoutMs: DurationMs.min(1_000)
    .nullable()
    .default(null)
    .describe(
      "The time limit of the whole run from its first start, including retries and suspensions. Then the run fails with cause `run-timeout`.",
    ),
  killGraceMs: DurationMs.max(3_600_000).default(DEFAULTS.killGraceMs),
  retry: RetryPolicy.prefault({}),
  onDisconnect: z.enum(ON_DISCONNECT).default("continue"),
  expireAfterMs: DurationMs.min(1_000)
    .nullable()
    .default(null)
    .describe(
      "A run that no worker starts within this time of its scheduled time fails with cause `expired`. Null: never.",
    ),
  lostAfterMs: DurationMs.nullable()
    .default(null)
    .describe(
      "The time from the end of the lease until the attempt is lost. Null: the default of `onDisconnect`.",
    ),
  schedules: z
    .array(ScheduleSettings)
    .max(SCHEDULES_MAX)
    .default([])
    .describe("Default schedules. They are created once; people may change them."),
  concurrency: Concurrency.nullable()
    .default(null)
    .describe("How many of its runs may run at once. A default that people may change. Null: no limit."),
  queue: Name.nullable().default(null).describe("The queue in its pool for runs that name none."),
  priority: z.int().min(-100).max(100).default(0).describe("The priority of runs that set none."),
  limits: LimitUses.default([]).describe("Named limits whose slots each of its runs takes."),
  tags: Tags.optional().describe("Tags that each of its runs has. Missing: none."),
  dueInput: z
    .boolean()
    .default(false)
    .describe(
      "The flow computes the parameters of scheduled runs itself, on the worker. They are not checked before.",
    ),
  tasks: z
    .record(z.string().min(1).max(200), CodeVersion)
    .refine((tasks) => Object.keys(tasks).length <= LIMITS.specTasks, `at most ${LIMITS.specTasks} tasks`)
    .default({})
    .describe(
      "The version of each task's code by the task's name. A kept result is valid while the version stays the same. Tasks that are not listed share one version with all of the code.",
    ),
  loadAhead: z
    .boolean()
    .default(true)
    .describe("Whether a worker may load its code ahead, in a process that waits for the next run."),
  mayStart: z
    .array(DeploymentName)
    .max(64)
    .default([])
    .describe(
      "Deployments whose runs this flow may start. `churn` allows `churn` in the flow's own stage and `churn` without a stage; `churn@prod` allows only that one.",
    ),
  remoteTasks: z
    .record(
      z.string().min(1).max(200),
      z.object({
        pools: z.array(Name).min(1).max(16),
        compute: Compute.prefault({}).describe("The compute that a worker needs to have free for the task."),
      }),
    )
    .refine((tasks) => Object.keys(tasks).length <= LIMITS.specTasks, `at most ${LIMITS.specTasks} tasks`)
    .default({})
    .describe(
      "Tasks that its runs may start in other pools, and the pools. Each becomes a run of this version.",
    ),
});
/** A spec with its defaults filled in. */
export type Spec = z.output<typeof Spec>;
/** A spec as a deployer writes it. */
export type SpecInput = z.input<typeof Spec>;

/** A remote task in the signed spec. Null if the spec does not allow it. */
export function remoteTaskIn(spec: Spec, task: string): Spec["remoteTasks"][string] | null {
  return Object.hasOwn(spec.remoteTasks, task) ? (spec.remoteTasks[task] ?? null) : null;
}

/**
 * The deployments that a flow may mean when it starts a run of `called`: the first that exists is started. A name without a
 * stage means the flow's own stage first, then the deployment without a stage.
 * @returns Names that the signed spec allows. Empty: it allows none.
 */
export function startableNames(
  { mayStart, stage }: Pick<Spec, "mayStart"> & { readonly stage?: string | null },
  called: string,
): string[] {
  const inOwnStage = (name: string) =>
    name.includes("@") ? [name] : [...new Set([deploymentNameOf({ deployment: name, stage }), name])];
  const allowed = new Set(mayStart.flatMap(inOwnStage));
  return inOwnStage(called).filter((name) => allowed.has(name));
}

/** The length of a code version, characters of the digest. */
const CODE_CHARS = 32;

/** The version of tasks that a spec does not list. Any change of the code changes it. */
export function codeVersionOf({ code }: Pick<Spec, "code">): string {
  return code.digest.replace(/^sha(256|512):/, "").slice(0, CODE_CHARS);
}

/** A signed spec on the wire: a compact JWS. */
export const SignedSpec = z
  .string()
  .max(LIMITS.specBytes)
  .regex(/^[\w-]+\.[\w-]+\.[\w-]+$/, "a compact JWS");

/** The time from the end of its lease until an attempt is lost, milliseconds. */
export function lostAfterMs(spec: Pick<Spec, "lostAfterMs" | "onDisconnect" | "killGraceMs">): number {
  if (spec.lostAfterMs !== null) return spec.lostAfterMs;
  return spec.onDisconnect === "stop" ? spec.killGraceMs : DEFAULTS.lostAfterMs;
}

/** How long before its end an expiry is shown at the earliest, milliseconds. */
const EXPIRES_SOON_MS = 30 * 24 * 3_600_000;
/** An expiry is shown in this last part of the time, if that is shorter. */
const EXPIRES_SOON_PART = 1 / 3;

/**
 * An expiry that has passed or comes soon. Null: it is far, or there is none.
 * @param spec.since When the version was signed or registered.
 */
export function expiryOf(
  spec: { readonly expiresAt?: string | null | undefined; readonly since: string },
  nowMs: number,
): { readonly isPast: boolean; readonly days: number } | null {
  const { expiresAt, since } = spec;
  if (expiresAt === null || expiresAt === undefined) return null;
  const [endMs, sinceMs] = [Date.parse(expiresAt), Date.parse(since)];
  const leftMs = endMs - nowMs;
  if (leftMs > Math.min(EXPIRES_SOON_MS, (endMs - sinceMs) * EXPIRES_SOON_PART)) return null;
  return { isPast: leftMs <= 0, days: Math.max(0, Math.ceil(leftMs / (24 * 3_600_000))) };
}
