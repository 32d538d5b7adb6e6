import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { AckFile } from "./ack-file.ts";
import {
  isOutOfSpace,
  JournalError,
  type JournalLane,
  type JournalLimits,
  resolveLimits,
} from "./journal-error.ts";
import { type LaneFile, type LaneRecovery, openLaneFile } from "./lane-file.ts";
import {
  type AppendResult,
  closedError,
  dropAll,
  encodedBytes,
  LaneWriter,
  type WaitingRecords,
} from "./lane-writer.ts";
import type { Reserve } from "./reserve.ts";

const OWNER_ONLY_DIR = 0o700;
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
/** How many bytes of the last records stay in memory, so that they are not read back. */
const RECENT_BYTES = 256 * 1024;

/** One record of a lane. */
export interface JournalRecord {
  readonly seq: number;
  readonly payload: Buffer;
}

/** How much to read at once. */
export interface PendingPage {
  /** Only records above this number. @default the acknowledged number, and never below it */
  readonly afterSeq?: number;
  readonly maxRecords: number;
  /** Payload bytes in all. One record is returned even if it is longer. */
  readonly maxBytes: number;
}

/**
 * One lane of one attempt's journal: an append-only file of numbered records, and the number up to which the
 * control plane has acknowledged them.
 */
export interface Journal {
  readonly lane: JournalLane;
  /** What was found at opening. */
  readonly recovery: LaneRecovery;
  /** The highest number so far; 0 before the first record. */
  readonly lastSeq: number;
  /** Every record up to this number was acknowledged. */
  readonly acknowledgedSeq: number;
  /** The note of that acknowledgement; zeros where there is none. */
  readonly acknowledgedNote: Buffer;
  /**
   * Adds records in order. Resolves once write(2) has taken them (and, with `fsync`, the disk has). Appends
   * during a write share the next write. After a kill, everything that has resolved is there. `essential`
   * records (gap records, the end) may use the room kept for them when the lane is full.
   * @throws JournalError `record-too-large`, `closed`, `unwritable`; on the control lane also `journal-full` and
   * `no-space`.
   */
  append(payloads: readonly Uint8Array[], options?: { essential?: boolean }): Promise<AppendResult>;
  /**
   * Notes that the control plane has every record up to a number: at once in memory, and on disk when the promise
   * resolves. If that is lost, records are only offered again. A number above `lastSeq` counts: later records are
   * numbered above it. A note of at most NOTE_BYTES is kept with it, for an owner whose file may lose its end.
   */
  acknowledge(throughSeq: number, note?: Buffer): Promise<void>;
  /**
   * The next records that are not acknowledged, in order, as one page.
   * @throws JournalError `damaged` when a record cannot be read back.
   */
  pending(page: PendingPage): Promise<JournalRecord[]>;
  /** The journal's directory was renamed to this. */
  movedTo(dir: string): void;
  /** Waits for all appends, then closes the files. The files stay. */
  close(): Promise<void>;
}

/** Options of `openJournal`. */
export interface OpenJournalOptions {
  /** The attempt's journal directory. It is made with mode 0700 if missing. */
  readonly dir: string;
  readonly lane: JournalLane;
  readonly limits?: Partial<JournalLimits>;
  /** Whether an append waits for the disk, and so survives a power cut too. @default false */
  readonly fsync?: boolean;
  /** Whether the directory is new, so that nothing is read from it. @default false */
  readonly isNew?: boolean;
  /** Disk space shared by the worker's journals. It is released for the control lane when the disk is full. */
  readonly reserve?: Reserve;
}

/**
 * Opens a lane's journal, or begins one, and cuts off a torn tail: the longest valid prefix of the file remains.
 * The caller must hold the lock of the state directory: two writers would overwrite each other.
 * @throws JournalError `no-space` or `unwritable`.
 */
export async function openJournal(options: OpenJournalOptions): Promise<Journal> {
  const { dir, lane, fsync = false, isNew = false, reserve } = options;
  const limits = resolveLimits(lane, options.limits ?? {});
  try {
    if (!isNew) await mkdir(dir, { recursive: true, mode: OWNER_ONLY_DIR });
    const path = journalPath(dir, lane);
    const [file, recovery] = await openLaneFile(path, { fsync, isNew });
    const acks = await openAcks(ackPath(dir, lane), file);
    const writer = new LaneWriter(file, { path, lane, limits, fsync, reserve, ackedSeq: () => acks.seq });
    return new LaneJournal({ lane, limits, recovery, acks, writer });
  } catch (error) {
    if (error instanceof JournalError) throw error;
    const code = isOutOfSpace(error) ? "no-space" : "unwritable";
    throw new JournalError(code, `The ${lane} journal in ${dir} cannot be opened.`, { cause: error });
  }
}

async function openAcks(path: string, file: LaneFile): Promise<AckFile> {
  try {
    const acks = await AckFile.open(path);
    // What was removed to make room had been acknowledged, even if the note of it was lost.
    await acks.advance(file.header.reclaimedThroughSeq);
    return acks;
  } catch (error) {
    await file.retire();
    throw error;
  }
}

/** The path of a lane's file in an attempt's journal directory. */
export function journalPath(dir: string, lane: JournalLane): string {
  return join(dir, `${lane}.journal`);
}

/** The path of the file that says how far a lane was acknowledged. */
export function ackPath(dir: string, lane: JournalLane): string {
  return join(dir, `${lane}.ack`);
}

interface Waiting extends WaitingRecords {
  readonly bytes: number;
  readonly settle: (outcome: AppendResult | JournalError) => void;
}

class LaneJournal implements Journal {
  readonly lane: JournalLane;
  readonly recovery: LaneRecovery;
  readonly #limits: JournalLimits;
  readonly #acks: AckFile;
  readonly #writer: LaneWriter;
  #queue: Waiting[] = [];
  #queuedBytes = 0;
  /** The last records of the file that are not acknowledged, without a gap. */
  #recent: JournalRecord[] = [];
  #recentBytes = 0;
  #pumping: Promise<void> | undefined;
  #closed = false;

  constructor(args: {
    lane: JournalLane;
    limits: JournalLimits;
    recovery: LaneRecovery;
    acks: AckFile;
    writer: LaneWriter;
  }) {
    this.lane = args.lane;
    this.recovery = args.recovery;
    this.#limits = args.limits;
    this.#acks = args.acks;
    this.#writer = args.writer;
  }

  get lastSeq(): number {
    return Math.max(this.#writer.file.lastSeq, this.#acks.seq);
  }

  get acknowledgedSeq(): number {
    return this.#acks.seq;
  }

  get acknowledgedNote(): Buffer {
    return this.#acks.note;
  }

  async append(
    payloads: readonly Uint8Array[],
    options: { essential?: boolean } = {},
  ): Promise<AppendResult> {
    const records = { payloads, essential: options.essential ?? false };
    if (this.#closed) throw closedError();
    const longest = payloads.reduce((most, payload) => Math.max(most, payload.length), 0);
    if (longest > this.#limits.maxRecordBytes) {
      const limit = this.#limits.maxRecordBytes;
      throw new JournalError("record-too-large", `A record has ${longest} bytes. The limit is ${limit}.`);
    }
    const bytes = encodedBytes(payloads);
    if (this.#queuedBytes + bytes > this.#limits.maxQueuedBytes && this.#queue.length > 0)
      return this.#refuse(records);
    return await this.#enqueue(records, bytes);
  }

  async acknowledge(throughSeq: number, note?: Buffer): Promise<void> {
    if (this.#closed) throw closedError();
    const done = this.#recent.findIndex(({ seq }) => seq > throughSeq);
    this.#forget(done === -1 ? this.#recent.length : done);
    await this.#acks.advance(throughSeq, note);
  }

  async pending(page: PendingPage): Promise<JournalRecord[]> {
    if (this.#closed) throw closedError();
    const records: JournalRecord[] = [];
    let bytes = 0;
    const afterSeq = Math.max(page.afterSeq ?? 0, this.#acks.seq);
    for await (const { seq, payload } of this.#after(afterSeq)) {
      bytes += payload.length;
      if (records.length > 0 && bytes > page.maxBytes) break;
      records.push({ seq, payload });
      if (records.length >= page.maxRecords) break;
    }
    return records;
  }

  movedTo(dir: string): void {
    this.#writer.path = journalPath(dir, this.lane);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#pumping;
    await this.#writer.file.retire();
    await this.#acks.close();
  }

  #after(seq: number): Iterable<JournalRecord> | AsyncIterable<JournalRecord> {
    const [oldest] = this.#recent;
    if (oldest === undefined || oldest.seq > seq + 1) return this.#writer.file.readAfter(seq);
    return this.#recent.filter((record) => record.seq > seq);
  }

  #remember({ payloads }: WaitingRecords, { firstSeq, lastSeq }: AppendResult): void {
    if (firstSeq === undefined || lastSeq === undefined) return;
    for (let seq = firstSeq; seq <= lastSeq; seq++) {
      const payload = Buffer.from(payloads[seq - firstSeq] ?? []);
      this.#recent.push({ seq, payload });
      this.#recentBytes += payload.length;
    }
    let many = 0;
    for (let over = this.#recentBytes - RECENT_BYTES; over > 0; many++)
      over -= this.#recent[many]?.payload.length ?? 0;
    this.#forget(many);
  }

  #forget(count: number): void {
    for (const { payload } of this.#recent.splice(0, count)) this.#recentBytes -= payload.length;
  }

  // The disk is too slow. Bulk drops records rather than fill the memory. Control refuses them.
  #refuse(records: WaitingRecords): AppendResult {
    if (this.lane === "bulk") return dropAll(records);
    throw new JournalError("journal-full", `${this.#queuedBytes} bytes already wait for the disk.`);
  }

  async #enqueue(records: WaitingRecords, bytes: number): Promise<AppendResult> {
    const { promise, resolve, reject } = Promise.withResolvers<AppendResult>();
    const settle = (outcome: AppendResult | JournalError) =>
      outcome instanceof JournalError ? reject(outcome) : resolve(outcome);
    this.#queue.push({ ...records, bytes, settle });
    this.#queuedBytes += bytes;
    this.#pumping ??= this.#pump();
    return await promise;
  }

  async #pump(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#takeBatch();
      const outcomes = await this.#writeBatch(batch);
      batch.forEach((waiting, index) => {
        this.#queuedBytes -= waiting.bytes;
        const outcome = outcomes[index] ?? closedError();
        if (!(outcome instanceof JournalError)) this.#remember(waiting, outcome);
        waiting.settle(outcome);
      });
    }
    // In the same step that saw the empty queue: a record queued a moment later begins a new write.
    this.#pumping = undefined;
  }

  async #writeBatch(batch: readonly Waiting[]): Promise<(AppendResult | JournalError)[]> {
    try {
      return await this.#writer.write(batch);
    } catch (error) {
      const failure =
        error instanceof JournalError
          ? error
          : new JournalError("unwritable", "The journal cannot be written.", { cause: error });
      return batch.map(() => failure);
    }
  }

  #takeBatch(): Waiting[] {
    let bytes = 0;
    const over = this.#queue.findIndex((waiting) => {
      bytes += waiting.bytes;
      return bytes > MAX_BATCH_BYTES;
    });
    const count = over === -1 ? this.#queue.length : Math.max(over, 1);
    return this.#queue.splice(0, count);
  }
}
