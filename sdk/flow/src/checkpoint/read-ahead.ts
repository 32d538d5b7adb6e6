import type { Ref } from "@towpath/contract";

/** How many values are read before anybody asks for them. One that so many other calls have passed over is let go. */
const AHEAD_MAX = 64;
/** A larger value is read when it is asked for, so that what is held ahead stays small, bytes. */
const AHEAD_BYTES_MAX = 64 * 1024;

/**
 * Loads what earlier attempts have left ahead of the calls that take it, in the order in which it was left. A flow takes one
 * result after the other, and each may lie in a file or an object of its own: read one by one, a loop that has suspended
 * thousands of times would wait for each.
 */
export class ReadAhead {
  readonly #load: (ref: Ref) => Promise<unknown>;
  readonly #rest: Iterator<readonly [string, Ref]>;
  readonly #begun = new Map<string, { readonly value: Promise<unknown>; readonly atTake: number }>();
  #takes = 0;

  /** @param rest What has not been taken yet, by path. It is asked for more as room comes. */
  constructor(rest: Iterable<readonly [string, Ref]>, load: (ref: Ref) => Promise<unknown>) {
    this.#load = load;
    this.#rest = rest[Symbol.iterator]();
  }

  /** The value under a path, which is taken now. */
  async take(path: string, ref: Ref): Promise<unknown> {
    const value = this.#begun.get(path)?.value ?? this.#load(ref);
    this.#begun.delete(path);
    this.#takes += 1;
    this.#letGo();
    this.#begin();
    return await value;
  }

  /** A flow that has changed may never take some: they must not keep the others from being read ahead. */
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
