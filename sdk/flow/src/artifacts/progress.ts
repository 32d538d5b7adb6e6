import { setImmediate as nextTurn } from "node:timers/promises";
import { type Scope, tracked } from "../engine/scope.ts";
import { artifactScope, draftOf } from "./post.ts";

/** Options of a progress artifact. */
export interface ProgressArtifact {
  readonly key: string;
  readonly title?: string;
  /** The total; null if it is unknown. @default null */
  readonly total?: number | null;
  /** The unit, such as "rows". At most 32 characters. @default "" */
  readonly unit?: string;
}

/** A progress bar. */
export interface Progress {
  /**
   * Sets the progress. Fast enough for tight loops: while one update is being sent, only the latest is stored. You need
   * not await it. Awaiting it gives the event loop a turn now and then, and throws if the run or the try must stop.
   */
  update(done: number): Promise<void>;
  /** Adds to the progress. */
  advance(by?: number): Promise<void>;
}

/** How long a loop that awaits its updates may block the event loop. */
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
    // A caller that does not await it does not handle its rejection.
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

  /** The run waits for the last update before it ends. A sink that refuses records fails the run by itself. */
  #send(): void {
    if (this.#sending || this.#sent === this.#done) return;
    this.#sending = true;
    void tracked(this.#scope, this.#sendLatest());
  }

  /** Sends one update at a time until the latest one is sent. */
  async #sendLatest(): Promise<void> {
    const { key, title = "", total = null, unit = "" } = this.#shown;
    while (this.#sent !== this.#done) {
      const done = this.#done;
      const body = { kind: "progress", done, total, unit: unit.slice(0, UNIT_CHARS_MAX) } as const;
      await this.#scope.run.host.records.postHeld(draftOf(this.#scope, { key, title, body }));
      this.#sent = done;
    }
    this.#sending = false;
  }
}

/** Begins a progress artifact at 0. */
export function progress(shown: ProgressArtifact): Progress {
  const reporting = new Reporting(artifactScope(), shown);
  void reporting.update(0);
  return reporting;
}
