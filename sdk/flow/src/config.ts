import { Name } from "@towpath/contract";
import { z } from "zod";
import type { Deployment } from "./deployments/deployment.ts";
import { checkOptions } from "./deployments/faults.ts";
import type { Registry } from "./deployments/registry.ts";
import { type Stage, StageSchema } from "./deployments/stage.ts";
import { InvalidDefinition } from "./problem.ts";

export {
  type AnyFlow,
  type CommandOptions,
  type Deployment,
  type DeploymentOptions,
  deployment,
  type SecretUse,
} from "./deployments/deployment.ts";
export {
  type GitRegistry,
  git,
  type OciLayoutRegistry,
  ociLayout,
  type PasswordSource,
  type Registry,
} from "./deployments/registry.ts";
export { type DeploymentSettings, settingsOf } from "./deployments/settings.ts";
export type { Stage } from "./deployments/stage.ts";
export { cron, every, rrule } from "./deployments/timing.ts";
export { parameterFromText } from "./input/arguments.ts";
export type { LimitUse } from "./limits/limit-use.ts";
export { InvalidDefinition } from "./problem.ts";
export { declaredCompute } from "./remote/declared.ts";
export { type FromSecret, fromSecret } from "./resources/settings.ts";
export { STAGE_FILE } from "./resources/stage-file.ts";

/** A project: its code, where it is pushed, and what is deployed of it. */
export interface ProjectConfig {
  /** Lower-case letters, digits, `-` and `_`, at most 63. Code is pushed under this name. */
  readonly project: string;
  /** The pool of deployments that name none. */
  readonly pool: string;
  readonly registry: Registry;
  /** The store of the runs' values, by its name in the workers' own configuration. @default the workers' default */
  readonly store?: string;
  /** Patterns of files that belong to the code beside the flows' bundles. @default all that git does not ignore */
  readonly files?: readonly string[];
  readonly deployments: readonly Deployment[];
  /** What differs between places where the project runs, by their names. @default none */
  readonly stages?: Readonly<Record<string, Stage>>;
}

const DEPLOYMENTS_MAX = 500;
const PATTERNS_MAX = 200;
const STAGES_MAX = 50;

const Password = z.union([
  z.strictObject({ env: z.string().min(1) }),
  z.strictObject({ file: z.string().min(1) }),
]);
const AnyRegistry = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("oci-layout"), name: Name, path: z.string().min(1) }),
  z.strictObject({
    kind: z.literal("git"),
    name: Name,
    url: z
      .string()
      .min(1)
      .refine((url) => !url.startsWith("-"), "must be a URL or path of a repository"),
    username: z.string().optional(),
    password: Password.optional(),
  }),
]);
const isDeployment = (value: unknown): value is Deployment =>
  typeof value === "object" && value !== null && "kind" in value && "options" in value;

const Config = z.strictObject({
  project: Name,
  pool: Name,
  registry: AnyRegistry,
  store: Name.optional(),
  files: z.array(z.string().min(1)).max(PATTERNS_MAX).optional(),
  deployments: z
    .array(z.custom<Deployment>(isDeployment, "wrap it in deployment(…)"))
    .min(1, "name at least one deployment")
    .max(DEPLOYMENTS_MAX),
  stages: z
    .record(Name, StageSchema)
    .refine((stages) => Object.keys(stages).length <= STAGES_MAX, `at most ${STAGES_MAX} stages`)
    .optional(),
});

/**
 * Describes a project: the default export of `towpath.config.ts`.
 * @throws InvalidDefinition naming every field that is wrong, with the one that was meant.
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
