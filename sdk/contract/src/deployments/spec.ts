import { z } from "zod";
import { Compute } from "../compute/compute.ts";
import { CAUSE_NAMES, LAST_CAUSES } from "../kernel/causes.ts";
import { DEFAULTS, LIMITS } from "../kernel/limits.ts";
import { CodeVersion, DurationMs, Id, Instant, JsonObject, Name } from "../kernel/names.ts";
import type { Fault } from "../kernel/problems.ts";
import { Concurrency, LimitUses } from "../limits/limits.ts";
import { SCHEDULES_MAX, ScheduleSettings } from "../schedules/schedules.ts";

/** A cause on the wire. */
export const CauseName = z.enum(CAUSE_NAMES);

/** Where people read a commit: over https, and with no login in it. */
const CommitLink = z
  .url({ protocol: /^https$/ })
  .max(2048)
  .refine((text) => {
    // What is no address at all is told by the check before this one.
    if (!URL.canParse(text)) return true;
    const { username, password } = new URL(text);
    return username === "" && password === "";
  }, "must hold no login");

/**
 * Where a version's code is, pinned by digest. `registry` is a name that the worker's own configuration maps to a
 * place, so that the control plane learns no address but the `link` that a project asks for, and a worker runs code from
 * the registries it allows.
 */
export const CodePin = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("oci-layout"),
    registry: Name,
    digest: z.string().regex(/^sha256:[0-9a-f]{64}$/, "a sha256 digest of the image manifest"),
  }),
  z.object({
    kind: z.literal("git"),
    registry: Name,
    digest: z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/, "a full commit id in lower-case hex"),
    link: CommitLink.optional().describe("Where people read it. Only of projects that ask for it."),
  }),
]);
export type CodePin = z.infer<typeof CodePin>;

const relativePath = z
  .string()
  .max(512)
  .refine(
    (path) => path !== "" && !path.startsWith("/") && !path.includes("\\") && !path.includes("\0"),
    "a relative path with /",
  )
  .refine((path) => !path.split("/").includes(".."), "must stay inside the code");

/** What to run: a flow exported by a module, or a plain command in the code's folder. */
export const Entry = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("flow"),
    module: relativePath,
    export: z
      .string()
      .regex(/^[A-Za-z_$][\w$]*$/)
      .max(128),
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
  }),
]);
export type Entry = z.infer<typeof Entry>;

/** Automatic retries of a run. Distinct from a task's own. */
export const RetryPolicy = z.object({
  limit: z.int().min(0).max(100).default(0).describe("Retries after the first attempt."),
  delayMs: DurationMs.default(10_000),
  causes: z.array(CauseName).max(CAUSE_NAMES.length).default(["error", "timeout", "oom", "killed"]),
});
export type RetryPolicy = z.infer<typeof RetryPolicy>;

/**
 * What is wrong with a policy that names causes after which nothing is retried. Deploying and registering ask; reading
 * does not, so that what was signed with such a policy stays readable: there the name does nothing.
 */
export function retryFaults(policy: RetryPolicy): Fault[] {
  return policy.causes.flatMap((cause, index) =>
    LAST_CAUSES.includes(cause)
      ? [
          {
            path: `retry.causes.${index}`,
            message: `must not be "${cause}": a run that ended so is over, and no policy retries it; leave it out`,
          },
        ]
      : [],
  );
}

/** What happens while the worker cannot reach the control plane. */
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
  deployment: Name,
  version: z.int().min(1),
  floor: z
    .int()
    .min(1)
    .describe("The oldest version that workers may still run; they remember the highest they saw."),
  issuedAt: Instant,
  expiresAt: Instant.nullable(),
  code: CodePin,
  entry: Entry,
  env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string().max(32_768)).default({}),
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
    .describe("Names that the worker resolves from its own providers; `env` also sets a variable."),
  compute: Compute.prefault({}).describe("What a worker must have free to be given its runs."),
  pools: z.array(Name).min(1).max(16),
  store: Name.nullable()
    .default(null)
    .describe(
      "The store of its runs' values, by a name that the worker's own configuration maps to a place. Null: the worker's default.",
    ),
  parameters: JsonObject.describe("JSON Schema 2020-12 of the parameters object."),
  timeoutMs: DurationMs.nullable().default(null).describe("Ceiling of one attempt's running time."),
  runTimeoutMs: DurationMs.min(1_000)
    .nullable()
    .default(null)
    .describe(
      "Ceiling of the run as a whole, from its first start: its attempts, what lies between them, and suspensions. It then fails with cause `run-timeout`, in whatever state it is.",
    ),
  killGraceMs: DurationMs.max(3_600_000).default(DEFAULTS.killGraceMs),
  retry: RetryPolicy.prefault({}),
  onDisconnect: z.enum(ON_DISCONNECT).default("continue"),
  expireAfterMs: DurationMs.min(1_000)
    .nullable()
    .default(null)
    .describe(
      "A run that no worker has started so long after it was due fails with cause `expired`. Null: never.",
    ),
  lostAfterMs: DurationMs.nullable()
    .default(null)
    .describe("From the end of the lease to lost. Null: the default of `onDisconnect`."),
  schedules: z
    .array(ScheduleSettings)
    .max(SCHEDULES_MAX)
    .default([])
    .describe("Defaults: they seed rows that people may change, and are not asked about again."),
  concurrency: Concurrency.nullable()
    .default(null)
    .describe("How many of its runs go at once: a default, which people may change. Null: any number."),
  queue: Name.nullable().default(null).describe("The queue of its pool for runs that name none: a default."),
  priority: z.int().min(-100).max(100).default(0).describe("Of runs that say none: a default."),
  limits: LimitUses.default([]).describe("Named limits of which each of its runs takes slots."),
  dueInput: z
    .boolean()
    .default(false)
    .describe(
      "The flow makes the parameters of scheduled runs itself, on the worker: nobody checks them before it does.",
    ),
  tasks: z
    .record(z.string().min(1).max(200), CodeVersion)
    .refine((tasks) => Object.keys(tasks).length <= LIMITS.specTasks, `at most ${LIMITS.specTasks} tasks`)
    .default({})
    .describe(
      "The version of each task's code by the task's name: a kept result holds while it stays the same. Tasks that are not named share one version with all of the code.",
    ),
  loadAhead: z
    .boolean()
    .default(true)
    .describe("Whether a worker may load its code in a process that waits for its next run."),
  mayStart: z.array(Name).max(64).default([]).describe("Deployments whose runs this flow may start."),
  remoteTasks: z
    .record(
      z.string().min(1).max(200),
      z.object({
        pools: z.array(Name).min(1).max(16),
        compute: Compute.prefault({}).describe("What a worker must have free to be given the task."),
      }),
    )
    .refine((tasks) => Object.keys(tasks).length <= LIMITS.specTasks, `at most ${LIMITS.specTasks} tasks`)
    .default({})
    .describe("Tasks that its runs may start in other pools, as runs of this version, and in which."),
});
/** A spec with its defaults filled in. */
export type Spec = z.output<typeof Spec>;
/** A spec as a deployer writes it. */
export type SpecInput = z.input<typeof Spec>;

/** What the signed spec says of a task that its runs may start in other pools; null if it does not let them. */
export function remoteTaskIn(spec: Spec, task: string): Spec["remoteTasks"][string] | null {
  return Object.hasOwn(spec.remoteTasks, task) ? (spec.remoteTasks[task] ?? null) : null;
}

/** Of the digest of the code, so much tells its versions apart. */
const CODE_CHARS = 32;

/** The version of tasks that a spec does not name: any change of the code is one. */
export function codeVersionOf({ code }: Pick<Spec, "code">): string {
  return code.digest.replace(/^sha256:/, "").slice(0, CODE_CHARS);
}

/** A signed spec on the wire: a compact JWS. */
export const SignedSpec = z
  .string()
  .max(LIMITS.specBytes)
  .regex(/^[\w-]+\.[\w-]+\.[\w-]+$/, "a compact JWS");

/** How long after its lease ends an attempt of this spec is lost, in milliseconds. */
export function lostAfterMs(spec: Pick<Spec, "lostAfterMs" | "onDisconnect" | "killGraceMs">): number {
  if (spec.lostAfterMs !== null) return spec.lostAfterMs;
  return spec.onDisconnect === "stop" ? spec.killGraceMs : DEFAULTS.lostAfterMs;
}
