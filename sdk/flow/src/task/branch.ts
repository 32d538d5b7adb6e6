import { AsyncLocalStorage } from "node:async_hooks";

/** The calls that this branch of the code has made. */
interface Made {
  readonly call: object;
  readonly before: Made | null;
}

const KEY = Symbol.for("towpath.branch");

/** Global, so that two copies of this package in one process see the same calls. */
function branches(): AsyncLocalStorage<Made | null> {
  const home: typeof globalThis & { [KEY]?: AsyncLocalStorage<Made | null> } = globalThis;
  home[KEY] ??= new AsyncLocalStorage<Made | null>();
  return home[KEY];
}

/**
 * Records a call in the branch of the calling code. Call it before the first `await` of the called function; otherwise
 * the user's own code does not see it.
 * @param again An equal earlier call of this branch. The new call replaces it if it is the latest.
 */
export function noteInBranch(call: object, again: object | undefined): void {
  const latest = branches().getStore() ?? null;
  const before = again !== undefined && latest?.call === again ? latest.before : latest;
  branches().enterWith({ call, before });
}

/** Whether the calling code follows a call in its own branch. */
export function isInBranch(call: object): boolean {
  for (let made = branches().getStore() ?? null; made !== null; made = made.before)
    if (made.call === call) return true;
  return false;
}

/** Runs a function in a new branch. */
export function inOwnBranch<Result>(fn: () => Result): Result {
  return branches().run(branches().getStore() ?? null, fn);
}
