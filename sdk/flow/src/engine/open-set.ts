/**
 * What is open at the moment, where very much opens and closes. A `Set` would do but for its memory: each table it outgrows
 * points to the next one, so that one in the old generation keeps all that were ever in those after it until a full
 * collection. Here a place that is left is taken again.
 */
export class OpenSet<Value> {
  readonly #places: (Value | undefined)[] = [];
  readonly #free: number[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds a value until the answer is called. */
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

  /** What is open now. */
  values(): Value[] {
    return this.#places.filter((value) => value !== undefined);
  }
}
