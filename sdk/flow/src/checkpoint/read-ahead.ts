import type { Ref } from "@towpath/contract";

/** The most values to read ahead. One that this many later calls did not take is dropped. */
const AHEAD_MAX = 64;
/** Larger values are read on demand, so that memory stays small. Bytes. */
const AHEAD_BYTES_MAX = 64 * 1024;

/**
 * Loads results of earlier attempts before the calls take them, in the order in which they were stored. Each result may
 * be its own file or object, so a loop that has suspended thousands of times would otherwise wait for each.
 */
export class ReadAhead {
  readonly #load: (ref: Ref) => Promise<unknown>;
  readonly #rest: Iterator<readonly [string, Ref]>;
  readonly #begun = new Map<string, { readonly value: Promise<unknown>; readonly atTake: number }>();
  #takes = 0;

  /** @param rest Results that have not been taken, by path. Read step by step. */
  constructor(rest: Iterable<readonly [string, Ref]>, load: (ref: Ref) => Promise<unknown>) {
    this.#load = load;
    this.#rest = rest[Symbol.iterator]();
  }

  /** Takes the value at a path. */
  async take(path: string, ref: Ref): Promise<unknown> {
    const value = this.#begun.get(path)?.value ?? this.#load(ref);
    this.#begun.delete(path);
    this.#takes += 1;
    this.#letGo();
    this.#begin();
    return await value;
  }

  /** A changed flow may never take some values. They must not block others. */
  #letGo(): void {
    for (const [path, { atTake }] of this.#begun) {
      if (this.#takes - atTake <= AHEAD_MAX) return;
      this.#begun.delete(path);
    }
  }

  #begin(): void {
    while (this.#begun.size < AHEAD_MAX) {
      const { value, done } = this.#rest.next();
      if (done) return;
      const [path, ref] = value;
      if (ref.sizeBytes > AHEAD_BYTES_MAX) continue;
      const loading = this.#load(ref);
      // The call that takes the value hears of a failure. If no call takes it, the failure does not matter.
      loading.catch(() => {});
      this.#begun.set(path, { value: loading, atTake: this.#takes });
    }
  }
}
