import type { AskedWait, CalledRun, CalledWait } from "@towpath/contract";
import { parseDuration } from "@towpath/contract/words";
import { type Scope, scopeFor } from "../engine/scope.ts";
import { GatewayRefused, InvalidDefinition, SuspendInTask, WaitExpired } from "../problem.ts";

/** A duration: `"90s"`, `"15m"`, `"1h30m"`, `"30d"`, or milliseconds. */
export type Duration = string | number;

/** Options of all waits for an event, answer, job or run. */
export interface WaitOptions {
  /** When it expires: a duration after the run first waits, or a time. @default never */
  readonly deadline?: Duration | Date;
}

/** Options of waits that are identified by a name or title. */
export interface NamedWaitOptions extends WaitOptions {
  /** Distinguishes equal waits. Needed only in concurrent branches. @default its number among equal waits */
  readonly id?: string;
}

/** A wait with its path. */
export interface NamedWait {
  readonly path: string;
  /** The state of the wait once it is over. @throws WaitExpired at its deadline. */
  readonly until: (wait: AskedWait) => Promise<CalledWait>;
}

/** @throws InvalidDefinition if it is not a duration. */
export function msOf(what: string, duration: Duration): number {
  const ms = typeof duration === "number" ? duration : parseDuration(duration);
  if (ms !== null && Number.isFinite(ms) && ms >= 0) return Math.ceil(ms);
  throw new InvalidDefinition(`${what}: "${duration}" is not a duration; write it as 90s, 15m or 1h30m.`);
}

export function deadlineOf(scope: Scope, { deadline }: WaitOptions): { deadlineMs?: number } {
  if (deadline === undefined) return {};
  if (!(deadline instanceof Date)) return { deadlineMs: msOf("deadline", deadline) };
  return { deadlineMs: Math.max(0, deadline.getTime() - scope.run.host.clock.nowMs()) };
}

/** The scope of the flow's own function. @throws SuspendInTask in a task */
export function outsideOfTasks(what: string): Scope {
  const scope = scopeFor(what);
  if (scope.path !== "") throw new SuspendInTask(what, scope.path);
  scope.signal.throwIfAborted();
  return scope;
}

/**
 * Runs a wait with its path, which is fixed before anything is awaited.
 * @throws TaskIdentityUnknown for equal waits in concurrent branches.
 */
export async function runWait<Result>(
  scope: Scope,
  args: { readonly kind: AskedWait["kind"]; readonly key: string; readonly id?: string | undefined },
  work: (place: NamedWait) => Promise<Result>,
): Promise<Result> {
  const key = args.id === undefined ? args.key : `${args.key}\n${args.id}`;
  const { path, settled } = scope.calls.name(args.kind, { kind: "given", key }, "wait");
  const until = async (wait: AskedWait) => {
    const answer = await scope.run.waits.until({ path, call: { kind: "wait", wait } }, scope.signal);
    if (answer.state === "expired") throw new WaitExpired(path);
    return answer;
  };
  try {
    return await work({ path, until });
  } finally {
    settled();
  }
}

/** Runs a wait. @throws WaitExpired at its deadline. */
export async function waitFor(
  scope: Scope,
  { wait, key, id }: { readonly wait: AskedWait; readonly key: string; readonly id?: string | undefined },
): Promise<CalledWait> {
  return await runWait(scope, { kind: wait.kind, key, id }, ({ until }) => until(wait));
}

/** Waits for the end of a run. */
export async function runEnded(
  scope: Scope,
  runId: string,
  options: NamedWaitOptions = {},
): Promise<CalledRun> {
  const wait = { kind: "run", runId, ...deadlineOf(scope, options) } as const;
  const { run } = await waitFor(scope, { wait, key: runId, id: options.id });
  if (run === null) throw new GatewayRefused("The gateway's answer to a wait for a run lacks the run.");
  return run;
}
