import type { ClaimedAttempt } from "./claimed-attempt.ts";
import type { AttemptDeps } from "./deps.ts";
import { isBusy } from "./phases.ts";

/** An offering is stuck when the control plane answered for so long and nothing of it made progress, milliseconds. */
const STUCK_MS = 60_000;

/** What an offering needs to know of an attempt. */
export interface Owed
  extends Pick<
    ClaimedAttempt,
    "name" | "asks" | "resends" | "progress" | "phase" | "stop" | "assignment" | "letGo"
  > {
  readonly stored: { readonly spec: { readonly killGraceMs: number } } | null;
}

/** Everything that is offered again. */
export interface Offered {
  all(): readonly Owed[];
  /** Journals of ended attempts that are asked about, by name. They are closed. */
  readonly asked: Pick<Map<string, unknown>, "keys" | "delete">;
  /** How long the control plane has answered this worker and taken its reports, milliseconds. */
  readonly answeredMs: number;
}

/** The state of an attempt when its time began. */
interface Watched {
  /** Null: a journal that is asked about. */
  readonly progress: number | null;
  readonly isGoing: boolean;
  readonly answeredMs: number;
  readonly atMs: number;
}

/**
 * Knows which attempts an offering still waits for. One attempt without an answer, or one process that cannot be
 * killed, must not keep the worker from other work. Attempts are left out when none of them made progress for a
 * minute in which the control plane answered. While one makes progress, the others may wait for their turn.
 */
export class StuckOffers {
  readonly #deps: Pick<AttemptDeps, "log" | "bootClock">;
  readonly #offered: Offered;
  #watched = new Map<string, Watched>();
  readonly #leftOut = new Set<string>();

  constructor(deps: Pick<AttemptDeps, "log" | "bootClock">, offered: Offered) {
    this.#deps = deps;
    this.#offered = offered;
  }

  /** Leaves out the stuck attempts. @returns whether another is still waited for. */
  waits(): boolean {
    const open = this.#open();
    const cameOn = [...this.#watched].some(([name, before]) => hasComeOn(before, open.get(name)));
    const watched = new Map<string, Watched>();
    for (const [name, claimed] of open) {
      const now = this.#watch(claimed);
      const before = this.#watched.get(name) ?? now;
      // A process ends without any report.
      const isNew = before.isGoing !== now.isGoing || (cameOn && !now.isGoing);
      const since = isNew ? now : before;
      if (isStuck(claimed, { since, now })) this.#leaveOut(name, claimed);
      else watched.set(name, since);
    }
    this.#watched = watched;
    return watched.size > 0;
  }

  /** What is not done yet, by name; null for a journal that is asked about. */
  #open(): Map<string, Owed | null> {
    const owed = this.#offered.all().filter((claimed) => isOwed(claimed));
    const open = new Map<string, Owed | null>(owed.map((claimed) => [claimed.name, claimed]));
    for (const name of this.#offered.asked.keys()) if (!open.has(name)) open.set(name, null);
    for (const name of this.#leftOut) open.delete(name);
    return open;
  }

  #watch(claimed: Owed | null): Watched {
    const { answeredMs } = this.#offered;
    const atMs = this.#deps.bootClock.nowMs();
    if (claimed === null) return { progress: null, isGoing: false, answeredMs, atMs };
    return { progress: claimed.progress, isGoing: isGoing(claimed), answeredMs, atMs };
  }

  #leaveOut(name: string, claimed: Owed | null): void {
    this.#leftOut.add(name);
    const state = claimed === null ? "ended" : claimed.phase;
    this.#deps.log.error(
      { attempt: name, state, going: claimed !== null && isGoing(claimed) },
      "an attempt made no progress while records were sent again; it is skipped",
    );
    this.#offered.asked.delete(name);
    // A journal of an ended attempt takes room among the attempts. Its records stay as a late report.
    if (claimed?.assignment === null) claimed.letGo().catch((error: unknown) => this.#logStuck(name, error));
  }

  #logStuck(attempt: string, error: unknown): void {
    this.#deps.log.error({ attempt, error: String(error) }, "a journal could not be closed");
  }
}

/** Whether the reporting of an attempt made progress. One that is no longer open is done. */
function hasComeOn(before: Watched, claimed: Owed | null | undefined): boolean {
  if (before.isGoing) return false;
  return claimed === undefined || before.progress !== (claimed?.progress ?? null);
}

function isStuck(claimed: Owed | null, { since, now }: { since: Watched; now: Watched }): boolean {
  if (claimed === null || !now.isGoing) return now.answeredMs - since.answeredMs >= STUCK_MS;
  // The worker ends this process itself, within the time that the spec allows.
  return now.atMs - since.atMs >= STUCK_MS + (claimed.stored?.spec.killGraceMs ?? 0);
}

/** Whether an attempt is still to be asked about, sent again or stopped. */
function isOwed(claimed: Owed): boolean {
  return claimed.asks || claimed.resends || isGoing(claimed);
}

/** Whether an attempt of another claim still has a process here: the next one must not start beside it. */
function isGoing(claimed: Owed): boolean {
  return claimed.stop === "abandoned" && isBusy(claimed.phase);
}

/** The longest time between two answers that counts, milliseconds. A poll waits up to 25 s. */
const SILENCE_MAX_MS = 30_000;

/**
 * Counts the time in which the control plane answers this worker and takes its reports. While it is away, no
 * attempt is stuck.
 */
export class AnsweredTime {
  #totalMs = 0;
  /** When the last answer came. Null before the first, and after a failed report. */
  #lastAtMs: number | null = null;
  #reportsFail = false;
  #isReporting = false;

  /** Milliseconds since the worker's start. */
  get totalMs(): number {
    return this.#totalMs;
  }

  /** A call other than a report was answered. While a report is under way, this does not show that reports are answered. */
  answered(nowMs: number): void {
    if (this.#reportsFail || this.#isReporting) return;
    if (this.#lastAtMs !== null) this.#totalMs += Math.min(SILENCE_MAX_MS, nowMs - this.#lastAtMs);
    this.#lastAtMs = nowMs;
  }

  /** A report is sent. */
  reportSent(): void {
    this.#isReporting = true;
  }

  /** A report was answered. */
  reported(nowMs: number): void {
    this.#reportsFail = false;
    this.#isReporting = false;
    this.answered(nowMs);
  }

  /** A report was rejected as a whole. The next answer counts again. */
  reportRefused(): void {
    this.#isReporting = false;
  }

  /** A report had no answer. */
  reportFailed(): void {
    this.#reportsFail = true;
    this.#isReporting = false;
    this.#lastAtMs = null;
  }
}
