import {
  CodePath,
  JsonObject,
  LIMIT_USES_MAX,
  LimitUse as LimitUseShape,
  Name,
  PythonCodecs,
  PythonEnvironment,
  PythonName,
  type ScheduleSettingsInput,
  Spec,
  type SpecInput,
} from "@towpath/contract";
import { closest, RUN_FLOW } from "@towpath/contract/words";
import { z } from "zod";
import { type ComputeUse, computeOf } from "../compute/compute.ts";
import type { Flow } from "../flow.ts";
import { jsonSchemaOf } from "../input/json-schema.ts";
import type { StandardSchema } from "../input/standard-schema.ts";
import { InvalidDefinition } from "../problem.ts";
import type { LimitUse } from "../task/options.ts";

/** Unknown fields, each with the closest known one. */
function unknownFields(keys: readonly string[], known: readonly string[]): string[] {
  return keys.map((key) => {
    const near = closest(key, known);
    const advice = near === null ? `known: ${known.join(", ")}` : `did you mean "${near}"?`;
    return `\n  unknown option "${key}"; ${advice}`;
  });
}

function linesOf(issue: z.core.$ZodIssue, known: readonly string[]): string[] {
  if (issue.code === "unrecognized_keys" && issue.path.length === 0) return unknownFields(issue.keys, known);
  return [`\n  ${issue.path.join(".") || "it"}: ${issue.message}`];
}

/**
 * Validates options with a schema.
 * @throws InvalidDefinition naming the owner and every invalid field.
 */
export function checkOptions<Schema extends z.ZodObject>(
  owner: string,
  schema: Schema,
  options: unknown,
): z.output<Schema> {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const known = Object.keys(schema.shape);
  const lines = parsed.error.issues.flatMap((issue) => linesOf(issue, known));
  throw new InvalidDefinition(`${owner} is not valid:${lines.join("")}`);
}

/** The fields of a signed spec that a project decides. Deploying adds code, entry, version and workspace. */
export type DeploymentSettings = Omit<
  SpecInput,
  | "format"
  | "workspaceId"
  | "version"
  | "issuedAt"
  | "code"
  | "entry"
  | "tasks"
  | "remoteTasks"
  | "floor"
  | "expiresAt"
> & {
  /** Missing: a deploy chooses it by the runs that have not ended. */
  readonly floor?: number | undefined;
  /** Missing: the project's `expiresInDays` after the signature. Null: never. */
  readonly expiresAt?: string | null | undefined;
};

function secretOf(use: SecretUse): { name: string; env: string | null } {
  return typeof use === "string" ? { name: use, env: null } : { name: use.name, env: use.env ?? null };
}

function limitOf(use: LimitUse): { name: string; slots: number } {
  return typeof use === "string" ? { name: use, slots: 1 } : { name: use.name, slots: use.slots ?? 1 };
}

/** What a Python flow says of itself. */
export interface DescribedFlow {
  /** The JSON Schema of its parameters. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly dueInput: boolean;
  /** What its function says that runs need. Null: nothing. */
  readonly compute: ComputeUse | null;
}

async function parametersOf(deployment: Deployment, owner: string, flow: DescribedFlow | undefined) {
  if (deployment.kind !== "python") return await jsonSchemaOf(deployment.input, owner);
  const parameters = deployment.parameters ?? flow?.parameters;
  if (parameters === undefined)
    throw new InvalidDefinition(`${owner}: its parameters are neither declared nor read from the flow.`);
  return parameters;
}

/** Whether a flow computes the parameters of scheduled runs itself. */
function dueInputOf(deployment: Deployment, flow: DescribedFlow | undefined): boolean {
  if (deployment.kind === "python") return flow?.dueInput ?? deployment.dueInput;
  return deployment.kind === "flow" && deployment.flow.dueInput !== null;
}

/**
 * The project's part of a deployment's spec, including the JSON Schema of its parameters.
 * @param project.flow What a Python flow says of itself. Missing: it was not imported.
 * @throws InvalidDefinition if the schema's library offers no JSON Schema, or a Python flow has none.
 */
export async function settingsOf(
  deployment: Deployment,
  project: {
    readonly pool: string;
    readonly store?: string | undefined;
    readonly flow?: DescribedFlow | undefined;
  },
): Promise<DeploymentSettings> {
  const { name, pools, secrets, limits, ...rest } = deployment.options;
  const owner = `deployment "${name}"`;
  const parameters = JsonObject.safeParse(await parametersOf(deployment, owner, project.flow));
  const compute = project.flow?.compute ?? null;
  if (!parameters.success)
    throw new InvalidDefinition(`${owner}: its input has a default that JSON cannot store.`);
  return {
    ...(compute !== null && { compute: computeOf(owner, compute) }),
    ...rest,
    deployment: name,
    pools: pools ?? [project.pool],
    store: project.store ?? null,
    secrets: secrets.map(secretOf),
    limits: limits.map(limitOf),
    parameters: parameters.data,
    dueInput: dueInputOf(deployment, project.flow),
  };
}

/** Any flow, with the fields that deploying needs. */
export type AnyFlow = Pick<Flow, "name" | "input" | "definedAt" | "dueInput" | "compute" | typeof RUN_FLOW>;

/** A secret of a deployment: its name, or also the variable that holds it. */
export type SecretUse = string | { readonly name: string; readonly env?: string | undefined };

/** Options of a deployment. All of them are signed with its code. */
export interface DeploymentOptions {
  /** Its name in the project, to which a deploy adds the stage: lower-case letters, digits, `-` and `_`, at most 63. @default the flow's name */
  readonly name?: string;
  /** The pool where its runs execute, as a list of one name. @default the project's pool */
  readonly pools?: readonly string[];
  /** Environment variables of its processes. Not for secrets. @default none */
  readonly env?: Readonly<Record<string, string>>;
  /** Secrets that the worker resolves from its own providers: names, or `{ name, env }` with an environment variable. @default none */
  readonly secrets?: readonly SecretUse[];
  /** Automatic retries of a run: `{ limit: 2, delayMs: 60_000, causes: ["error", "lost"] }`. @default none */
  readonly retry?: SpecInput["retry"];
  /** Time limit of one attempt, milliseconds. Each retry and resumption has all of it again. @default none */
  readonly timeoutMs?: number;
  /**
   * Time limit of the run as a whole, milliseconds from its first start, at least 1000. It includes attempts, delays,
   * waiting for slots, and suspensions. After it, the run fails with cause `run-timeout`, which is never retried.
   * @default none
   */
  readonly runTimeoutMs?: number;
  /** The time from SIGTERM to SIGKILL, milliseconds. @default 10 000 */
  readonly killGraceMs?: number;
  /**
   * What a running attempt does while its worker cannot reach the control plane: it continues and reports later
   * (`"continue"`), or its processes are stopped when the lease ends (`"stop"`). @default "continue"
   */
  readonly onDisconnect?: SpecInput["onDisconnect"];
  /**
   * The time from the end of a lease until the attempt is lost, milliseconds. @default 15 minutes with `onDisconnect:
   * "continue"`, `killGraceMs` with `"stop"`
   */
  readonly lostAfterMs?: number;
  /**
   * A run that no worker has started this long after its due time fails with cause `expired`. At least 1000. @default
   * never
   */
  readonly expireAfterMs?: number;
  /**
   * How many of its runs execute at once, and what happens to a run without a free slot: it waits (`enqueue`), it is
   * cancelled (`cancel-new`), or the oldest ones are (`cancel-running`). This is a default: `towpath limit set NAME N
   * --kind deployment` overrides it permanently. @default any number
   */
  readonly concurrency?: SpecInput["concurrency"];
  /** Named limits. Each run takes all its slots at once before it starts. @default none */
  readonly limits?: readonly LimitUse[];
  /**
   * Tags of each of its runs, at most 32, each of 1 to 64 characters. A run takes one slot of each tag that has a limit. @default
   * none
   */
  readonly tags?: readonly string[];
  /** The queue of its pool for runs that name none. @default none */
  readonly queue?: string;
  /** The priority of runs that have none: -100 to 100. Higher starts first within its queue. @default 0 */
  readonly priority?: number;
  /**
   * Whether a worker may load its code, without secrets and parameters, in a process that waits for its next run. The
   * top-level statements of its modules then run before that run begins, and may run in vain. @default true
   */
  readonly loadAhead?: boolean;
  /**
   * Deployments that `ctx.runDeployment` may start. `churn` allows the one of the flow's own stage and the one without a
   * stage; `churn@prod` allows only that one. @default none
   */
  readonly mayStart?: readonly string[];
  /** Its schedules, until they are changed elsewhere: `{ name, timing: cron("0 3 * * *", "Europe/Berlin") }`. @default none */
  readonly schedules?: readonly ScheduleSettingsInput[];
  /**
   * What each run needs from its worker: `{ cpu: 2, memory: "4 GiB", gpu: { count: 1, kind: "a100" }, licences: 1 }`;
   * `{}` means only a slot. @default what its flow says
   */
  readonly compute?: ComputeUse;
  /** The oldest version that workers may still run. @default the oldest that a run needs which has not ended, else the new one */
  readonly floor?: number;
  /** Instant (ISO 8601, UTC) after which workers refuse this version; null: never. @default the project's `expiresInDays` after the deploy */
  readonly expiresAt?: string | null;
}

/** A plain command to deploy, run in the code's folder. */
export interface CommandOptions extends DeploymentOptions {
  /** Its name in the workspace: lower-case letters, digits, `-` and `_`, at most 63. */
  readonly name: string;
  /** The program and its arguments, such as `["python3", "train.py"]`. Parameters come in a file, never in here. */
  readonly command: readonly string[];
  /** The schema of the parameters: any Standard Schema of an object. @default no parameters */
  readonly input?: StandardSchema;
  /** The environment whose interpreter is `python` and `python3` for the command. @default those of the worker */
  readonly environment?: z.input<typeof PythonEnvironment>;
}

/** A flow of a Python module to deploy. */
export interface PythonFlowOptions extends DeploymentOptions {
  /** The Python file, relative to the project, such as `flows/train.py`. */
  readonly module: string;
  /** The flow's name at the top of its module. Its default deployment has this name, with `-` for `_`. */
  readonly function: string;
  /** The JSON Schema of the parameters. @default that of the function's signature */
  readonly parameters?: Readonly<Record<string, unknown>>;
  /** Whether the flow computes the parameters of scheduled runs. Only needed with `deploy --no-import`. @default false */
  readonly dueInput?: boolean;
  /** The Python environment of its runs. @default the worker's default interpreter */
  readonly environment?: z.input<typeof PythonEnvironment>;
  /**
   * `["pickle"]` stores results of tasks with pickle if no other form fits. Reading one runs code that the result contains. The
   * worker needs a store key. @default none
   */
  readonly codecs?: z.input<typeof PythonCodecs>;
}

const Secret = z.union([Name, z.strictObject({ name: Name, env: z.string().optional() })]);
const spec = Spec.shape;

const Options = z.strictObject({
  name: Name,
  pools: spec.pools
    .max(1, "name one pool: all runs wait in it. A task runs in another pool with `.with({ pool })`")
    .optional(),
  env: spec.env,
  secrets: z.array(Secret).max(64).default([]),
  retry: spec.retry,
  timeoutMs: spec.timeoutMs,
  runTimeoutMs: spec.runTimeoutMs,
  killGraceMs: spec.killGraceMs,
  onDisconnect: spec.onDisconnect,
  lostAfterMs: spec.lostAfterMs,
  expireAfterMs: spec.expireAfterMs,
  concurrency: spec.concurrency,
  queue: spec.queue,
  priority: spec.priority,
  limits: z
    .array(z.union([Name, LimitUseShape]))
    .max(LIMIT_USES_MAX)
    .default([]),
  tags: spec.tags,
  loadAhead: spec.loadAhead,
  mayStart: spec.mayStart,
  schedules: spec.schedules,
  compute: spec.compute.optional(),
  floor: spec.floor.optional(),
  expiresAt: spec.expiresAt.optional(),
});
type Options = z.output<typeof Options>;

const isSchema = (value: unknown): value is StandardSchema =>
  typeof value === "object" && value !== null && "~standard" in value;

const CommandOnly = Options.extend({
  command: z.array(z.string().max(4096)).min(1).max(64),
  input: z.custom<StandardSchema>(isSchema, "must be a Standard Schema, such as z.object({ … })").optional(),
  environment: PythonEnvironment.optional(),
});

/** The names of the options that every deployment has. */
export function deploymentOptionNames(): string[] {
  return Object.keys(Options.shape);
}

/** The schema of a Python flow to deploy. */
const PythonFlow = Options.extend({
  module: CodePath.regex(/\.py$/, "a Python file, such as flows/train.py"),
  function: PythonName,
  parameters: JsonObject.optional(),
  dueInput: z.boolean().default(false),
  environment: PythonEnvironment.optional(),
  codecs: PythonCodecs.optional(),
});

/** A valid deployment. */
export type Deployment = { readonly options: Options; readonly input: StandardSchema | null } & (
  | { readonly kind: "flow"; readonly flow: AnyFlow }
  | {
      readonly kind: "command";
      readonly command: readonly string[];
      readonly environment: PythonEnvironment | undefined;
    }
  | {
      readonly kind: "python";
      readonly module: string;
      readonly function: string;
      readonly parameters: z.output<typeof JsonObject> | undefined;
      readonly dueInput: boolean;
      readonly environment: PythonEnvironment | undefined;
      readonly codecs: z.output<typeof PythonCodecs> | undefined;
    }
);

function isFlow(value: AnyFlow | CommandOptions): value is AnyFlow {
  return RUN_FLOW in value;
}

/** The options with their compute in the form of a spec. */
function withCompute<One extends { readonly name?: string; readonly compute?: ComputeUse }>(
  owner: string,
  { compute, ...rest }: One,
): object {
  return compute === undefined ? rest : { ...rest, compute: computeOf(owner, compute) };
}

/** Deploys a flow, which its module must export. */
export function deployment(flow: AnyFlow, options?: DeploymentOptions): Deployment;
/** Deploys a plain command. */
export function deployment(command: CommandOptions): Deployment;
/**
 * Declares a deployment: what to deploy, and how to run it.
 * @throws InvalidDefinition naming every invalid option.
 */
export function deployment(what: AnyFlow | CommandOptions, options: DeploymentOptions = {}): Deployment {
  if (typeof what !== "object" || what === null)
    throw new InvalidDefinition("deployment() takes a flow, or { name, command } for a plain command.");
  if (isFlow(what)) {
    const owner = `deployment "${what.name}"`;
    const own = { compute: what.compute ?? undefined, ...withCompute(owner, options) };
    const checked = checkOptions(owner, Options, { name: what.name, ...own });
    return { kind: "flow", flow: what, input: what.input, options: checked };
  }
  const { command, input, environment, ...rest } = checkOptions(
    `deployment "${what.name}"`,
    CommandOnly,
    withCompute(`deployment "${what.name}"`, what),
  );
  return { kind: "command", command, environment, input: input ?? null, options: rest };
}

/** The default name of a flow with this name in its module. */
function nameOfFunction(name: string): string {
  return name
    .replaceAll("_", "-")
    .replace(/^-+|-+$/g, "")
    .toLowerCase();
}

/**
 * Declares the deployment of a Python flow. `towpath deploy` reads the flow's parameters in the project's Python.
 * @example pythonFlow({ module: "flows/train.py", function: "train", timeoutMs: 60_000 })
 * @throws InvalidDefinition naming every invalid option.
 */
export function pythonFlow(options: PythonFlowOptions): Deployment {
  const named = { name: nameOfFunction(String(options.function)), ...options };
  const owner = `deployment "${named.name}"`;
  const checked = checkOptions(owner, PythonFlow, withCompute(owner, named));
  const { module, function: name, parameters, dueInput, environment, codecs, compute, ...rest } = checked;
  return {
    kind: "python",
    module,
    function: name,
    parameters,
    dueInput,
    environment,
    codecs,
    input: null,
    // Only what was given overrides what the flow declares.
    options: options.compute === undefined ? rest : { ...rest, compute },
  };
}
