import type { Ref } from "@towpath/contract";
import { PACK_BYTES_MAX, PACKED_BYTES_MAX } from "../store/packs.ts";
import type { Encoded, Store } from "../store/store.ts";

/** The most values of one pack. */
const PACK_VALUES_MAX = 5_000;

interface Waiting {
  readonly value: Encoded;
  readonly resolve: (ref: Ref) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Keeps results, small ones together: what comes while one pack is being written makes up the next. No timers: a value that
 * comes alone is written at once, and under load packs grow by themselves. Large values go by themselves, side by side.
 */
export class CheckpointWriter {
  readonly #store: Store;
  #waiting: Waiting[] = [];
  #flushing = false;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Resolves once the value is in the store. @throws StoreFault */
  async keep(value: Encoded): Promise<Ref> {
    if (value.bytes.byteLength > PACKED_BYTES_MAX) return await this.#alone(value);
    const { promise, resolve, reject } = Promise.withResolvers<Ref>();
    this.#waiting.push({ value, resolve, reject });
    if (!this.#flushing) {
      this.#flushing = true;
      // A turn later, so that what is kept together goes together.
      setImmediate(() => void this.#flush());
    }
    return await promise;
  }

  async #alone(value: Encoded): Promise<Ref> {
    const [ref] = await this.#store.saveTogether([value]);
    if (ref === undefined) throw new TypeError("A store answered no ref for a value.");
    return ref;
  }

  async #flush(): Promise<void> {
    for (let pack = this.#nextPack(); pack.length > 0; pack = this.#nextPack()) {
      try {
        const refs = await this.#store.saveTogether(pack.map(({ value }) => value));
        for (const [index, ref] of refs.entries()) pack[index]?.resolve(ref);
      } catch (error) {
        for (const { reject } of pack) reject(error);
      }
    }
    this.#flushing = false;
  }

  #nextPack(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { value } of this.#waiting) {
      bytes += value.bytes.byteLength;
      if (count >= PACK_VALUES_MAX || bytes > PACK_BYTES_MAX) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }
}
