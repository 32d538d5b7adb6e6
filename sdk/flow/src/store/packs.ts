import type { Objects } from "./objects.ts";

/** A value up to this size is written together with others. */
export const PACKED_BYTES_MAX = 256 * 1024;
/** The largest pack. */
export const PACK_BYTES_MAX = 8 * 1024 * 1024;
/** What is kept of packs that were read, so that neighbours cost no further read. */
const CACHE_BYTES_MAX = 64 * 1024 * 1024;

/** Reads packs whole, and each once while it is kept: the least lately used go first. */
export class PackReader {
  readonly #objects: Objects;
  readonly #kept = new Map<string, Promise<Uint8Array>>();
  #bytes = 0;

  constructor(objects: Objects) {
    this.#objects = objects;
  }

  /**
   * A pack's bytes. One that is still growing is read again for what came later.
   * @param leastBytes How many of them are needed.
   * @throws StoreFault
   */
  async read(uri: string, leastBytes: number): Promise<Uint8Array> {
    const known = this.#kept.get(uri);
    if (known !== undefined) {
      const bytes = await known;
      // Another reader may have replaced or dropped it meanwhile.
      if (this.#kept.get(uri) === known) this.#kept.delete(uri);
      if (bytes.byteLength >= leastBytes) {
        this.#kept.set(uri, known);
        return bytes;
      }
      this.#bytes -= bytes.byteLength;
    }
    const reading = this.#objects.read(uri, PACK_BYTES_MAX);
    this.#kept.set(uri, reading);
    try {
      const bytes = await reading;
      this.#bytes += bytes.byteLength;
      await this.#trim();
      return bytes;
    } catch (error) {
      this.#kept.delete(uri);
      throw error;
    }
  }

  async #trim(): Promise<void> {
    for (const [uri, reading] of this.#kept) {
      if (this.#bytes <= CACHE_BYTES_MAX) return;
      this.#kept.delete(uri);
      this.#bytes -= await reading.then(
        (bytes) => bytes.byteLength,
        () => 0,
      );
    }
  }
}
