/** Whose turn it is: one that has much to say must not keep the others waiting until it has said all of it. */
export class Turns<Key extends object> {
  readonly #last = new WeakMap<Key, number>();
  #turn = 0;

  /** Those that waited longest first; equals stay as they are. */
  inOrder(all: readonly Key[]): Key[] {
    return all.toSorted((a, b) => this.#lastOf(a) - this.#lastOf(b));
  }

  /** These have just had their turn. */
  had(keys: readonly Key[]): void {
    this.#turn += 1;
    for (const key of keys) this.#last.set(key, this.#turn);
  }

  #lastOf(key: Key): number {
    return this.#last.get(key) ?? 0;
  }
}
