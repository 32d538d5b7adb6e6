import type { Logger } from "pino";
import type { Clock, Sleep } from "../host/index.ts";
import type { WorkerIdentity } from "./identity.ts";

/**
 * How long after an answer a later one must not have a lower position, milliseconds: a position may be a second
 * old when it is sent.
 */
const SETTLED_MS = 5_000;
/** How often the position is written to the disk, milliseconds. */
const NOTE_MS = 60_000;
/** The pause after an offering that failed, milliseconds. */
const AGAIN_MS = 1_000;

/** What an answer says of the database. A control plane of an earlier release says less, or nothing. */
export interface AnsweredBy {
  readonly incarnation?: string | undefined;
  readonly position?: number | undefined;
}

/** A position, and when it was heard, on the boot-time clock. */
interface Heard {
  readonly position: number;
  readonly atMs: number;
}

/** What the watch needs. */
export interface DatabaseWatchDeps {
  readonly log: Logger;
  readonly bootClock: Clock;
  readonly sleep: Sleep;
  readonly identity: WorkerIdentity;
  /** Offers again what was acknowledged in the last hour. Resolves once all of it was answered. */
  readonly offerAgain: (signal: AbortSignal) => Promise<void>;
  /** Called when everything was offered again. */
  readonly offered: () => void;
}

/**
 * Notices from the control plane's answers that its database went back. Then it offers again what this worker
 * knows and the database may have forgotten. The incarnation is kept on disk, for the time after a restart.
 */
export class DatabaseWatch {
  readonly #deps: DatabaseWatchDeps;
  readonly #stopping = new AbortController();
  /** The incarnation that answers; the one before it, and when it changed. */
  #current: string | null;
  #before: { readonly incarnation: string | null; readonly atMs: number } | null = null;
  /** The incarnation to which everything was offered. */
  #offeredTo: string | null;
  /** How often the database went back. The same incarnation can go back again during an offering. */
  #falls = 0;
  /** The highest position below which no later answer may be, and the highest since. */
  #floor: Heard | null;
  #newest: Heard | null = null;
  #notedAtMs: number;
  #tellsPosition = false;
  #offering: Promise<void> | null = null;

  constructor(deps: DatabaseWatchDeps) {
    this.#deps = deps;
    const { incarnation, position } = deps.identity.met;
    this.#current = incarnation;
    this.#offeredTo = incarnation;
    this.#floor = position === null ? null : { position, atMs: Number.NEGATIVE_INFINITY };
    this.#notedAtMs = deps.bootClock.nowMs();
  }

  /**
   * Whether something that the database has forgotten may still be offered. Until then no attempt is let go
   * because the database does not know it.
   */
  get isOffering(): boolean {
    return this.#offeredTo !== this.#current;
  }

  /** What a poll says of it. Undefined: the control plane's release does not ask. */
  get reconciled(): string | null | undefined {
    if (!this.#tellsPosition) return undefined;
    return this.isOffering ? null : this.#offeredTo;
  }

  /** Takes what an answer says of the database, before the answer is used. */
  heard({ incarnation, position }: AnsweredBy, sentAtMs: number): void {
    if (incarnation !== undefined && this.#isLate(incarnation, sentAtMs)) return;
    // The latest answer counts: after a rollback, or with a replica of an earlier release, a poll must not say
    // what is not asked.
    this.#tellsPosition = position !== undefined;
    if (incarnation === undefined) return;
    const isFirst = this.#current === null;
    const isAnother = this.#current !== incarnation;
    if (!isFirst && (isAnother || this.#fell(position, sentAtMs))) this.#wentBack({ incarnation, position });
    else if (isFirst) this.#meetFirst({ incarnation, position });
    if (position !== undefined) this.#note(position);
  }

  /** Resolves once nothing is being offered, or the worker stops. */
  async settled(): Promise<void> {
    await this.#offering;
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the worker stops"));
    await this.#offering;
  }

  /** Whether an answer to an older request still names the database before. */
  #isLate(incarnation: string, sentAtMs: number): boolean {
    const before = this.#before;
    return before !== null && incarnation === before.incarnation && sentAtMs < before.atMs + SETTLED_MS;
  }

  #fell(position: number | undefined, sentAtMs: number): boolean {
    const floor = this.#floor;
    if (floor === null || position === undefined) return false;
    return floor.atMs + SETTLED_MS <= sentAtMs && position < floor.position;
  }

  #wentBack(to: AnsweredBy & { incarnation: string }): void {
    this.#deps.log.warn(
      to,
      "the control plane's database was restored or restarted; sending the records of the last hour again",
    );
    this.#before = { incarnation: this.#current, atMs: this.#deps.bootClock.nowMs() };
    this.#current = to.incarnation;
    this.#offeredTo = null;
    this.#falls += 1;
    this.#floor = null;
    this.#newest = null;
    this.#offering ??= this.#offer();
  }

  #meetFirst({ incarnation, position }: AnsweredBy & { incarnation: string }): void {
    this.#current = incarnation;
    this.#offeredTo = incarnation;
    void this.#remember({ incarnation, position: position ?? null });
  }

  #note(position: number): void {
    const atMs = this.#deps.bootClock.nowMs();
    if (this.#newest === null || atMs - this.#newest.atMs >= SETTLED_MS) {
      this.#floor = this.#newest ?? this.#floor;
      this.#newest = { position, atMs };
    }
    if (this.isOffering || atMs - this.#notedAtMs < NOTE_MS) return;
    this.#notedAtMs = atMs;
    void this.#remember({ incarnation: this.#current, position });
  }

  async #offer(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted && this.isOffering) {
      const [to, falls] = [this.#current, this.#falls];
      try {
        await this.#deps.offerAgain(signal);
        if (signal.aborted || falls !== this.#falls) continue;
        // On the disk last: a worker that is killed before it has offered everything must do so after its restart.
        await this.#deps.identity.meet({ incarnation: to, position: this.#newest?.position ?? null });
        if (falls !== this.#falls) continue;
        this.#offeredTo = to;
        this.#deps.log.info({ incarnation: to }, "all records were sent again");
        this.#deps.offered();
      } catch (error) {
        this.#deps.log.error(
          { error: String(error) },
          "sending records again failed; it will be tried again",
        );
        await this.#deps.sleep(AGAIN_MS, signal).catch(() => {});
      }
    }
    // In the same step as the last check: a fall that is noticed next begins a new offering.
    this.#offering = null;
  }

  async #remember(met: WorkerIdentity["met"]): Promise<void> {
    try {
      await this.#deps.identity.meet(met);
    } catch (error) {
      // Without it a restart of this worker may miss a change. Its runs do not depend on it.
      this.#deps.log.warn(
        { error: String(error) },
        "the identity of the control plane's database cannot be stored",
      );
    }
  }
}
