import { pathToFileURL } from "node:url";
import type { MessagePort } from "node:worker_threads";
import type { DefinedAt } from "../where-defined.ts";
import { serve } from "./inside.ts";
import type { ToThread } from "./wire.ts";

type AnyFunction = (...args: never[]) => unknown;

/** How another thread finds a task's function: the module to import, and the task's name in it. */
export interface ThreadTask {
  /** URL of the module. */
  readonly module: string;
  readonly id: string;
}

interface Registry {
  readonly tasks: Map<string, AnyFunction>;
  /** Tasks of one name in one module. */
  readonly counts: Map<string, number>;
  /** A thread calls this with its port after it has imported a task's module. */
  readonly serve: (port: MessagePort, first: ToThread) => void;
}

/** The thread's first code, which imports nothing of this package, knows this name. */
const KEY = Symbol.for("towpath.thread-tasks");

function registry(): Registry {
  const home: typeof globalThis & { [KEY]?: Registry } = globalThis;
  home[KEY] ??= {
    tasks: new Map(),
    counts: new Map(),
    serve: (port, first) => serve(port, first, functionOf),
  };
  return home[KEY];
}

/** The function of a declared task, or null. */
function functionOf(id: string): AnyFunction | null {
  return registry().tasks.get(id) ?? null;
}

/**
 * Registers a task that runs in threads. A thread that imports the module declares it again under the same name, if it
 * is at the top of the module.
 */
export function registerThreadTask(name: string, definedAt: DefinedAt | null, fn: AnyFunction): ThreadTask {
  const file = definedAt?.file ?? "";
  const module = file.startsWith("file:") ? file : pathToFileURL(file).href;
  const { tasks, counts } = registry();
  const key = `${module} ${name}`;
  const count = (counts.get(key) ?? 0) + 1;
  counts.set(key, count);
  const id = `${key} ${count}`;
  tasks.set(id, fn);
  return { module, id };
}
