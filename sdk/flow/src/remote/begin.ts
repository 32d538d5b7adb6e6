import { type Scope, tracked, trackedElsewhere } from "../engine/scope.ts";
import { encode, exactCodec } from "../store/codec.ts";
import type { TaskOptions } from "../task/options.ts";
import { runTask, type TaskCall } from "../task/run-task.ts";
import { runElsewhere } from "./elsewhere.ts";

/** A call of a task, as far as its place is concerned. */
interface Placed {
  readonly scope: Scope;
  readonly options: TaskOptions;
}

function isElsewhere({ scope, options }: Placed): boolean {
  return options.pool !== undefined && scope.run.host.poolOf !== null;
}

/** Counts what waits for calls of a task as part of their run, in the way that the calls themselves count. */
export function partOfRun<Result>(placed: Placed, work: Promise<Result>): Promise<Result> {
  return isElsewhere(placed) ? trackedElsewhere(placed.scope, work) : tracked(placed.scope, work);
}

type ItemsTaken<Item> = AsyncGenerator<Item, void, void>;

/** Items for calls of a task: while one for another pool is being made, the run is at work and is not suspended. */
export function whileTaken<Item>(placed: Placed, items: ItemsTaken<Item>): ItemsTaken<Item> {
  return isElsewhere(placed) ? trackedItems(placed.scope, items) : items;
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

/** Begins a call of a task as a part of its run: in place, or in the pool that it is called with. */
export function beginCall<Result>(call: TaskCall<Result>): Promise<Awaited<Result>> {
  const { scope, options, args } = call;
  if (isElsewhere(call)) return trackedElsewhere(scope, runElsewhere(call));
  // Where it runs in place, as in a test, it takes no arguments that it would not take in its pool.
  if (options.pool !== undefined) encode(args, { codec: exactCodec(args), name: "arguments" });
  return tracked(scope, runTask(call));
}
