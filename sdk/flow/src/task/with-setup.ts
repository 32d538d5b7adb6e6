import { describeError } from "../engine/describe-error.ts";
import { withinTime } from "../engine/endings.ts";
import { inScope, type Scope, scopeFor } from "../engine/scope.ts";
import { settledWithin, untilAborted } from "../engine/settle.ts";
import { log } from "../logs/log.ts";

/** After its scope was asked to stop, how long a body may take to end before it is torn down under it, milliseconds. */
const BODY_GRACE_MS = 3000;
/** How long a tear-down may take unless it is told otherwise, milliseconds. */
const TEARDOWN_MS = 10_000;

/** What is made before something, and unmade after it. */
export interface Setup<Value> {
  /** Makes it: a plain function, or one that calls tasks. */
  readonly setup: () => Value | Promise<Value>;
  /** Removes it. It must be safe to call when the set-up stopped halfway, since a killed process has torn down nothing. */
  readonly teardown: (value: Value) => unknown;
  /** How long the tear-down may take. @default 10 000 */
  readonly teardownMs?: number;
  /** Whether a later attempt takes over what tasks in the set-up have made, instead of running them again. @default false */
  readonly reuse?: boolean;
}

async function bodyOf<Result>(scope: Scope, body: Promise<Result>): Promise<Result> {
  const { aborted, release } = untilAborted(scope.signal);
  const afterAbort = async (reason: unknown) => {
    if (await settledWithin(body, BODY_GRACE_MS)) return await body;
    throw reason;
  };
  try {
    return await Promise.race([body, aborted.catch(afterAbort)]);
  } finally {
    body.catch(() => {});
    release();
  }
}

/** A tear-down has a signal of its own: it runs although all else was asked to stop, and the run waits for it. */
async function tearDown<Value>(scope: Scope, made: Setup<Value>, value: Value): Promise<void> {
  const { teardownMs: maxMs = TEARDOWN_MS } = made;
  const work = withinTime({ what: "The tear-down", maxMs }, async (signal) => {
    await inScope({ ...scope, signal, anew: true }, async () => await made.teardown(value));
  });
  const done = scope.run.cleanups.add(work);
  try {
    await work;
  } finally {
    done();
  }
}

/**
 * Sets something up, does something with it, and tears it down however that ends: with a result, a failure, or the run's
 * cancellation. After a cancellation the tear-down still has its own time, within what the deployment's `killGraceMs` leaves.
 * In a later attempt the set-up runs again, unless it says `reuse`. While the run is suspended it is torn down, unless it says so.
 * @returns What the body returns.
 * @throws What set-up or body throw; what the tear-down throws if the body did not.
 * @example
 * await withSetup({ setup: () => startCluster(4), teardown: stopCluster }, async (cluster) => {
 *   await train(cluster.address);
 * });
 */
export async function withSetup<Value, Result>(
  made: Setup<Value>,
  body: (value: Value) => Result | Promise<Result>,
): Promise<Result> {
  const scope = scopeFor("withSetup");
  scope.signal.throwIfAborted();
  const value = await inScope({ ...scope, anew: made.reuse !== true }, async () => await made.setup());
  // What a later attempt takes over is left as it is.
  const undo = made.reuse === true ? async () => {} : () => tearDown(scope, made, value);
  const leave = scope.run.whenSuspended.add(undo);
  let result: Result;
  try {
    result = await bodyOf(
      scope,
      inScope(scope, async () => await body(value)),
    );
  } catch (error) {
    await tearDown(scope, made, value).catch((late) => {
      log.warn(`The tear-down failed: ${describeError(late).stack}`);
    });
    throw error;
  } finally {
    leave();
  }
  await tearDown(scope, made, value);
  return result;
}
