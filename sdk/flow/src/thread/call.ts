import { scopeFor } from "../engine/scope.ts";
import { TIMEOUT_GRACE_MS } from "../task/time-limit.ts";
import type { ThreadTask } from "./registry.ts";

interface ThreadOptions {
  readonly name: string;
  readonly timeoutGraceMs?: number;
}

/** The function that calls another in a thread. The threads' own modules are loaded by the first call. */
export function calledInThread<Args extends readonly unknown[], Result>(
  task: ThreadTask,
  { name, timeoutGraceMs = TIMEOUT_GRACE_MS }: ThreadOptions,
): (...args: Args) => Result {
  const call = async (...args: Args): Promise<unknown> => {
    const scope = scopeFor(`Task "${name}"`);
    const { runInPool } = await import("./pool.ts");
    return await runInPool({ task, name, args, scope, timeoutGraceMs });
  };
  return answering(call);
}

/** A call in a thread answers what the function there returns, later: which its callers, who await it, do not notice. */
function answering<Args extends readonly unknown[], Result>(
  call: (...args: Args) => Promise<unknown>,
): (...args: Args) => Result {
  const any: unknown = call;
  return any as (...args: Args) => Result;
}
