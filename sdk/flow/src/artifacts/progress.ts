import { setImmediate as nextTurn } from "node:timers/promises";
import type { Scope } from "../engine/scope.ts";
import { artifactScope, draftOf } from "./post.ts";

/** What is being counted. */
export interface ProgressArtifact {
  readonly key: string;
  readonly title?: string;
  /** How many in all; null when that is not known. @default null */
  readonly total?: number | null;
  /** What is counted, such as "rows". At most 32 characters. @default "" */
  readonly unit?: string;
}

/** Something that counts up while it is looked at. */
export interface Progress {
  /**
   * Says how far it is. Cheap enough for tight loops: while one update is on its way only the latest is kept.
   * Awaiting it gives the event loop a turn now and then, and throws if the run or the try is to stop; it need not be
   * awaited.
   */
  update(done: number): Promise<void>;
  /** Adds to what was done so far. */
  advance(by?: number): Promise<void>;
}

/** How long a loop that awaits its updates may keep the event loop to itself. */
const TURN_MS = 20;
const UNIT_CHARS_MAX = 32;

class Reporting implements Progress {
  readonly #scope: Scope;
  readonly #shown: ProgressArtifact;
  #done = 0;
  #sent: number | null = null;
  #sending = false;
  #lastTurn: number;

  constructor(scope: Scope, shown: ProgressArtifact) {
    this.#scope = scope;
    this.#shown = shown;
    this.#lastTurn = scope.run.host.clock.monotonicMs();
  }

  update(done: number): Promise<void> {
    const updated = this.#update(done);
    // Who does not await it has no use for the reason either.
    updated.catch(() => {});
    return updated;
  }

  async #update(done: number): Promise<void> {
    this.#done = Number.isFinite(done) ? done : 0;
    this.#send();
    const now = this.#scope.run.host.clock.monotonicMs();
    if (now - this.#lastTurn < TURN_MS) return;
    await nextTurn();
    this.#lastTurn = this.#scope.run.host.clock.monotonicMs();
    this.#scope.signal.throwIfAborted();
  }

  advance(by = 1): Promise<void> {
    return this.update(this.#done + by);
  }

  /** Flushes while nothing is in flight; the end of a flush sends what came meanwhile. */
  #send(): void {
    if (this.#sending || this.#sent === this.#done) return;
    this.#sending = true;
    this.#sent = this.#done;
    const { key, title = "", total = null, unit = "" } = this.#shown;
    const body = { kind: "progress", done: this.#done, total, unit: unit.slice(0, UNIT_CHARS_MAX) } as const;
    const draft = draftOf(this.#scope, { key, title, body });
    const next = () => {
      this.#sending = false;
      this.#send();
    };
    // A sink that refuses records fails the run by itself; progress has nothing to add to that.
    this.#scope.run.host.records.postHeld(draft).then(next, () => {});
  }
}

/** Begins a progress artifact at 0. */
export function progress(shown: ProgressArtifact): Progress {
  const reporting = new Reporting(artifactScope(), shown);
  void reporting.update(0);
  return reporting;
}
