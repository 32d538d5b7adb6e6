const SLOTS_FIRST = 1024;
/** Above this share of full slots, searching a free one is slow. */
const LOAD_MAX = 0.5;
const LOW_BITS = 2 ** 32;
const HIGH_BITS = 2 ** 20;

/** A hash of 52 bits. 0 stands for a free slot. */
function hashOf(text: string): number {
  let [a, b] = [0x811c9dc5, 0x9e3779b9];
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ code, 0x85ebca6b);
    b ^= b >>> 13;
  }
  a ^= a >>> 16;
  return ((b >>> 0) % HIGH_BITS) * LOW_BITS + (a >>> 0) || 1;
}

/**
 * Counts how often each key has occurred. It stores hashes in one typed array, 16 to 32 bytes per key, because a map of
 * 100,000 keys needs several times the memory. Two keys with the same hash count as one, in every attempt alike.
 */
export class KeyCounter {
  #slots = new Float64Array(SLOTS_FIRST);
  #used = 0;
  /** Keys that occurred more than once. They are few. */
  readonly #repeated = new Map<number, number>();

  /** Which occurrence of the key this is, from 1. */
  count(key: string): number {
    const hash = hashOf(key);
    if (this.#add(hash)) return 1;
    const ordinal = (this.#repeated.get(hash) ?? 1) + 1;
    this.#repeated.set(hash, ordinal);
    return ordinal;
  }

  /** Whether the number is new. */
  #add(hash: number): boolean {
    const mask = this.#slots.length - 1;
    let slot = hash % this.#slots.length;
    for (let held = this.#slots[slot]; held; held = this.#slots[slot]) {
      if (held === hash) return false;
      slot = (slot + 1) & mask;
    }
    this.#slots[slot] = hash;
    this.#used += 1;
    if (this.#used > this.#slots.length * LOAD_MAX) this.#grow();
    return true;
  }

  #grow(): void {
    const before = this.#slots;
    this.#slots = new Float64Array(before.length * 2);
    this.#used = 0;
    for (const hash of before) if (hash !== 0) this.#add(hash);
  }
}
