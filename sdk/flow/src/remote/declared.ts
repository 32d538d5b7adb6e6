import type { ComputeNeeds } from "@towpath/contract/words";
import { computeOf } from "../compute/compute.ts";
import { currentScope } from "../engine/scope.ts";
import { NotRemote } from "../problem.ts";
import type { TaskOptions } from "../task/options.ts";

/** A task that another process calls by its name, with arguments from the store. */
export interface AnyTask {
  (...args: never[]): Promise<unknown>;
  readonly options: TaskOptions;
  with(overrides: Partial<TaskOptions>): AnyTask;
}

interface Declared {
  /** What `task` has made. */
  readonly task: object;
  /** Number of declared tasks of this name. */
  readonly count: number;
}

const KEY = Symbol.for("towpath.tasks");

/** Global, so that two copies of this package in one process know the same tasks. */
function registry(): Map<string, Declared> {
  const home: typeof globalThis & { [KEY]?: Map<string, Declared> } = globalThis;
  home[KEY] ??= new Map();
  return home[KEY];
}

/** Registers a task that a module declares while it loads, so that another process finds it by name. */
export function declareTask(name: string, task: object): void {
  // A task that is made while a flow runs does not exist when the module is only loaded.
  if (currentScope() !== null) return;
  registry().set(name, { task, count: (registry().get(name)?.count ?? 0) + 1 });
}

/** What a declared task needs from a worker of another pool; null if it does not say. */
export function declaredCompute(name: string): ComputeNeeds | null {
  const found = registry().get(name);
  const compute = found === undefined ? undefined : callable(found.task).options.compute;
  return compute === undefined ? null : computeOf(`task "${name}"`, compute);
}

/** The names of the limits that a declared task takes slots of. */
export function declaredLimits(name: string): readonly string[] {
  const found = registry().get(name);
  const limits = found === undefined ? [] : (callable(found.task).options.limits ?? []);
  return limits.map((use) => (typeof use === "string" ? use : use.name));
}

/**
 * The declared task of this name.
 * @throws NotRemote if there is none, or more than one.
 */
export function declaredTask(name: string): AnyTask {
  const found = registry().get(name);
  if (found === undefined)
    throw new NotRemote(
      name,
      "the flow's module declares no task of this name when it is loaded.",
      "Declare it at the top of a module that the flow's module imports.",
    );
  if (found.count > 1)
    throw new NotRemote(
      name,
      "the flow's modules declare several tasks of this name.",
      "Give each task its own name.",
    );
  return callable(found.task);
}

/** Gives a declared task its call signature. Its caller's types have checked the arguments before they were stored. */
function callable(task: object): AnyTask {
  return task as AnyTask;
}
