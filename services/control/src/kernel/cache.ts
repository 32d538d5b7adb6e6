import type { Clock } from "./clock.ts";
import { ANY_KEY } from "./wakes.ts";

interface Remembered<V> {
  readonly value: V;
  readonly untilMs: number;
}

/**
 * A cache by id for a short time. Concurrent callers of one id share a read. A read that was under way when its id was
 * forgotten is not cached: its result may be old.
 */
export class Cache<V> {
  readonly #clock: Clock;
  readonly #forMs: number;
  readonly #most: number;
  readonly #known = new Map<string, Remembered<V>>();
  readonly #reads = new Map<string, Promise<V | null>>();

  /** @param args.most The most entries. The oldest is dropped first. */
  constructor(args: { clock: Clock; forMs: number; most: number }) {
    this.#clock = args.clock;
    this.#forMs = args.forMs;
    this.#most = args.most;
  }

  /** The cached value, while it is fresh. */
  get(id: string): V | undefined {
    const found = this.#known.get(id);
    return found !== undefined && this.#clock.nowMs() < found.untilMs ? found.value : undefined;
  }

  /** The cached value, however old. */
  last(id: string): V | undefined {
    return this.#known.get(id)?.value;
  }

  /** Reads and caches a value. Null is not cached. */
  read(id: string, find: () => Promise<V | null>): Promise<V | null> {
    const running = this.#reads.get(id);
    if (running !== undefined) return running;
    const reading = find().then(
      (value) => {
        if (this.#reads.get(id) === reading) {
          this.#reads.delete(id);
          this.#keep(id, value);
        }
        return value;
      },
      (error: unknown) => {
        if (this.#reads.get(id) === reading) this.#reads.delete(id);
        throw error;
      },
    );
    this.#reads.set(id, reading);
    return reading;
  }

  /** Drops one id, or with `ANY_KEY` all. */
  forget(id: string): void {
    if (id === ANY_KEY) {
      this.#known.clear();
      this.#reads.clear();
    }
    this.#known.delete(id);
    this.#reads.delete(id);
  }

  /** Drops the matching values. */
  forgetWhere(is: (value: V) => boolean): void {
    for (const [id, { value }] of this.#known) if (is(value)) this.#known.delete(id);
    // The values of open reads are unknown.
    this.#reads.clear();
  }

  #keep(id: string, value: V | null): void {
    this.#known.delete(id);
    if (value === null) return;
    if (this.#known.size >= this.#most)
      for (const oldest of this.#known.keys()) {
        this.#known.delete(oldest);
        break;
      }
    this.#known.set(id, { value, untilMs: this.#clock.nowMs() + this.#forMs });
  }
}
