import type { Objects } from "./objects.ts";

/** Values up to this size are written together. */
export const PACKED_BYTES_MAX = 256 * 1024;
/** The largest pack. */
export const PACK_BYTES_MAX = 8 * 1024 * 1024;
/** The most bytes of packs in memory, so that neighbours need no further read. */
const CACHE_BYTES_MAX = 64 * 1024 * 1024;

/** Reads complete packs and caches them. The least recently used are dropped first. */
export class PackReader {
  readonly #objects: Objects;
  readonly #kept = new Map<string, Promise<Uint8Array>>();
  #bytes = 0;

  constructor(objects: Objects) {
    this.#objects = objects;
  }

  /**
   * A pack's bytes. A growing pack is read again for later values.
   * @param leastBytes How many bytes are needed.
   * @throws StoreFault
   */
  async read(uri: string, leastBytes: number): Promise<Uint8Array> {
    const known = this.#kept.get(uri);
    if (known !== undefined) {
      const bytes = await known;
      // Another reader may have replaced or dropped it.
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
