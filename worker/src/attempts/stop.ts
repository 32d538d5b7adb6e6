import type { ControlRecord } from "@towpath/contract";
import { killGroup } from "../host/index.ts";
import { STOPS, type StopReason } from "../launch/index.ts";
import type { ClaimedAttempt, HeldProcess } from "./claimed-attempt.ts";
import { type AttemptDeps, instant } from "./deps.ts";
import { isBusy } from "./phases.ts";

type Stage = Extract<ControlRecord, { type: "stage" }>["stage"];

/** How gently to stop. */
export interface StopOptions {
  /** Somebody's words, for the flow that is asked to end. */
  readonly words?: string;
  /** Kills at once, without asking. */
  readonly now?: boolean;
}

/**
 * Has an attempt stopped, once: the first reason stays, save that an attempt which is no longer ours reports nothing whatever
 * else was wanted. Answers at once; the attempt's own course does the rest.
 */
export function requestStop(
  deps: AttemptDeps,
  claimed: ClaimedAttempt,
  args: { reason: StopReason } & StopOptions,
): void {
  if (!isBusy(claimed.phase)) return;
  const first = claimed.stop === null;
  if (!first && args.reason !== "abandoned" && args.now !== true) return;
  if (first || args.reason === "abandoned") claimed.stop = args.reason;
  claimed.cancelReason ||= args.words ?? "";
  deps.log.info({ attempt: claimed.name, reason: claimed.stop }, "stopping an attempt");
  claimed.stopping.abort(new Error(STOPS[args.reason].sentence));
  if (!claimed.process) return;
  if (first) startEscalation(deps, claimed);
  else if (args.now === true) void signal(deps, claimed, { process: claimed.process, signal: "SIGKILL" });
  if (first && args.now === true) void signal(deps, claimed, { process: claimed.process, signal: "SIGKILL" });
}

/** Begins to stop the process of an attempt that has a reason to stop. */
export function startEscalation(deps: AttemptDeps, claimed: ClaimedAttempt): void {
  const { process, stop } = claimed;
  if (!process || stop === null) return;
  escalate(deps, claimed, { process, stop }).catch((error: unknown) => {
    deps.log.error(
      { attempt: claimed.name, error: String(error) },
      "an attempt's process could not be stopped",
    );
  });
}

/**
 * Asks, then terminates, then kills. Asking takes time only where somebody listens; a lease that ran out leaves no time to
 * ask, because soon the attempt may be another worker's.
 */
async function escalate(
  deps: AttemptDeps,
  claimed: ClaimedAttempt,
  args: { process: HeldProcess; stop: StopReason },
): Promise<void> {
  // The disk is never waited for: a process must end in time although its worker's disk is full or slow.
  const written = [noteReason(deps, claimed)];
  const record = (stage: Stage) => written.push(recordStage(deps, claimed, stage));
  const graceMs = claimed.file?.spec.killGraceMs ?? 0;
  const hurried = args.stop === "lost" || args.stop === "abandoned" || args.stop === "secrets-changed";
  if (!hurried) {
    const { cause, sentence } = STOPS[args.stop];
    claimed.board.cancel({ reason: claimed.cancelReason || sentence, cause });
    record("asked");
    if (claimed.board.listening() && (await endsWithin(deps, args.process, graceMs))) return;
  }
  await signal(deps, claimed, { process: args.process, signal: "SIGTERM" });
  record("terminated");
  // Under a lost lease the whole grace belongs to the control plane's patience; be gone well before it ends.
  if (await endsWithin(deps, args.process, hurried ? graceMs / 2 : graceMs)) return;
  await signal(deps, claimed, { process: args.process, signal: "SIGKILL" });
  record("killed");
  await Promise.all(written);
}

/** Writes down why the attempt is being stopped, for a worker that takes over in the middle of it. */
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

async function endsWithin(deps: AttemptDeps, process: HeldProcess, ms: number): Promise<boolean> {
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
  args: { process: HeldProcess; signal: NodeJS.Signals },
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
    deps.events.pending();
  } catch (error) {
    // The process must be stopped whether or not there is room to say so.
    deps.log.warn({ attempt: claimed.name, stage, error: String(error) }, "a stage could not be recorded");
  }
}
