/** Work did not start, because its caller gave up waiting for its turn. */
export class NoTurn extends Error {
  override readonly name = "NoTurn";
}

/** Lets a few pieces of work go on at once. Others wait for their turn, in their order, and no more than some. */
export class Turns {
  readonly #atOnce: number;
  readonly #waitingMost: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(args: { atOnce: number; waitingMost: number }) {
    this.#atOnce = args.atOnce;
    this.#waitingMost = args.waitingMost;
  }

  /** Whether nothing goes on or waits. */
  get isIdle(): boolean {
    return this.#running === 0 && this.#waiting.length === 0;
  }

  /** Whether one more would neither go on at once nor may wait. */
  get isFull(): boolean {
    return this.#running >= this.#atOnce && this.#waiting.length >= this.#waitingMost;
  }

  /**
   * Does a piece of work in its turn. The caller has seen that it is not full.
   * @param until Fires when the wait for a turn ends without one. Made only for work that waits.
   * @throws NoTurn; what the work throws.
   */
  async take<T>(work: () => Promise<T>, until: () => AbortSignal): Promise<T> {
    // Ended work passes its turn on, so that no newer caller takes it.
    if (this.#running < this.#atOnce) this.#running += 1;
    else await this.#turn(until());
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  #turn(until: AbortSignal): Promise<void> {
    if (until.aborted) return Promise.reject(new NoTurn());
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const begin = () => {
      until.removeEventListener("abort", giveUp);
      resolve();
    };
    const giveUp = () => {
      this.#waiting.splice(this.#waiting.indexOf(begin), 1);
      reject(new NoTurn());
    };
    this.#waiting.push(begin);
    until.addEventListener("abort", giveUp, { once: true });
    return promise;
  }
}

/** Lets a few pieces of work go on at once. Others wait, and each owner in turn has one of its own done. */
export class SharedTurns {
  readonly #atOnce: number;
  readonly #waitingMost: number;
  /** By owner, the one whose turn is next first. No list is empty. */
  readonly #waiting = new Map<string, (() => void)[]>();
  #running = 0;

  /** @param args.waitingMost How many of one owner may wait. */
  constructor(args: { atOnce: number; waitingMost: number }) {
    this.#atOnce = args.atOnce;
    this.#waitingMost = args.waitingMost;
  }

  /** Whether one more of an owner would neither go on at once nor may wait. */
  isFull(owner: string): boolean {
    if (this.#running < this.#atOnce) return false;
    return (this.#waiting.get(owner)?.length ?? 0) >= this.#waitingMost;
  }

  /** Does a piece of work in its turn. The caller has seen that it is not full. */
  async take<T>(owner: string, work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#atOnce) this.#running += 1;
    else await new Promise<void>((resolve) => this.#wait(owner, resolve));
    try {
      return await work();
    } finally {
      this.#handOver();
    }
  }

  #wait(owner: string, resolve: () => void): void {
    const own = this.#waiting.get(owner);
    if (own === undefined) this.#waiting.set(owner, [resolve]);
    else own.push(resolve);
  }

  #handOver(): void {
    for (const [owner, own] of this.#waiting) {
      const next = own.shift();
      // To the end of the line: the other owners come first.
      this.#waiting.delete(owner);
      if (own.length > 0) this.#waiting.set(owner, own);
      next?.();
      return;
    }
    this.#running -= 1;
  }
}
