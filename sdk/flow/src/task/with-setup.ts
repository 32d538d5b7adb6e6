import { describeError } from "../engine/describe-error.ts";
import { withinTime } from "../engine/endings.ts";
import { inScope, type Scope, scopeFor } from "../engine/scope.ts";
import { settledWithin, untilAborted } from "../engine/settle.ts";
import { log } from "../logs/log.ts";

/** How long a body may take to end after the run must stop, before its set-up is torn down, milliseconds. */
const BODY_GRACE_MS = 3000;
/** Default time limit of a tear-down, milliseconds. */
const TEARDOWN_MS = 10_000;

/** A set-up and its tear-down. */
export interface Setup<Value> {
  /** The set-up: a plain function, or one that calls tasks. */
  readonly setup: () => Value | Promise<Value>;
  /** The tear-down. Make it safe to call when the set-up stopped halfway: a killed process runs no tear-down. */
  readonly teardown: (value: Value) => unknown;
  /** Time limit of the tear-down. @default 10 000 */
  readonly teardownMs?: number;
  /** Whether a later attempt reuses the results of tasks in the set-up instead of running them again. @default false */
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

/** A tear-down has its own signal: it runs even if the run must stop, and the run waits for it. */
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
 * Runs a set-up, then a body, then the tear-down, even if the body fails or the run is cancelled. After a cancellation,
 * the tear-down keeps its time limit, within the deployment's `killGraceMs`. A suspended run is torn down. A later
 * attempt runs the set-up again, unless it says `reuse`.
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
  // A set-up that a later attempt reuses is not torn down.
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
