import { remoteTaskOf } from "@towpath/contract";
import type { AttemptDeps } from "./deps.ts";
import type { Running } from "./flow-host.ts";
import { requestStop } from "./stop.ts";

/** How long a process may stay after its flow has said how it ended, milliseconds. */
const LINGER_MS = 30_000;
/** The longest single sleep: timers of the platform overflow at 2^31 milliseconds. */
const SLEEP_MOST_MS = 24 * 3600 * 1000;

/** The times that an attempt may take, and why it is stopped after each. */
function timeLimits({
  spec,
  assignment,
}: Running["file"]): { ms: number; reason: "timeout" | "run-timeout" }[] {
  const left = [
    { ms: spec.timeoutMs, reason: "timeout" },
    // Both: what the control plane says is left of the signed limit is no more than a hint.
    { ms: assignment.endsInMs, reason: "run-timeout" },
    { ms: remoteTaskOf(assignment.trigger) === null ? spec.runTimeoutMs : null, reason: "run-timeout" },
  ] as const;
  return left.flatMap(({ ms, reason }) => (ms === null ? [] : [{ ms, reason }]));
}

/** Stops an attempt when its time limit has passed since its launch, or what was left then to its run as a whole. */
export function watchTimeout(deps: AttemptDeps, { claimed, file }: Running, signal: AbortSignal): void {
  const launchedAtMs = file.launchedAtMs ?? deps.bootClock.nowMs();
  for (const { ms, reason } of timeLimits(file)) {
    void sleepUntil(deps, { endsAtMs: () => launchedAtMs + ms, signal }).then((passed) => {
      if (passed) requestStop(deps, claimed, { reason });
    });
  }
}

/** Under `onDisconnect: stop`, stops an attempt when its lease has run out: soon it may be another worker's. */
export function watchLease(deps: AttemptDeps, { claimed, file }: Running, signal: AbortSignal): void {
  if (file.spec.onDisconnect !== "stop") return;
  void sleepUntil(deps, { endsAtMs: () => claimed.leaseEndsAtMs, signal }).then((passed) => {
    if (passed) requestStop(deps, claimed, { reason: "lost" });
  });
}

/** Stops an attempt whose process stays although its flow has said how it ended. */
export function watchLinger(deps: AttemptDeps, { claimed }: Pick<Running, "claimed">): void {
  const endsAtMs = deps.bootClock.nowMs() + LINGER_MS;
  const over = new AbortController();
  void claimed.process?.exited.then(() => over.abort());
  void sleepUntil(deps, { endsAtMs: () => endsAtMs, signal: over.signal }).then((passed) => {
    if (passed) requestStop(deps, claimed, { reason: "lingering" });
  });
}

/** How long a process may take that runs a flow's hook once the attempt's own is gone, milliseconds. */
const CLEAN_UP_MS = 20_000;

/**
 * Waits for the process of a clean-up; false if it has had its time. Under `onDisconnect: stop` that ends with the lease too: soon the
 * attempt may be another worker's.
 */
export async function untilCleanUpIsOver(
  deps: AttemptDeps,
  { claimed, file, exited }: Pick<Running, "claimed" | "file"> & { readonly exited: Promise<unknown> },
): Promise<boolean> {
  const dueMs = deps.bootClock.nowMs() + CLEAN_UP_MS;
  const stops = file.spec.onDisconnect === "stop";
  const over = new AbortController();
  const endsAtMs = () => (stops ? Math.min(dueMs, claimed.leaseEndsAtMs) : dueMs);
  const late = sleepUntil(deps, { endsAtMs, signal: over.signal }).then((passed) => !passed);
  const isOver = await Promise.race([exited.then(() => true), late]);
  over.abort();
  return isOver;
}

/** Waits until a moment on the boot-time clock, which may move while it waits; false when the signal aborts first. */
async function sleepUntil(
  deps: AttemptDeps,
  args: { endsAtMs: () => number; signal: AbortSignal },
): Promise<boolean> {
  for (let leftMs = remaining(); leftMs > 0; leftMs = remaining()) {
    try {
      await deps.sleep(Math.min(leftMs, SLEEP_MOST_MS), args.signal);
    } catch {
      return false;
    }
  }
  return !args.signal.aborted;

  function remaining(): number {
    return args.endsAtMs() - deps.bootClock.nowMs();
  }
}
