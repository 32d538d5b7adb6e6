import type { Placed } from "./map-source.ts";

/** How one item's call has ended. */
export type MapOutcome<Item, Result> = {
  readonly index: number;
  readonly item: Item;
} & (
  | { readonly status: "fulfilled"; readonly value: Result }
  | { readonly status: "rejected"; readonly reason: unknown }
);

/** What a pump works with. */
export interface PumpOptions<Item, Result> {
  readonly items: AsyncGenerator<Placed<Item>, void, void>;
  /** Calls under way at once. */
  readonly concurrency: number;
  /** Items that were taken and not yet let go, finished or not. */
  readonly window: number;
  readonly signal: AbortSignal;
  readonly run: (placed: Placed<Item>) => Promise<Result>;
}

/**
 * Takes items, runs them within its bounds and hands over what they came to, in the order they end. It holds no more than
 * `window` items, even if the source, the calls or the reader of the outcomes are slow. Nothing of an item is left here
 * once it was let go.
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

  /** The next outcome, or null when there is none any more. @throws What the source of the items throws. */
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

  /** Lets one taken outcome go, which makes room for another item. */
  release(): void {
    this.#open -= 1;
    this.#wakeFeeder();
  }

  /** Begins nothing more; outcomes of what is under way can still be taken. */
  beginNoMore(): void {
    this.#stopped = true;
    this.#wakeFeeder();
  }

  /** Begins nothing more, and resolves when what is under way has ended. The source is told, and not waited for. */
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
    // A source may be waiting for something that will not come any more.
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

  async #start(placed: Placed<Item>): Promise<void> {
    const { index, item } = placed;
    this.#running += 1;
    this.#open += 1;
    try {
      const value = await this.#options.run(placed);
      this.#ready.push({ index, item, status: "fulfilled", value });
    } catch (reason) {
      this.#ready.push({ index, item, status: "rejected", reason });
    }
    this.#running -= 1;
    this.#wakeFeeder();
    this.#wakeTaker();
  }
}
