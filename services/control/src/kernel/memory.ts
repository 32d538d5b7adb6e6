import type { Clock } from "./clock.ts";
import { ANY_KEY } from "./wakes.ts";

interface Remembered<V> {
  readonly value: V;
  readonly untilMs: number;
}

/**
 * Remembers what was read by id, for a moment. Callers that ask for one id at the same time share one read. What is forgotten
 * while it is being read is not kept: the read may be from before.
 */
export class Memory<V> {
  readonly #clock: Clock;
  readonly #forMs: number;
  readonly #most: number;
  readonly #known = new Map<string, Remembered<V>>();
  readonly #reads = new Map<string, Promise<V | null>>();

  /** @param args.most How many are remembered at most; the oldest goes first. */
  constructor(args: { clock: Clock; forMs: number; most: number }) {
    this.#clock = args.clock;
    this.#forMs = args.forMs;
    this.#most = args.most;
  }

  /** What was last read, while it is believed. */
  get(id: string): V | undefined {
    const found = this.#known.get(id);
    return found !== undefined && this.#clock.nowMs() < found.untilMs ? found.value : undefined;
  }

  /** What was last read, however long ago. */
  last(id: string): V | undefined {
    return this.#known.get(id)?.value;
  }

  /** Reads, and remembers what was found. Null is not remembered. */
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

  /** Forgets one id, or with `ANY_KEY` all. */
  forget(id: string): void {
    if (id === ANY_KEY) {
      this.#known.clear();
      this.#reads.clear();
    }
    this.#known.delete(id);
    this.#reads.delete(id);
  }

  /** Forgets what is so. */
  forgetWhere(is: (value: V) => boolean): void {
    for (const [id, { value }] of this.#known) if (is(value)) this.#known.delete(id);
    // What these find is not known yet.
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
