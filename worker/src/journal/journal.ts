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
/** So much of what was written last is not read back, bytes of payload. */
const RECENT_BYTES = 256 * 1024;

/** One record of a lane. */
export interface JournalRecord {
  readonly seq: number;
  readonly payload: Buffer;
}

/** How much to read at once. */
export interface PendingPage {
  /** Only records numbered above this. @default the acknowledged sequence, and never below it */
  readonly afterSeq?: number;
  readonly maxRecords: number;
  /** Payload bytes in all; one record is answered even if it is longer than this. */
  readonly maxBytes: number;
}

/**
 * One lane of one attempt's journal: an append-only file of numbered records, and the sequence up to which the control plane
 * has acknowledged them.
 */
export interface Journal {
  readonly lane: JournalLane;
  /** What opening found. */
  readonly recovery: LaneRecovery;
  /** The highest sequence given out so far; 0 before the first. */
  readonly lastSeq: number;
  /** Everything up to here was acknowledged. */
  readonly acknowledgedSeq: number;
  /** What was noted with that acknowledgement; all zeros where nothing was. */
  readonly acknowledgedNote: Buffer;
  /**
   * Adds records in order and resolves once write(2) has taken them (and, with `fsync`, the disk has). Appends that arrive
   * while a write is under way share the next one. A killed process loses nothing of what has resolved.
   * `essential` records (gap records, the end) may use the room kept for them when the lane is full.
   * @throws JournalError `record-too-large`, `closed`, `unwritable`; on the control lane also `journal-full` and `no-space`.
   */
  append(payloads: readonly Uint8Array[], options?: { essential?: boolean }): Promise<AppendResult>;
  /**
   * Notes that everything up to a sequence is safe elsewhere. At once in memory; the promise is for the disk, and losing it
   * only offers records again. A number above `lastSeq` is believed: later records are numbered above it. A note of at most
   * NOTE_BYTES is kept with it, for an owner that wants to know where it stood even if the file has lost its end.
   */
  acknowledge(throughSeq: number, note?: Buffer): Promise<void>;
  /**
   * The next records not yet acknowledged, in order, as one page.
   * @throws JournalError `damaged` when a record cannot be read back.
   */
  pending(page: PendingPage): Promise<JournalRecord[]>;
  /** Its directory has another name now. */
  movedTo(dir: string): void;
  /** Waits for what was appended, then closes the files. The files stay. */
  close(): Promise<void>;
}

/** Options of `openJournal`. */
export interface OpenJournalOptions {
  /** The attempt's journal directory; made with mode 0700 if missing. */
  readonly dir: string;
  readonly lane: JournalLane;
  readonly limits?: Partial<JournalLimits>;
  /**
   * Whether an append waits for the disk, and so survives a power cut and not only a killed process. @default false
   */
  readonly fsync?: boolean;
  /** Whether the directory has just been made, so that nothing is looked for in it. @default false */
  readonly isNew?: boolean;
  /** Disk space shared by the worker's journals, given up for the control lane when the disk is full. */
  readonly reserve?: Reserve;
}

/**
 * Opens a lane's journal, or begins one, and cuts off a torn tail: what remains is the longest valid prefix of the file.
 * The caller must hold the lock of the state directory: two writers on one file would overwrite each other.
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
    // Whatever was removed to make room had been acknowledged, even if the note of it was lost.
    await acks.advance(file.header.reclaimedThroughSeq);
    return acks;
  } catch (error) {
    await file.retire();
    throw error;
  }
}

/** Where a lane's file lies in an attempt's journal directory. */
export function journalPath(dir: string, lane: JournalLane): string {
  return join(dir, `${lane}.journal`);
}

/** The file that says how far a lane was acknowledged. */
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
      throw new JournalError(
        "record-too-large",
        `A record of ${longest} bytes is over the limit of ${limit}.`,
      );
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

  // The disk does not keep up. Bulk drops rather than let memory grow; control says so to whoever asked.
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
    // In the same step that saw the queue empty: what is queued a moment later begins anew, or nobody would ever write it.
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
