import type { AskedWait, CalledRun, CalledWait } from "@towpath/contract";
import { parseDuration } from "@towpath/contract/words";
import { type Scope, scopeFor } from "../engine/scope.ts";
import { GatewayRefused, InvalidDefinition, SuspendInTask, WaitExpired } from "../problem.ts";

/** A length of time: `"90s"`, `"15m"`, `"1h30m"`, `"30d"`, or milliseconds. */
export type Duration = string | number;

/** What is common to whatever waits for somebody or something. */
export interface WaitOptions {
  /** When it expires: so long after the run first asked, or an instant. @default never */
  readonly deadline?: Duration | Date;
}

/** @throws InvalidDefinition if it is no length of time. */
export function msOf(what: string, duration: Duration): number {
  const ms = typeof duration === "number" ? duration : parseDuration(duration);
  if (ms !== null && Number.isFinite(ms) && ms >= 0) return Math.ceil(ms);
  throw new InvalidDefinition(`${what}: "${duration}" is no length of time; write it as 90s, 15m or 1h30m.`);
}

export function deadlineOf(scope: Scope, { deadline }: WaitOptions): { deadlineMs?: number } {
  if (deadline === undefined) return {};
  if (!(deadline instanceof Date)) return { deadlineMs: msOf("deadline", deadline) };
  return { deadlineMs: Math.max(0, deadline.getTime() - scope.run.host.clock.nowMs()) };
}

/** Where in the flow's own function the calling code is. @throws SuspendInTask */
export function outsideOfTasks(what: string): Scope {
  const scope = scopeFor(what);
  if (scope.path !== "") throw new SuspendInTask(what, scope.path);
  scope.signal.throwIfAborted();
  return scope;
}

/**
 * Awaits something by its place in the flow.
 * @throws WaitExpired at its deadline.
 */
export async function waitFor(
  scope: Scope,
  a: { readonly wait: AskedWait; readonly key: string },
): Promise<CalledWait> {
  const { path, settled } = scope.calls.name(a.wait.kind, { kind: "given", key: a.key }, "wait");
  try {
    const answer = await scope.run.waits.until({ path, call: { kind: "wait", wait: a.wait } }, scope.signal);
    if (answer.state === "expired") throw new WaitExpired(path);
    return answer;
  } finally {
    settled();
  }
}

/** Waits for the end of a run that the flow has started or knows. */
export async function runEnded(scope: Scope, runId: string, options: WaitOptions = {}): Promise<CalledRun> {
  const wait = { kind: "run", runId, ...deadlineOf(scope, options) } as const;
  const { run } = await waitFor(scope, { wait, key: runId });
  if (run === null) throw new GatewayRefused("The gateway's answer to a wait for a run lacks the run.");
  return run;
}
