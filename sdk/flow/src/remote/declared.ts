import type { ComputeNeeds } from "@towpath/contract/words";
import { computeOf } from "../compute/compute.ts";
import { currentScope } from "../engine/scope.ts";
import { NotRemote } from "../problem.ts";
import type { TaskOptions } from "../task/options.ts";

/** A task as another process calls it: found by its name, with arguments that came through the store. */
export interface AnyTask {
  (...args: never[]): Promise<unknown>;
  readonly options: TaskOptions;
  with(overrides: Partial<TaskOptions>): AnyTask;
}

interface Declared {
  /** What `task` has made. */
  readonly task: object;
  /** How many tasks of this name the modules declare. */
  readonly count: number;
}

const KEY = Symbol.for("towpath.tasks");

/** Kept on the global object: two copies of this package in one process must know the same tasks. */
function registry(): Map<string, Declared> {
  const home: typeof globalThis & { [KEY]?: Map<string, Declared> } = globalThis;
  home[KEY] ??= new Map();
  return home[KEY];
}

/** Remembers a task that a module declares while it loads: by its name it is found in another process. */
export function declareTask(name: string, task: object): void {
  // One that is made while a flow runs is not there when the module is only loaded.
  if (currentScope() !== null) return;
  registry().set(name, { task, count: (registry().get(name)?.count ?? 0) + 1 });
}

/** What a task of the loaded modules needs of a worker in another pool; null if it does not say. */
export function declaredCompute(name: string): ComputeNeeds | null {
  const found = registry().get(name);
  const compute = found === undefined ? undefined : callable(found.task).options.compute;
  return compute === undefined ? null : computeOf(`task "${name}"`, compute);
}

/**
 * The task of this name that the loaded modules declare.
 * @throws NotRemote if there is none, or more than one.
 */
export function declaredTask(name: string): AnyTask {
  const found = registry().get(name);
  if (found === undefined)
    throw new NotRemote(
      name,
      "the flow's module declares none of this name when it is loaded.",
      "Declare it at the top of a module that the flow's module imports.",
    );
  if (found.count > 1)
    throw new NotRemote(name, "the flow's modules declare several of this name.", "Give each its own name.");
  return callable(found.task);
}

/** What `task` has made can be called, with arguments that its caller's types have checked before they were stored. */
function callable(task: object): AnyTask {
  return task as AnyTask;
}
