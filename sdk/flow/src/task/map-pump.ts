import type { MapItem } from "./map-source.ts";

/** The outcome of one item's call. */
export type MapOutcome<Item, Result> = {
  readonly index: number;
  readonly item: Item;
} & (
  | { readonly status: "fulfilled"; readonly value: Result }
  | { readonly status: "rejected"; readonly reason: unknown }
);

/** Options of a pump. */
export interface PumpOptions<Item, Result> {
  readonly items: AsyncGenerator<MapItem<Item>, void, void>;
  /** The most concurrent calls. */
  readonly concurrency: number;
  /** The most items that were taken and not released, finished or not. */
  readonly window: number;
  readonly signal: AbortSignal;
  readonly run: (taken: MapItem<Item>) => Promise<Result>;
}

/**
 * Takes items, runs their calls with limited concurrency, and returns the outcomes in the order in which they end. It
 * holds at most `window` items, even if the source, the calls or the consumer are slow. Nothing of a released item
 * stays in memory.
 */
export class MapPump<Item, Result> {
  readonly #options: PumpOptions<Item, Result>;
  readonly #ready: MapOutcome<Item, Result>[] = [];
  #running = 0;
  #open = 0;
  #stopped = false;
  #feeding: Promise<void> | null = null;
  #fed = false;
  #fault: { error: unknown } | null = null;
  #wakeFeeder = () => {};
  #wakeTaker = () => {};

  constructor(options: PumpOptions<Item, Result>) {
    this.#options = options;
  }

  /** The most items in hand. */
  get window(): number {
    return this.#options.window;
  }

  /** The next outcome, or null after the last. @throws What the source of the items throws. */
  async take(): Promise<MapOutcome<Item, Result> | null> {
    this.#feeding ??= this.#feed();
    while (true) {
      const outcome = this.#ready.shift();
      if (outcome !== undefined) return outcome;
      if (this.#fed && this.#running === 0) {
        if (this.#fault) throw this.#fault.error;
        return null;
      }
      await new Promise<void>((resolve) => {
        this.#wakeTaker = resolve;
      });
    }
  }

  /** Releases one outcome, which makes room for another item. */
  release(): void {
    this.#open -= 1;
    this.#wakeFeeder();
  }

  /** Starts no more calls. Outcomes of running calls can still be taken. */
  beginNoMore(): void {
    this.#stopped = true;
    this.#wakeFeeder();
  }

  /**
   * Starts no more calls, and resolves when the running ones have ended. It tells the source to end but does not wait
   * for it.
   */
  async stop(): Promise<void> {
    this.beginNoMore();
    this.#feeding ??= this.#feed();
    while (this.#running > 0)
      await new Promise<void>((resolve) => {
        this.#wakeTaker = resolve;
      });
  }

  #isFull(): boolean {
    return this.#running >= this.#options.concurrency || this.#open >= this.#options.window;
  }

  async #feed(): Promise<void> {
    const { items, signal } = this.#options;
    // The source may wait for an item that never comes.
    const onAbort = () => this.#end({ error: signal.reason });
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      while (await this.#room()) {
        const next = await items.next();
        if (next.done === true || this.#stopped) break;
        void this.#start(next.value);
      }
      this.#end(null);
    } catch (error) {
      this.#end({ error });
    }
    signal.removeEventListener("abort", onAbort);
    await items.return().catch(() => {});
  }

  #end(fault: { error: unknown } | null): void {
    this.#fault ??= fault;
    this.#fed = true;
    this.#stopped = true;
    this.#wakeTaker();
    this.#wakeFeeder();
  }

  async #room(): Promise<boolean> {
    while (!this.#stopped && this.#isFull())
      await new Promise<void>((resolve) => {
        this.#wakeFeeder = resolve;
      });
    return !this.#stopped;
  }

  async #start(taken: MapItem<Item>): Promise<void> {
    const { index, item } = taken;
    this.#running += 1;
    this.#open += 1;
    try {
      const value = await this.#options.run(taken);
      this.#ready.push({ index, item, status: "fulfilled", value });
    } catch (reason) {
      this.#ready.push({ index, item, status: "rejected", reason });
    }
    this.#running -= 1;
    this.#wakeFeeder();
    this.#wakeTaker();
  }
}
