import type { ControlRecord } from "@towpath/contract";
import { killGroup } from "../host/index.ts";
import { STOPS, type StopReason } from "../launch/index.ts";
import { type AttemptDeps, instant } from "./deps.ts";
import type { HeldProcess, Hold } from "./hold.ts";
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
export function requestStop(deps: AttemptDeps, hold: Hold, a: { reason: StopReason } & StopOptions): void {
  if (!isBusy(hold.phase)) return;
  const first = hold.stop === null;
  if (!first && a.reason !== "abandoned" && a.now !== true) return;
  if (first || a.reason === "abandoned") hold.stop = a.reason;
  hold.cancelReason ||= a.words ?? "";
  deps.log.info({ attempt: hold.name, reason: hold.stop }, "stopping an attempt");
  hold.stopping.abort(new Error(STOPS[a.reason].sentence));
  if (!hold.process) return;
  if (first) startEscalation(deps, hold);
  else if (a.now === true) void signal(deps, hold, { process: hold.process, signal: "SIGKILL" });
  if (first && a.now === true) void signal(deps, hold, { process: hold.process, signal: "SIGKILL" });
}

/** Begins to stop the process of an attempt that has a reason to stop. */
export function startEscalation(deps: AttemptDeps, hold: Hold): void {
  const { process, stop } = hold;
  if (!process || stop === null) return;
  escalate(deps, hold, { process, stop }).catch((error: unknown) => {
    deps.log.error({ attempt: hold.name, error: String(error) }, "an attempt's process could not be stopped");
  });
}

/**
 * Asks, then terminates, then kills. Asking takes time only where somebody listens; a lease that ran out leaves no time to
 * ask, because soon the attempt may be another worker's.
 */
async function escalate(
  deps: AttemptDeps,
  hold: Hold,
  a: { process: HeldProcess; stop: StopReason },
): Promise<void> {
  // The disk is never waited for: a process must end in time although its worker's disk is full or slow.
  const written = [noteReason(deps, hold)];
  const record = (stage: Stage) => written.push(recordStage(deps, hold, stage));
  const graceMs = hold.file?.spec.killGraceMs ?? 0;
  const hurried = a.stop === "lost" || a.stop === "abandoned" || a.stop === "secrets-changed";
  if (!hurried) {
    const { cause, sentence } = STOPS[a.stop];
    hold.board.cancel({ reason: hold.cancelReason || sentence, cause });
    record("asked");
    if (hold.board.listening() && (await endsWithin(deps, a.process, graceMs))) return;
  }
  await signal(deps, hold, { process: a.process, signal: "SIGTERM" });
  record("terminated");
  // Under a lost lease the whole grace belongs to the control plane's patience; be gone well before it ends.
  if (await endsWithin(deps, a.process, hurried ? graceMs / 2 : graceMs)) return;
  await signal(deps, hold, { process: a.process, signal: "SIGKILL" });
  record("killed");
  await Promise.all(written);
}

/** Writes down why the attempt is being stopped, for a worker that takes over in the middle of it. */
async function noteReason(deps: AttemptDeps, hold: Hold): Promise<void> {
  try {
    await hold.save();
  } catch (error) {
    deps.log.error({ attempt: hold.name, error: String(error) }, "the reason of a stop could not be written");
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
  hold: Hold,
  a: { process: HeldProcess; signal: NodeJS.Signals },
): Promise<void> {
  try {
    await killGroup(a.process.identity, a.signal, { orphanMarker: a.process.mark });
  } catch (error) {
    deps.log.error({ attempt: hold.name, signal: a.signal, error: String(error) }, "a signal was refused");
  }
}

async function recordStage(deps: AttemptDeps, hold: Hold, stage: Stage): Promise<void> {
  if (hold.stop === "abandoned") return;
  try {
    const spool = await hold.spool();
    if (!spool.terminated) await spool.control({ type: "stage", at: instant(deps.clock), stage });
    deps.events.pending();
  } catch (error) {
    // The process must be stopped whether or not there is room to say so.
    deps.log.warn({ attempt: hold.name, stage, error: String(error) }, "a stage could not be recorded");
  }
}
