import { AsyncLocalStorage } from "node:async_hooks";

/** A call that the code of this branch has made before, and those before it. */
interface Made {
  readonly call: object;
  readonly before: Made | null;
}

const KEY = Symbol.for("towpath.branch");

/** Kept on the global object, as the scope of a run is: two copies of this package in one process must see the same calls. */
function branches(): AsyncLocalStorage<Made | null> {
  const home: typeof globalThis & { [KEY]?: AsyncLocalStorage<Made | null> } = globalThis;
  home[KEY] ??= new AsyncLocalStorage<Made | null>();
  return home[KEY];
}

/**
 * Notes a call for whatever the calling code does from here on: it and what it calls, and no branch that began before. To be
 * called before the first `await` of what the user has called; else the user's own code is not reached.
 * @param again An equal call of this branch, whose place the new one takes if it is the latest.
 */
export function noteInBranch(call: object, again: object | undefined): void {
  const latest = branches().getStore() ?? null;
  const before = again !== undefined && latest?.call === again ? latest.before : latest;
  branches().enterWith({ call, before });
}

/** Whether the calling code comes after a call, by its own order and not by chance. */
export function isInBranch(call: object): boolean {
  for (let made = branches().getStore() ?? null; made !== null; made = made.before)
    if (made.call === call) return true;
  return false;
}

/** Runs a function whose calls concern nobody outside of it. */
export function inOwnBranch<Result>(fn: () => Result): Result {
  return branches().run(branches().getStore() ?? null, fn);
}
