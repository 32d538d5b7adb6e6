import { flowRecordsMax } from "@towpath/contract/words";
import type { RecordDraft } from "../engine/records.ts";
import { GatewayRefused } from "../problem.ts";

/** Limits of the records that the gateway does not hold yet. */
const BUFFER_LIMITS = {
  /** At this limit posting waits, and log lines go to standard output. */
  records: 10_000,
  bytes: 8 * 1024 * 1024,
} as const;

/** With this much, records are sent without waiting for more. */
const GATHER_LIMITS = { records: 500, bytes: 256 * 1024 } as const;

/** The most bytes of one POST, unless a single record is larger. */
const BATCH_BYTES_MAX = 1024 * 1024;

interface Waiter {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface Kept {
  readonly seq: number;
  readonly line: string;
  readonly bytes: number;
}

/** The records of one POST. */
export interface Batch {
  readonly body: string;
  readonly first: number;
  readonly last: number;
}

/**
 * The records that the gateway does not hold yet, in sequence, and the callers that wait for them. Callers wait for
 * room before they add a record, so memory stays within BUFFER_LIMITS and one record per waiting branch.
 */
export class RecordBuffer {
  #kept: Kept[] = [];
  #bytes = 0;
  #seq: number;
  #acked: number;
  #held: Waiter[] = [];
  #room: Waiter[] = [];

  constructor(acked: number) {
    this.#seq = acked;
    this.#acked = acked;
  }

  get isEmpty(): boolean {
    return this.#kept.length === 0;
  }

  get isFull(): boolean {
    return this.#kept.length >= BUFFER_LIMITS.records || this.#bytes >= BUFFER_LIMITS.bytes;
  }

  /** Whether records must be sent now: a caller waits for them, or there are many. */
  get isUrgent(): boolean {
    if (this.isEmpty) return false;
    const isMuch = this.#kept.length >= GATHER_LIMITS.records || this.#bytes >= GATHER_LIMITS.bytes;
    return isMuch || this.#held.length > 0 || this.#room.length > 0;
  }

  /** Gives a record the next sequence number. */
  add(draft: RecordDraft): number {
    this.#seq += 1;
    const line = JSON.stringify({ seq: this.#seq, ...draft });
    const bytes = Buffer.byteLength(line) + 1;
    this.#kept.push({ seq: this.#seq, line, bytes });
    this.#bytes += bytes;
    return this.#seq;
  }

  /** The records that the gateway does not hold yet, as JSON. */
  unheld(): string[] {
    return this.#kept.map(({ line }) => line);
  }

  /** Resolves when the gateway holds everything up to `seq`. */
  untilHeld(seq: number): Promise<void> {
    if (seq <= this.#acked) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#held.push({ seq, resolve, reject });
    return promise;
  }

  /** Resolves when there is room. */
  untilRoom(): Promise<void> {
    if (!this.isFull) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#room.push({ seq: 0, resolve, reject });
    return promise;
  }

  /** The oldest records: as many as one POST takes, at most `max`. */
  batch(max: number = flowRecordsMax): Batch {
    const lines: string[] = [];
    let bytes = 0;
    for (const record of this.#kept) {
      if (lines.length >= max || (lines.length > 0 && bytes + record.bytes > BATCH_BYTES_MAX)) break;
      lines.push(record.line);
      bytes += record.bytes;
    }
    const first = this.#acked + 1;
    return { body: `${lines.join("\n")}\n`, first, last: this.#acked + lines.length };
  }

  /**
   * Drops the records that the gateway holds. A lower number than before changes nothing and is no error: a restarted
   * worker starts counting from an earlier batch.
   * @returns Whether any record was dropped.
   * @throws GatewayRefused if the gateway claims to hold more records than exist.
   */
  acknowledge(acked: number): boolean {
    if (acked > this.#seq)
      throw new GatewayRefused(
        `The gateway says it holds records up to ${acked}, but only ${this.#seq} exist.`,
      );
    if (acked <= this.#acked) return false;
    const gone = this.#kept.splice(0, acked - this.#acked);
    this.#bytes -= gone.reduce((sum, record) => sum + record.bytes, 0);
    this.#acked = acked;
    this.#held = release(this.#held, (waiter) => waiter.seq <= acked);
    this.#room = release(this.#room, () => !this.isFull);
    return gone.length > 0;
  }

  /** Rejects the callers that wait for this record, because the gateway refused it. */
  refuse(seq: number, detail: string): void {
    const [mine, others] = [
      this.#held.filter((one) => one.seq === seq),
      this.#held.filter((one) => one.seq !== seq),
    ];
    this.#held = others;
    for (const waiter of mine) waiter.reject(new GatewayRefused(`The gateway rejected a record: ${detail}`));
  }

  /** Rejects all waiting callers: no more records will be sent. */
  fail(error: unknown): void {
    for (const waiter of [...this.#held, ...this.#room]) waiter.reject(error);
    this.#held = [];
    this.#room = [];
  }
}

function release(waiters: Waiter[], isDue: (waiter: Waiter) => boolean): Waiter[] {
  const due = waiters.filter(isDue);
  for (const waiter of due) waiter.resolve();
  return due.length === 0 ? waiters : waiters.filter((waiter) => !due.includes(waiter));
}
