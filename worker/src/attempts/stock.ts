/** How many are ready at a time. */
const READY = 2;
/** How long after one was taken the next is made, milliseconds: made at once, it would compete with what it was taken for. */
const REFILL_AFTER_MS = 100;

/** How what is kept is made, and let go of. */
export interface StockOptions<Item> {
  readonly make: () => Promise<Item>;
  readonly discard: (item: Item) => Promise<void>;
  /** Told that one could not be made. The next is tried when one is asked for. */
  readonly failed: (error: unknown) => void;
}

/** Keeps a few of something ready. */
export class Stock<Item> {
  readonly #options: StockOptions<Item>;
  #ready: Item[] = [];
  #making: Promise<void> = Promise.resolve();
  #refilling: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: StockOptions<Item>) {
    this.#options = options;
    this.#refillSoon();
  }

  /** One that is ready; null if none is. */
  take(): Item | null {
    this.#refillSoon();
    return this.#ready.shift() ?? null;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#refilling);
    await this.#making;
    await Promise.all(this.#ready.splice(0).map((item) => this.#options.discard(item)));
  }

  #refillSoon(): void {
    if (this.#isClosed || this.#refilling !== undefined) return;
    this.#refilling = setTimeout(() => {
      this.#refilling = undefined;
      this.#making = this.#making.then(() => this.#refill());
    }, REFILL_AFTER_MS).unref();
  }

  async #refill(): Promise<void> {
    try {
      while (this.#ready.length < READY && !this.#isClosed) this.#ready.push(await this.#options.make());
    } catch (error) {
      this.#options.failed(error);
    }
  }
}
