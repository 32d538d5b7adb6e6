import {
  BucketAddress,
  CodeAddress,
  CodePath,
  Name,
  NpmName,
  NpmPackageName,
  OciAddress,
  parseDuration,
  type TimingInput,
} from "@towpath/contract";
import { z } from "zod";
import { checkOptions, type Deployment } from "./deployments/deployment.ts";
import type { Registry } from "./deployments/registry.ts";
import { InvalidDefinition } from "./problem.ts";
import type { StageSettings } from "./resources/stage-settings.ts";

export { computeOf } from "./compute/compute.ts";
export {
  type AnyFlow,
  type CommandOptions,
  type Deployment,
  type DeploymentOptions,
  type DeploymentSettings,
  type DescribedFlow,
  deployment,
  deploymentOptionNames,
  type PythonFlowOptions,
  pythonFlow,
  type SecretUse,
  settingsOf,
} from "./deployments/deployment.ts";
export {
  type ArchiveRegistry,
  archive,
  type GitRegistry,
  git,
  type NpmRegistry,
  npm,
  type OciLayoutRegistry,
  type OciRegistry,
  oci,
  ociLayout,
  type PasswordCommand,
  type PasswordSource,
  type Registry,
  type S3Registry,
  s3,
} from "./deployments/registry.ts";
export { InvalidDefinition } from "./problem.ts";
export { declaredCompute, declaredLimits } from "./remote/declared.ts";
export { resourceSecrets } from "./resources/declared.ts";
export { type FromSecret, fromSecret } from "./resources/settings.ts";
export { STAGE_FILE } from "./resources/stage-file.ts";
export { type StageSettings, stageFaults } from "./resources/stage-settings.ts";
export type { LimitUse } from "./task/options.ts";

/**
 * A cron expression: five fields (minute, hour, day of month, month, day of week), or six with seconds first.
 * @param zone The time zone, such as `Europe/Berlin`. @default "UTC"
 * @example schedules: [{ name: "nightly", timing: cron("0 3 * * *", "Europe/Berlin") }]
 */
export function cron(expression: string, zone = "UTC"): TimingInput {
  return { kind: "cron", cron: expression, zone };
}

/**
 * An interval.
 * @param time Such as `"15m"` or `"1h30m"`.
 * @param anchor A time (ISO 8601, UTC) at which it is due. @default 1970-01-01, which aligns hours
 * @throws InvalidDefinition if `time` is not a duration.
 */
export function every(time: string, anchor?: string): TimingInput {
  const everyMs = parseDuration(time);
  if (everyMs === null)
    throw new InvalidDefinition(`every("${time}"): write a duration like 90s, 15m, 1h30m or 7d.`);
  return { kind: "interval", everyMs, ...(anchor !== undefined && { anchor }) };
}

/**
 * A recurrence rule of RFC 5545.
 * @param options.start The first due time in the zone: `2026-01-30T09:00`.
 * @example rrule("FREQ=MONTHLY;BYDAY=-1FR", { start: "2026-01-30T09:00", zone: "Europe/Berlin" })
 */
export function rrule(rule: string, options: { start: string; zone?: string }): TimingInput {
  return { kind: "rrule", rrule: rule, start: options.start, zone: options.zone ?? "UTC" };
}

/**
 * A stage, such as dev or prod: `towpath deploy --stage prod`. It is part of the names of its deployments, such as
 * `churn@prod`. Every project has the stage `dev`, for `towpath dev`.
 */
export interface Stage {
  /** The pool of deployments that name none. @default the project's pool */
  readonly pool?: string | undefined;
  /** The store of the runs' values, by its name in the workers' own configuration. @default the project's store */
  readonly store?: string | undefined;
  /** The stage's pool for each pool that the code names: `{ gpu: "local" }`. @default the pools of the code */
  readonly pools?: Readonly<Record<string, string>> | undefined;
  /** Environment variables of every deployment. They override its own. Not for secrets. @default none */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /**
   * Settings of resources: `[warehouse.settings({ url: "…" })]`. They override those in the code, field by field, and may
   * come from secrets. They are pushed with the code and never reach the control plane. @default those in the code
   */
  readonly resources?: readonly StageSettings[] | undefined;
}

/** The schema of a stage. */
export const StageSchema = z.strictObject({
  pool: Name.optional(),
  store: Name.optional(),
  pools: z.record(Name, Name).optional(),
  env: z.record(z.string(), z.string()).optional(),
  resources: z
    .array(z.strictObject({ resource: z.string(), settings: z.json() }), {
      error: "list the settings of resources: [warehouse.settings({ … })]",
    })
    .refine(
      (all) => new Set(all.map(({ resource }) => resource)).size === all.length,
      "has settings for the same resource twice",
    )
    .optional(),
});

/** A project: its code, its code registry and its deployments. */
export interface ProjectConfig {
  /** Lower-case letters, digits, `-` and `_`, at most 63. Code is pushed under this name. */
  readonly project: string;
  /** The pool of deployments that name none. */
  readonly pool: string;
  /** Where `towpath deploy` pushes the code: `oci(…)`, `s3(…)`, `archive(…)`, `npm(…)`, `git(…)` or `ociLayout(…)`. */
  readonly registry: Registry;
  /** The store of the runs' values, by its name in the workers' own configuration. @default the workers' default */
  readonly store?: string;
  /** Patterns of files to push with the flows' bundles. @default all that git does not ignore */
  readonly files?: readonly string[];
  /** What to register: `[deployment(flow, { … })]`, or `pythonFlow({ … })` for a flow in Python. */
  readonly deployments: readonly Deployment[];
  /** The stages of the project by name. @default none */
  readonly stages?: Readonly<Record<string, Stage>>;
  /**
   * The most versions that `floor` may stay behind the new one, 0 to 10 000. If a run that has not ended needs an older
   * one, a deploy is refused. @default 100
   */
  readonly floorLag?: number;
  /**
   * The days after which workers refuse a signed version, 1 to 3650; null or 0: never. `towpath deploy --renew` signs a
   * version again before that. Not for `towpath dev`. @default 90
   */
  readonly expiresInDays?: number | null;
  /** The lock of its Python flows and Python commands. Workers build its environment. @default the worker's interpreter */
  readonly environment?: LockOptions;
  /** Packages that workers install with npm, because a bundle cannot contain them. @default none: all is bundled */
  readonly npm?: NpmOptions;
}

/** The npm packages that workers install. */
export interface NpmOptions {
  /** Packages that bundles leave out, such as `@duckdb/node-api`. Their versions come from `package-lock.json`. */
  readonly packages: readonly string[];
  /** Packages whose install scripts may run on workers, among `packages` and what they need. @default none */
  readonly scripts?: readonly string[] | undefined;
}

/** The lock of a project's Python packages. */
export interface LockOptions {
  /** `uv.lock`, `pylock.toml`, or a requirements file with hashes, relative to the project. */
  readonly lock: string;
  /** The version of Python, such as `3.12`. @default that of the project's Python */
  readonly python?: string | undefined;
  /** Package indexes, by their names in the workers' configuration. @default the index `default` */
  readonly indexes?: readonly string[] | undefined;
  /** Packages that a worker may build from a source archive. Their build tools must be in the lock. @default none */
  readonly build?: readonly string[] | undefined;
}

const DEPLOYMENTS_MAX = 500;
const PATTERNS_MAX = 200;
const STAGES_MAX = 50;

const Password = z.union([
  z.strictObject({ env: z.string().min(1) }),
  z.strictObject({ file: z.string().min(1) }),
  z.strictObject({
    exec: z.strictObject({
      command: z.array(z.string().min(1).max(4_096)).min(1).max(64),
      timeoutMs: z.int().min(100).max(600_000).optional(),
    }),
  }),
]);
const ArchiveDigest = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/, "sha256: and the 64 lower-case hex digits that `sha256sum ARCHIVE` prints");
const AnyRegistry = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("oci-layout"), name: Name, path: z.string().min(1) }),
  z.strictObject({
    kind: z.literal("oci"),
    name: Name,
    url: OciAddress,
    username: z.string().min(1).optional(),
    password: Password.optional(),
    tokenUrl: CodeAddress.optional(),
  }),
  z.strictObject({
    kind: z.literal("s3"),
    name: Name,
    url: BucketAddress,
    endpoint: CodeAddress.optional(),
    region: z.string().min(1).optional(),
    accessKeyId: Password.optional(),
    secretAccessKey: Password.optional(),
    sessionToken: Password.optional(),
    digest: ArchiveDigest.optional(),
  }),
  z.strictObject({
    kind: z.literal("archive"),
    name: Name,
    url: CodeAddress,
    username: z.string().min(1).optional(),
    password: Password.optional(),
    token: Password.optional(),
    push: z.boolean().optional(),
    digest: ArchiveDigest.optional(),
  }),
  z.strictObject({
    kind: z.literal("npm"),
    name: Name,
    url: CodeAddress,
    package: NpmPackageName,
    token: Password.optional(),
    username: z.string().min(1).optional(),
    password: Password.optional(),
  }),
  z.strictObject({
    kind: z.literal("git"),
    name: Name,
    url: z
      .string()
      .min(1)
      .refine((url) => !url.startsWith("-"), "must be a URL or path of a repository"),
    username: z.string().optional(),
    password: Password.optional(),
    link: z.union([z.boolean(), z.string().min(1)]).optional(),
  }),
]);
const isDeployment = (value: unknown): value is Deployment =>
  typeof value === "object" && value !== null && "kind" in value && "options" in value;

/** Flows run with the engine and the schemas that the deploy checked. */
const BundledOut = NpmName.refine(
  (name) => name !== "towpath" && name !== "zod",
  "is always part of the bundle; leave it out",
);

const Lock = z.strictObject({
  lock: CodePath,
  python: z
    .string()
    .regex(/^3\.\d{1,2}$/, "a Python version such as 3.12")
    .optional(),
  indexes: z.array(Name).max(8).optional(),
  build: z.array(z.string().min(1).max(128)).max(64).optional(),
});

const Config = z.strictObject({
  project: Name,
  pool: Name,
  registry: AnyRegistry,
  store: Name.optional(),
  files: z.array(z.string().min(1)).max(PATTERNS_MAX).optional(),
  deployments: z
    .array(z.custom<Deployment>(isDeployment, "wrap it in deployment(…) or pythonFlow(…)"))
    .min(1, "name at least one deployment")
    .max(DEPLOYMENTS_MAX),
  stages: z
    .record(Name, StageSchema)
    .refine((stages) => Object.keys(stages).length <= STAGES_MAX, `at most ${STAGES_MAX} stages`)
    .optional(),
  floorLag: z.int().min(0).max(10_000).optional(),
  expiresInDays: z.int().min(0).max(3650).nullable().optional(),
  environment: Lock.optional(),
  npm: z
    .strictObject({
      packages: z.array(BundledOut).min(1).max(64),
      scripts: z.array(NpmName).max(64).optional(),
    })
    .optional(),
});

/**
 * Describes a project: the default export of `towpath.config.ts`.
 * @throws InvalidDefinition naming every invalid field, and the closest valid name.
 */
export function defineConfig(config: ProjectConfig): ProjectConfig {
  checkOptions("towpath.config.ts", Config, config);
  const names = config.deployments.map(({ options }) => options.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new InvalidDefinition(
      `towpath.config.ts has two deployments called "${twice}"; give one of them another name: deployment(flow, { name: "…" }).`,
    );
  return config;
}
