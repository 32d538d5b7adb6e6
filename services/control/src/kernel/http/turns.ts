/** The work did not start: the wait for its turn ended first. */
export class NoTurn extends Error {
  override readonly name = "NoTurn";
}

/** A semaphore with a bounded queue: limits the work in progress. Other work waits for its turn, first come, first served. */
export class Turns {
  readonly #atOnce: number;
  readonly #waitingMost: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(args: { atOnce: number; waitingMost: number }) {
    this.#atOnce = args.atOnce;
    this.#waitingMost = args.waitingMost;
  }

  /** Whether no work is in progress or waiting. */
  get isIdle(): boolean {
    return this.#running === 0 && this.#waiting.length === 0;
  }

  /** Whether the queue is full, so that no more work can be taken. */
  get isFull(): boolean {
    return this.#running >= this.#atOnce && this.#waiting.length >= this.#waitingMost;
  }

  /**
   * Does work in its turn. The caller has checked `isFull`.
   * @param until The signal that ends the wait for a turn. Called only if the work must wait.
   * @throws NoTurn; any error of the work.
   */
  async take<T>(work: () => Promise<T>, until: () => AbortSignal): Promise<T> {
    // Completed work passes its turn to the queue, so that no newer caller overtakes.
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

/** A semaphore with a bounded queue for each owner. The owners take turns, so that none can block the others. */
export class SharedTurns {
  readonly #atOnce: number;
  readonly #waitingMost: number;
  /** The queues by owner, in the order of the owners' turns. No queue is empty. */
  readonly #waiting = new Map<string, (() => void)[]>();
  #running = 0;

  /** @param args.waitingMost The longest queue of one owner. */
  constructor(args: { atOnce: number; waitingMost: number }) {
    this.#atOnce = args.atOnce;
    this.#waitingMost = args.waitingMost;
  }

  /** Whether an owner's queue is full, so that no more of its work can be taken. */
  isFull(owner: string): boolean {
    if (this.#running < this.#atOnce) return false;
    return (this.#waiting.get(owner)?.length ?? 0) >= this.#waitingMost;
  }

  /** Does an owner's work in its turn. The caller has checked `isFull`. */
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
      // The owner goes to the end: the other owners come first.
      this.#waiting.delete(owner);
      if (own.length > 0) this.#waiting.set(owner, own);
      next?.();
      return;
    }
    this.#running -= 1;
  }
}
