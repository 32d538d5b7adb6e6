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
 * Stores results. Small results that arrive while a pack is being written form the next pack. There are no timers: a
 * single value is written at once, and packs grow under load. Large values are written separately and concurrently.
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
      // One turn later, so that values of the same turn share a pack.
      setImmediate(() => void this.#flush());
    }
    return await promise;
  }

  async #alone(value: Encoded): Promise<Ref> {
    const [ref] = await this.#store.saveTogether([value]);
    if (ref === undefined) throw new TypeError("A store returned no ref for a value.");
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
