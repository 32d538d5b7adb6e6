import { type ControlRecord, remoteTaskOf } from "@towpath/contract";
import { describeProcesses, findMarked, killGroup } from "../host/index.ts";
import { STOPS, type StopReason } from "../launch/index.ts";
import { isRunnerInside } from "../walls/index.ts";
import type { StoredAttempt } from "./attempt-store.ts";
import type { ClaimedAttempt, HeldProcess } from "./claimed-attempt.ts";
import { type AttemptDeps, instant } from "./deps.ts";

/** How long a process may stay after its flow has ended, milliseconds. */
const LINGER_MS = 30_000;
/** How long the process of a flow's hook may take, milliseconds. */
const CLEAN_UP_MS = 20_000;
/** What the run's log says of a hook that takes longer. */
export const HOOK_TOO_LONG = "The hook took too long, so its process was killed.";
/** How many processes are named in the run's log. */
const NAMED_MAX = 10;
/** The longest single sleep: the platform's timers overflow at 2^31 milliseconds. */
const SLEEP_MOST_MS = 24 * 3600 * 1000;

type Stage = Extract<ControlRecord, { type: "stage" }>["stage"];
type Exiting = Pick<HeldProcess, "identity" | "mark" | "exited">;

/** An attempt whose time is watched. */
interface Watched {
  readonly claimed: ClaimedAttempt;
  readonly stored: StoredAttempt;
}

/** Makes the process that an attempt holds. */
export function heldProcess(
  deps: AttemptDeps,
  claimed: ClaimedAttempt,
  { identity, mark, exited }: Exiting,
): HeldProcess {
  const process = { identity, mark, exited };
  return {
    ...process,
    stop() {
      const { stop } = claimed;
      if (stop === null) return;
      escalate(deps, claimed, { process, stop }).catch((error: unknown) => {
        const facts = { attempt: claimed.name, error: String(error) };
        deps.log.error(facts, "an attempt's process could not be stopped");
      });
    },
    kill: () => void signal(deps, claimed, { process, signal: "SIGKILL" }),
  };
}

/**
 * Asks, then terminates, then kills. It asks only where a flow listens, and not when the attempt may soon be
 * another worker's.
 */
async function escalate(
  deps: AttemptDeps,
  claimed: ClaimedAttempt,
  args: { process: Exiting; stop: StopReason },
): Promise<void> {
  // It does not wait for the disk: the process must end in time although the disk is full or slow.
  const written = [noteReason(deps, claimed)];
  const record = (stage: Stage) => written.push(recordStage(deps, claimed, stage));
  const graceMs = claimed.stored?.spec.killGraceMs ?? 0;
  const hurried = args.stop === "lost" || args.stop === "abandoned" || args.stop === "secrets-changed";
  if (!hurried) {
    const { cause, sentence } = STOPS[args.stop];
    claimed.board.cancel({ reason: claimed.cancelReason || sentence, cause });
    record("asked");
    if (claimed.board.listening() && (await endsWithin(deps, args.process, graceMs))) return;
  }
  await signal(deps, claimed, { process: args.process, signal: "SIGTERM" });
  record("terminated");
  // The process must be gone well before the control plane gives the attempt away.
  if (await endsWithin(deps, args.process, hurried ? graceMs / 2 : graceMs)) return;
  await signal(deps, claimed, { process: args.process, signal: "SIGKILL" });
  record("killed");
  await Promise.all(written);
}

/** Stores the reason, for a worker that is restarted during the stop. */
async function noteReason(deps: AttemptDeps, claimed: ClaimedAttempt): Promise<void> {
  try {
    await claimed.save();
  } catch (error) {
    deps.log.error(
      { attempt: claimed.name, error: String(error) },
      "the reason of a stop could not be written",
    );
  }
}

async function endsWithin(deps: AttemptDeps, process: Exiting, ms: number): Promise<boolean> {
  const over = new AbortController();
  const waited = deps.sleep(ms, over.signal).then(
    () => false,
    () => false,
  );
  const ended = await Promise.race([process.exited.then(() => true), waited]);
  over.abort();
  return ended;
}

async function signal(
  deps: AttemptDeps,
  claimed: ClaimedAttempt,
  args: { process: Exiting; signal: NodeJS.Signals },
): Promise<void> {
  try {
    await killGroup(args.process.identity, args.signal, { orphanMarker: args.process.mark });
  } catch (error) {
    deps.log.error(
      { attempt: claimed.name, signal: args.signal, error: String(error) },
      "a signal was refused",
    );
  }
}

async function recordStage(deps: AttemptDeps, claimed: ClaimedAttempt, stage: Stage): Promise<void> {
  if (claimed.stop === "abandoned") return;
  try {
    const spool = await claimed.spool();
    if (!spool.terminated) await spool.control({ type: "stage", at: instant(deps.clock), stage });
    deps.wake.report();
  } catch (error) {
    // The process is stopped even if there is no room for the record.
    deps.log.warn({ attempt: claimed.name, stage, error: String(error) }, "a stage could not be recorded");
  }
}

/** The time limits of an attempt, and the reason of a stop after each. */
function timeLimits({
  spec,
  assignment,
}: StoredAttempt): { ms: number; reason: "timeout" | "run-timeout" }[] {
  const left = [
    { ms: spec.timeoutMs, reason: "timeout" },
    // The signed limit counts too: what the control plane says is left of it is only a hint.
    { ms: assignment.endsInMs, reason: "run-timeout" },
    { ms: remoteTaskOf(assignment.trigger) === null ? spec.runTimeoutMs : null, reason: "run-timeout" },
  ] as const;
  return left.flatMap(({ ms, reason }) => (ms === null ? [] : [{ ms, reason }]));
}

/** Stops an attempt when its time limit, or that of its run, is over. One that runs only a hook has the limit of a hook. */
export function watchTimeout(deps: AttemptDeps, { claimed, stored }: Watched, signal: AbortSignal): void {
  const launchedAtMs = stored.launchedAtMs ?? deps.bootClock.nowMs();
  if (stored.assignment.onlyHook !== undefined) {
    void sleepUntil(deps, { endsAtMs: () => launchedAtMs + CLEAN_UP_MS, signal }).then(async (passed) => {
      if (!passed) return;
      // Before the end of the process, after which nothing more is written.
      const noted = claimed.note("warn", HOOK_TOO_LONG).catch(() => {});
      claimed.process?.kill();
      await noted;
    });
    return;
  }
  for (const { ms, reason } of timeLimits(stored)) {
    void sleepUntil(deps, { endsAtMs: () => launchedAtMs + ms, signal }).then((passed) => {
      if (passed) claimed.requestStop({ reason });
    });
  }
}

/** Under `onDisconnect: stop`, stops an attempt when its lease has expired: soon it may be another worker's. */
export function watchLease(deps: AttemptDeps, { claimed, stored }: Watched, signal: AbortSignal): void {
  if (stored.spec.onDisconnect !== "stop") return;
  void sleepUntil(deps, { endsAtMs: () => claimed.leaseEndsAtMs, signal }).then((passed) => {
    if (passed) claimed.requestStop({ reason: "lost" });
  });
}

/** Stops an attempt whose process stays after its flow has ended. */
export function watchLinger(deps: AttemptDeps, claimed: ClaimedAttempt): void {
  const endsAtMs = deps.bootClock.nowMs() + LINGER_MS;
  const over = new AbortController();
  void claimed.process?.exited.then(() => over.abort());
  void sleepUntil(deps, { endsAtMs: () => endsAtMs, signal: over.signal }).then(async (passed) => {
    if (!passed || claimed.stop !== null) return;
    const running = await stillRunning(claimed).catch(() => "");
    // It may have ended, or somebody may have cancelled it, meanwhile.
    if (over.signal.aborted || claimed.stop !== null) return;
    claimed.requestStop({ reason: "lingering" });
    await claimed.note("warn", `${STOPS.lingering.sentence}${running}`).catch(() => {});
  });
}

/** Which processes of the attempt still run: child processes, or else the attempt's own. */
async function stillRunning({ process, store }: ClaimedAttempt): Promise<string> {
  if (!process?.mark) return "";
  const found = (await findMarked(process.mark, process.identity)).filter(({ name }) => name !== "bwrap");
  const own =
    store.files.room === null
      ? [process.identity.pid]
      : await Promise.all(found.map(async ({ pid }) => ((await isRunnerInside(pid)) ? pid : -1)));
  const children = found.filter(({ pid }) => !own.includes(pid));
  const named = (children.length > 0 ? children : found).slice(0, NAMED_MAX);
  return named.length === 0 ? "" : ` Still running: ${await describeProcesses(named)}.`;
}

/**
 * Waits for the process of a hook. Returns false when its time is over, or, under `onDisconnect: stop`, when the
 * lease has expired.
 */
export async function untilCleanUpIsOver(
  deps: AttemptDeps,
  { claimed, stored, exited }: Watched & { readonly exited: Promise<unknown> },
): Promise<boolean> {
  const dueMs = deps.bootClock.nowMs() + CLEAN_UP_MS;
  const stops = stored.spec.onDisconnect === "stop";
  const over = new AbortController();
  const endsAtMs = () => (stops ? Math.min(dueMs, claimed.leaseEndsAtMs) : dueMs);
  const late = sleepUntil(deps, { endsAtMs, signal: over.signal }).then((passed) => !passed);
  const isOver = await Promise.race([exited.then(() => true), late]);
  over.abort();
  return isOver;
}

/** Waits for an instant on the boot-time clock, which may move meanwhile. Returns false when the signal aborts first. */
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
