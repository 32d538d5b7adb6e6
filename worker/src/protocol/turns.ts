import { type Backoff, createBackoff } from "@towpath/contract";
import type { Clock } from "../host/index.ts";

/** Gives each attempt its turn: one with many records must not make the others wait. */
export class Turns<Key extends object> {
  readonly #last = new WeakMap<Key, number>();
  #turn = 0;

  /** Sorts those that waited longest first. Equals keep their order. */
  inOrder(all: readonly Key[]): Key[] {
    return all.toSorted((a, b) => this.#lastOf(a) - this.#lastOf(b));
  }

  /** These have had their turn. */
  had(keys: readonly Key[]): void {
    this.#turn += 1;
    for (const key of keys) this.#last.set(key, this.#turn);
  }

  #lastOf(key: Key): number {
    return this.#last.get(key) ?? 0;
  }
}

interface Stalled {
  readonly backoff: Backoff;
  untilMs: number;
}

/**
 * Attempts that are delayed alone, because the control plane answered their report and took nothing. The others
 * go on reporting.
 */
export class StalledReports<Key extends object> {
  readonly #deps: { readonly bootClock: Clock; readonly random: () => number };
  #stalled = new Map<Key, Stalled>();

  constructor(deps: { readonly bootClock: Clock; readonly random: () => number }) {
    this.#deps = deps;
  }

  /** Those that may report now. Forgets what is not in `all`. */
  due(all: readonly Key[]): Key[] {
    if (this.#stalled.size === 0) return [...all];
    this.#stalled = new Map(all.flatMap((key) => this.#entry(key)));
    const nowMs = this.#deps.bootClock.nowMs();
    return all.filter((key) => (this.#stalled.get(key)?.untilMs ?? nowMs) <= nowMs);
  }

  /** Milliseconds until the next one is due; infinity if there is none. */
  nextInMs(): number {
    const nowMs = this.#deps.bootClock.nowMs();
    return Math.min(...[...this.#stalled.values()].map(({ untilMs }) => Math.max(0, untilMs - nowMs)));
  }

  /** A report of one was answered. */
  answered(key: Key, args: { progressed: boolean }): void {
    if (args.progressed) {
      this.#stalled.delete(key);
      return;
    }
    const { bootClock, random } = this.#deps;
    const stalled = this.#stalled.get(key) ?? { backoff: createBackoff(random), untilMs: 0 };
    stalled.untilMs = bootClock.nowMs() + stalled.backoff.next();
    this.#stalled.set(key, stalled);
  }

  #entry(key: Key): [Key, Stalled][] {
    const stalled = this.#stalled.get(key);
    return stalled === undefined ? [] : [[key, stalled]];
  }
}
