import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  type ComputeNeeds,
  REHEARSE_FLOW,
  RUN_ENDING,
  RUN_FLOW,
  type RunEnding,
  type RunFlow,
  TEND_JOBS,
  type TendJobsOf,
} from "@towpath/contract/words";
import { type ComputeUse, computeOf } from "./compute/compute.ts";
import { gatewayFromEnv } from "./engine/config.ts";
import type { Due, RunContext } from "./engine/context.ts";
import { trimStack } from "./engine/describe-error.ts";
import { type AnyFlowHooks, endingsHandled, type FlowHooks, HOOK_NAMES } from "./engine/hooks.ts";
import { callFlow, inputOf, type RunnableFlow } from "./engine/run-flow.ts";
import { rehearseInWorker, runEndingInWorker, runInWorker } from "./engine/run-in-worker.ts";
import { runAnywhere, runMain } from "./engine/run-main.ts";
import type { RunNaming } from "./engine/run-name.ts";
import { currentScope, type Scope, tracked } from "./engine/scope.ts";
import type { InputOf, OutputOf, StandardSchema } from "./input/standard-schema.ts";
import { InvalidDefinition, OutsideOfRun } from "./problem.ts";
import { DataTimer } from "./task/data-timer.ts";
import { hashInput } from "./task/input-hash.ts";
import { runTask } from "./task/run-task.ts";
import { type DefinedAt, whereDefined } from "./where-defined.ts";

const NEXT = "Pass plain data, or give the class a toJSON().";

/**
 * Runs a flow as part of the calling run: in the same process, as a task run with the path `flow:NAME`. Its input is
 * validated first. Its tasks are below it.
 */
export async function runSubflow(scope: Scope, flow: RunnableFlow, parameters: object): Promise<unknown> {
  scope.signal.throwIfAborted();
  const { name } = flow;
  const data = new DataTimer(scope.run.host.clock);
  const { hashes } = scope.run.host.store;
  const isGiven = Object.values(parameters).some((value) => value !== undefined);
  const key = isGiven
    ? ({
        kind: "hash",
        hash: hashInput({ what: `Flow "${name}"`, next: NEXT, hashes }, [parameters]),
      } as const)
    : ({ kind: "none" } as const);
  const { path, settled } = scope.calls.name(name, key, "flow");
  const fn = async () => await callFlow(flow, await inputOf(flow, parameters));
  try {
    const args = [parameters];
    const upstream = scope.run.lineage.of(args);
    const call = { options: { name, checkpoint: false }, path, scope, data, args, upstream, fn };
    return await tracked(scope, runTask({ ...call, source: flow.fn }));
  } finally {
    settled();
  }
}

/** Options of a flow. */
export interface FlowOptions<Schema extends StandardSchema, Result = unknown> extends FlowHooks<Result> {
  /** Lower-case letters, digits, `-` and `_`, at most 63: also its deployment's name unless that says otherwise. */
  readonly name: string;
  /** Any Standard Schema of an object. Without one the flow takes no parameters. */
  readonly input?: Schema;
  /** The name of each run in lists: `"train {model}"`, or a function of the input. @default the flow's name alone */
  readonly runName?: RunNaming<OutputOf<Schema>>;
  /**
   * Makes the parameters of a scheduled run on the worker, so they never leave your network. `given` are the schedule's
   * own parameters. The result is validated like any other input.
   * @example dueInput: ({ interval }) => ({ from: interval.start.toISOString(), to: interval.end.toISOString() })
   */
  readonly dueInput?: (due: Due, given: unknown) => InputOf<Schema> | Promise<InputOf<Schema>>;
  /** Whether its tasks store their results by default. @default true on a worker */
  readonly checkpoint?: boolean;
  /**
   * What each run needs from its worker: `{ cpu: 2, memory: "4 GiB", gpu: { count: 1, kind: "a100" }, licences: 1 }`.
   * It is signed when the flow is deployed. A deployment can override it. @default only a slot
   */
  readonly compute?: ComputeUse;
}

/** The part of `import.meta` that says whether a module is the program's entry. */
export interface MainModule {
  readonly url: string;
  /** Node 24.2 and later. */
  readonly main?: boolean;
}

/** A declared flow. */
export interface Flow<Schema extends StandardSchema = StandardSchema, Result = unknown> {
  readonly name: string;
  readonly input: Schema | null;
  readonly fn: (input: OutputOf<Schema>, context: RunContext) => Result;
  /** Whether its tasks keep their results, unless they say so themselves. */
  readonly checkpoint: boolean | undefined;
  /** Makes the parameters of a scheduled run; null if the flow has no `dueInput`. */
  readonly dueInput: ((due: Due, given: unknown) => unknown) | null;
  readonly hooks: AnyFlowHooks;
  readonly runName: RunNaming<never> | undefined;
  /** What each run needs of its worker. */
  readonly compute: ComputeNeeds | null;
  /** The position of its declaration. Deploying needs it. */
  readonly definedAt: DefinedAt | null;
  /**
   * Runs the flow. Outside of a run: in this process, with output on the terminal, or through the worker in a worker's
   * command. Inside another flow or a task: in the same process, as a task run `flow:NAME` of that run.
   *
   * To start a run of its own, use `ctx.runDeployment`.
   * @returns What its function returns.
   * @throws What its function throws. The stack has only the user's frames.
   */
  run(parameters?: InputOf<Schema>): Promise<Awaited<Result>>;
  /**
   * Runs the flow if its module is the program's entry (`node flow.ts key=value`), with parameters from the command
   * line; `--help` lists them. The exit codes are those of `towpath run`: 0 completed, 1 failed, 2 cancelled, 64 a wrong
   * command line, 65 wrong parameters. Does nothing if the module was imported.
   */
  runIfMain(module: MainModule, defaults?: Partial<InputOf<Schema>>): Promise<void>;
  /** What a worker's runner calls. */
  readonly [RUN_FLOW]: RunFlow;
  /** What a worker's poller of external jobs calls. */
  readonly [TEND_JOBS]: TendJobsOf;
}

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** Options of any flow that are checked. */
type AnyOptions = Omit<FlowOptions<StandardSchema, never>, "runName"> & { readonly runName?: unknown };

function checkOptions(options: AnyOptions): void {
  if (typeof options.name !== "string" || !NAME.test(options.name))
    throw new InvalidDefinition(
      `flow name "${options.name}": use lower-case letters, digits, - and _, at most 63, starting with a letter or digit.`,
    );
  if (options.input !== undefined && typeof options.input["~standard"]?.validate !== "function")
    throw new InvalidDefinition(
      `flow "${options.name}": input must be a Standard Schema, such as a zod schema: z.object({ … }).`,
    );
  if (!["undefined", "string", "function"].includes(typeof options.runName))
    throw new InvalidDefinition(`flow "${options.name}": runName must be a text or a function.`);
  for (const hook of HOOK_NAMES)
    if (options[hook] !== undefined && typeof options[hook] !== "function")
      throw new InvalidDefinition(`flow "${options.name}": ${hook} must be a function.`);
}

function isMain(module: MainModule): boolean {
  // A task's thread imports the flow's module but does not run the flow.
  if (!process.getBuiltinModule("node:worker_threads").isMainThread) return false;
  if (typeof module.main === "boolean") return module.main;
  const [, script] = process.argv;
  try {
    return script !== undefined && realpathSync(script) === realpathSync(fileURLToPath(module.url));
  } catch {
    return false;
  }
}

/** Only the user's frames, because Node may print the error. */
function trimmed(error: unknown): unknown {
  if (error instanceof Error && typeof error.stack === "string") error.stack = trimStack(error.stack);
  return error;
}

/** A value that a flow's own function has returned. */
function ownResult<Result>(value: unknown): Awaited<Result> {
  return value as Awaited<Result>;
}

/**
 * Declares a flow: an async function with tracked runs and validated parameters.
 * @throws InvalidDefinition naming the invalid option.
 * @example
 * export const hello = flow({ name: "hello" }, async () => {
 *   log.info("hello");
 * });
 * await hello.runIfMain(import.meta);
 */
export function flow<Schema extends StandardSchema<Record<never, never>, object>, Result>(
  options: FlowOptions<Schema, Result>,
  fn: (input: OutputOf<Schema>, context: RunContext) => Result,
): Flow<Schema, Result> {
  checkOptions(options);
  const { name } = options;
  const compute = options.compute === undefined ? null : computeOf(`flow "${name}"`, options.compute);
  const input = options.input ?? null;
  const { onCompletion, onFailure, onCancellation, onCrash } = options;
  const hooks: AnyFlowHooks = { onCompletion, onFailure, onCancellation, onCrash };
  const ending: RunEnding = {
    handles: endingsHandled(hooks),
    run: (address, a) => runEndingInWorker(runnable, address, a),
  };
  const runnable: RunnableFlow = {
    name,
    input,
    fn,
    hooks,
    runName: options.runName,
    checkpoint: options.checkpoint,
    dueInput: options.dueInput ?? null,
  };
  return {
    name,
    input,
    fn,
    checkpoint: runnable.checkpoint,
    dueInput: runnable.dueInput,
    hooks,
    runName: options.runName,
    compute,
    definedAt: whereDefined(),
    async run(parameters): Promise<Awaited<Result>> {
      const scope = currentScope();
      if (scope !== null) return ownResult<Result>(await runSubflow(scope, runnable, parameters ?? {}));
      const end = await runAnywhere(runnable, parameters ?? {});
      if (end.outcome === "completed") return ownResult<Result>(end.value);
      if (end.outcome === "suspended") {
        if (gatewayFromEnv() === null)
          throw new OutsideOfRun("A wait for an answer", "Deploy the flow, and run it on a worker.");
        // The run continues in another process. Nothing more of it may happen here.
        return await new Promise(() => {});
      }
      throw trimmed(end.error);
    },
    async runIfMain(module, defaults = {}) {
      if (isMain(module)) await runMain(runnable, defaults);
    },
    // Loaded only by the poller of external jobs.
    [TEND_JOBS]: async (ground) => await (await import("./jobs/tend.ts")).tendJobsHere(ground),
    [RUN_FLOW]: Object.assign(
      async (...[address, context]: Parameters<RunFlow>) =>
        (await runInWorker(runnable, address, { context })).outcome,
      { [REHEARSE_FLOW]: () => rehearseInWorker(runnable), [RUN_ENDING]: ending },
    ),
  };
}
