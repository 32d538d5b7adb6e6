import { RUN_FLOW } from "@towpath/contract";
import { z } from "zod";

/** A schema of parameters by the Standard Schema convention, as far as the CLI looks at it. */
const InputSchema = z
  .custom<StandardInput>((value) => isObject(value) && isObject(Reflect.get(value, "~standard")), "a schema")
  .nullish();

/** What of a Standard Schema tells the JSON Schema of what callers pass. */
export interface StandardInput {
  readonly "~standard": {
    readonly vendor: string;
    readonly jsonSchema?: { input(options: { target: string }): Record<string, unknown> };
  };
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

/** A flow as the SDK declares it. */
export interface DeclaredFlow {
  readonly name: string;
  readonly input?: StandardInput | null;
  readonly definedAt?: { readonly file: string } | null;
}

const FlowShape = z.custom<DeclaredFlow>(
  (value) => isObject(value) && typeof Reflect.get(value, RUN_FLOW) === "function",
  "a flow, as `flow({ … })` makes it",
);

const SecretUse = z.union([z.string(), z.object({ name: z.string(), env: z.string() })]);

/** What both kinds of deployment may say. The spec's schema judges the values; here only the shape matters. */
const options = {
  pools: z.array(z.string()).optional(),
  env: z.record(z.string(), z.string()).optional(),
  secrets: z.array(SecretUse).optional(),
  retry: z.record(z.string(), z.unknown()).optional(),
  timeoutMs: z.number().nullish(),
  killGraceMs: z.number().optional(),
  onDisconnect: z.string().optional(),
  lostAfterMs: z.number().nullish(),
  mayStart: z.array(z.string()).optional(),
  compute: z.record(z.string(), z.unknown()).optional(),
  floor: z.number().optional(),
};

const DeploymentShape = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("flow"), name: z.string(), flow: FlowShape, options: z.object(options) }),
  z.object({
    kind: z.literal("command"),
    name: z.string(),
    options: z.object({
      ...options,
      command: z.array(z.string()).min(1),
      input: InputSchema,
      files: z.array(z.string()).optional(),
    }),
  }),
]);

const Password = z.union([z.object({ env: z.string() }), z.object({ file: z.string() })]);

const RegistryShape = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("oci-layout"), name: z.string(), path: z.string() }),
  z.object({
    kind: z.literal("git"),
    name: z.string(),
    /** An address, or the name of a remote of the project's own repository. */
    url: z.string().optional(),
    remote: z.string().optional(),
    username: z.string().optional(),
    password: Password.optional(),
  }),
]);

/** What `defineConfig` of the SDK answers, as the CLI reads it. */
export const ConfigShape = z.object({
  project: z
    .string()
    .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, "use lower-case letters, digits, - and _, at most 63"),
  pool: z.string().default("local"),
  registry: RegistryShape.optional(),
  files: z.array(z.string()).optional(),
  deployments: z.array(DeploymentShape).min(1, "name at least one deployment").max(200),
});
export type ConfigShape = z.output<typeof ConfigShape>;

/** One deployment of the configuration. */
export type DeclaredDeployment = ConfigShape["deployments"][number];
