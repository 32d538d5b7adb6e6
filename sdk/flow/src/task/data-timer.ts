import type { DataTime, Ref } from "@towpath/contract";
import { type Clock, instant } from "../clock.ts";

/** Shorter times are not reported, so that records of short calls stay small. Milliseconds. */
const REPORTED_MIN_MS = 10;

/** The time and bytes of one kind of work. Work that overlaps counts once. */
class Meter {
  readonly #clock: Clock;
  #open = 0;
  #sinceMs = 0;
  #ms = 0;
  bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  begin(): void {
    if (this.#open === 0) this.#sinceMs = this.#clock.monotonicMs();
    this.#open += 1;
  }

  end(): void {
    this.#open -= 1;
    if (this.#open === 0) this.#ms += this.#clock.monotonicMs() - this.#sinceMs;
  }

  /** The whole time, or null if it is too short for a report. */
  get reportedMs(): number | null {
    return this.#ms < REPORTED_MIN_MS ? null : Math.round(this.#ms);
  }
}

/** Measures how long one task call hashes, loads and saves data. */
export class DataTimer {
  readonly #hash: Meter;
  readonly #load: Meter;
  readonly #save: Meter;
  /** When the call was made, before its arguments were hashed: ISO 8601 in UTC. */
  readonly calledAt: string;

  constructor(clock: Clock) {
    this.calledAt = instant(clock);
    this.#hash = new Meter(clock);
    this.#load = new Meter(clock);
    this.#save = new Meter(clock);
  }

  /** Measures a hash of arguments. */
  hashing<Result>(hash: () => Result): Result {
    this.#hash.begin();
    try {
      return hash();
    } finally {
      this.#hash.end();
    }
  }

  /** Measures the load of a value. */
  async loading<Value>(ref: Ref, load: () => Promise<Value>): Promise<Value> {
    this.#load.begin();
    try {
      const value = await load();
      this.#load.bytes += ref.sizeBytes;
      return value;
    } finally {
      this.#load.end();
    }
  }

  /** Measures the save of a value. Null: it was not saved. */
  async saving<Saved extends Ref | null>(save: () => Promise<Saved>): Promise<Saved> {
    this.#save.begin();
    try {
      const ref = await save();
      this.#save.bytes += ref?.sizeBytes ?? 0;
      return ref;
    } finally {
      this.#save.end();
    }
  }

  /** The times for the record of the call's end. */
  get facts(): { readonly dataTime?: DataTime } {
    const [hashMs, loadMs, saveMs] = [this.#hash.reportedMs, this.#load.reportedMs, this.#save.reportedMs];
    const dataTime = {
      ...(hashMs !== null && { hashMs }),
      ...(loadMs !== null && { loadMs, loadBytes: this.#load.bytes }),
      ...(saveMs !== null && { saveMs, saveBytes: this.#save.bytes }),
    };
    return Object.keys(dataTime).length === 0 ? {} : { dataTime };
  }
}
