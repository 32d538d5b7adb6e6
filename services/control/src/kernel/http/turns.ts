/** Lets a few pieces of work go on at once. Others wait for their turn, in their order, and no more than some. */
export class Turns {
  readonly #atOnce: number;
  readonly #waitingMost: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(a: { atOnce: number; waitingMost: number }) {
    this.#atOnce = a.atOnce;
    this.#waitingMost = a.waitingMost;
  }

  /** Whether nothing goes on or waits. */
  get isIdle(): boolean {
    return this.#running === 0 && this.#waiting.length === 0;
  }

  /** Whether one more would neither go on at once nor may wait. */
  get isFull(): boolean {
    return this.#running >= this.#atOnce && this.#waiting.length >= this.#waitingMost;
  }

  /** Does a piece of work in its turn. The caller has seen that it is not full. */
  async take<T>(work: () => Promise<T>): Promise<T> {
    // Whoever ends hands its turn over, so that nobody who comes meanwhile takes it.
    if (this.#running < this.#atOnce) this.#running += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
