import { type Scope, tracked, trackedElsewhere } from "../engine/scope.ts";
import { encodeAs } from "../store/codec.ts";
import type { TaskOptions } from "../task/options.ts";
import { runTask, type TaskCall } from "../task/run-task.ts";
import { runElsewhere } from "./elsewhere.ts";

/** A task call, with what decides where it runs. */
interface CallTarget {
  readonly scope: Scope;
  readonly options: TaskOptions;
}

function isElsewhere({ scope, options }: CallTarget): boolean {
  return options.pool !== undefined && scope.run.host.poolOf !== null;
}

/** Adds work that waits for task calls to the run, like the calls themselves. */
export function partOfRun<Result>(target: CallTarget, work: Promise<Result>): Promise<Result> {
  return isElsewhere(target) ? trackedElsewhere(target.scope, work) : tracked(target.scope, work);
}

type ItemsTaken<Item> = AsyncGenerator<Item, void, void>;

/** Items for task calls. While an item for another pool is being made, the run is working and is not suspended. */
export function whileTaken<Item>(target: CallTarget, items: ItemsTaken<Item>): ItemsTaken<Item> {
  return isElsewhere(target) ? trackedItems(target.scope, items) : items;
}

async function* trackedItems<Item>(scope: Scope, items: ItemsTaken<Item>): ItemsTaken<Item> {
  try {
    for (let step = await tracked(scope, items.next()); step.done !== true; ) {
      yield step.value;
      step = await tracked(scope, items.next());
    }
  } finally {
    await items.return();
  }
}

/** Starts a task call: in this process, or in the pool that it names. */
export function beginCall<Result>(call: TaskCall<Result>): Promise<Awaited<Result>> {
  const { scope, options, args } = call;
  if (isElsewhere(call)) return trackedElsewhere(scope, runElsewhere(call));
  // Also in this process, as in a test, arguments must be data, as its pool requires.
  if (options.pool !== undefined) encodeAs(args, { codec: "exact", name: "arguments" });
  return tracked(scope, runTask(call));
}
