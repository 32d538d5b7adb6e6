/**
 * A set for very many short-lived entries. A `Set` keeps removed entries in memory until a full garbage collection,
 * because each of its old tables points to the next. This one reuses free slots.
 */
export class OpenSet<Value> {
  readonly #places: (Value | undefined)[] = [];
  readonly #free: number[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds a value. The returned function removes it. */
  add(value: Value): () => void {
    const place = this.#free.pop() ?? this.#places.length;
    this.#places[place] = value;
    this.#size += 1;
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      this.#places[place] = undefined;
      this.#free.push(place);
      this.#size -= 1;
    };
  }

  /** The current values. */
  values(): Value[] {
    return this.#places.filter((value) => value !== undefined);
  }
}
