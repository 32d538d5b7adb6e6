import { pathToFileURL } from "node:url";
import type { MessagePort } from "node:worker_threads";
import type { DefinedAt } from "../where-defined.ts";
import { serve } from "./inside.ts";
import type { ToThread } from "./wire.ts";

type AnyFunction = (...args: never[]) => unknown;

/** Where a task's function is found again in another thread: the module to import, and the task's name there. */
export interface ThreadTask {
  /** URL of the module. */
  readonly module: string;
  readonly id: string;
}

interface Registry {
  readonly tasks: Map<string, AnyFunction>;
  /** Tasks of one name in one module. */
  readonly counts: Map<string, number>;
  /** What a thread calls with its port once it has imported a task's module. */
  readonly serve: (port: MessagePort, first: ToThread) => void;
}

/** Known to the thread's own first lines, which import nothing of ours. */
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

/** The function of a task that a module of this thread has declared, or null. */
function functionOf(id: string): AnyFunction | null {
  return registry().tasks.get(id) ?? null;
}

/**
 * Remembers a task that runs in threads. Importing its module in a thread declares it there again, in the same order and so
 * under the same name, if it stands at the top of its module.
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
