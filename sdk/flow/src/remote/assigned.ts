import { instant } from "../clock.ts";
import type { Host } from "../engine/host.ts";
import { inScope, type Scope } from "../engine/scope.ts";
import { NotRemote, StoreFault } from "../problem.ts";
import { DataTimer } from "../task/data-timer.ts";
import type { TaskOptions } from "../task/options.ts";
import { declaredTask } from "./declared.ts";

/** The input of a call in another pool. It travels through the store. */
export interface RemoteInput {
  readonly args: readonly unknown[];
  /** Options that the call overrides. */
  readonly overrides: Partial<TaskOptions>;
}

/** The call's key in this run, whatever its arguments, so that a later attempt finds its progress. */
const KEY = "call";

function isInput(value: unknown): value is RemoteInput {
  if (typeof value !== "object" || value === null) return false;
  const { args, overrides }: Record<string, unknown> = { ...value };
  return Array.isArray(args) && typeof overrides === "object" && overrides !== null;
}

/** @throws NotRemote if they cannot be had. */
async function inputOf(
  { store }: Host,
  { task, data }: { task: NonNullable<Host["task"]>; data: DataTimer },
): Promise<RemoteInput> {
  try {
    const input = await data.loading(task.input, () => store.load(task.input));
    if (isInput(input)) return input;
  } catch (error) {
    if (!(error instanceof StoreFault)) throw error;
    const next = "`towpath doctor` shows whether the workers of both pools use the same store.";
    throw new NotRemote(task.name, `its arguments cannot be loaded: ${error.message}`, next);
  }
  throw new NotRemote(task.name, "its stored arguments have an unexpected shape.", "Run the caller again.");
}

/** Runs the task of this run with its retries, time limit, cache and hooks. Its result is the run's result. */
export async function runAssigned(scope: Scope, task: NonNullable<Host["task"]>): Promise<unknown> {
  const { host, checkpoints } = scope.run;
  await host.records.post({ type: "run-name", at: instant(host.clock), name: task.name });
  const data = new DataTimer(host.clock);
  const { args, overrides } = await inputOf(host, { task, data });
  await checkpoints.open();
  scope.signal.throwIfAborted();
  const here = { ...overrides, pool: undefined, checkpoint: false, key: KEY };
  return await inScope({ ...scope, data }, () => declaredTask(task.name).with(here)(...(args as never[])));
}
