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

/** What is common to waits whose name or title is what tells them apart. */
export interface NamedWaitOptions extends WaitOptions {
  /** Which of several equal waits this is. Needed only where branches run side by side. @default its place among its like */
  readonly id?: string;
}

/** A wait, once it has its place in the flow. */
export interface PlacedWait {
  readonly path: string;
  /** How the wait stands once it is over. @throws WaitExpired at its deadline. */
  readonly until: (wait: AskedWait) => Promise<CalledWait>;
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
 * Does something that waits, by its place in the flow, which it has before anything is awaited.
 * @throws TaskIdentityUnknown if branches that run side by side wait for the same.
 */
export async function placed<Result>(
  scope: Scope,
  args: { readonly kind: AskedWait["kind"]; readonly key: string; readonly id?: string | undefined },
  work: (place: PlacedWait) => Promise<Result>,
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

/** Awaits something by its place in the flow. @throws WaitExpired at its deadline. */
export async function waitFor(
  scope: Scope,
  { wait, key, id }: { readonly wait: AskedWait; readonly key: string; readonly id?: string | undefined },
): Promise<CalledWait> {
  return await placed(scope, { kind: wait.kind, key, id }, ({ until }) => until(wait));
}

/** Waits for the end of a run that the flow has started or knows. */
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
