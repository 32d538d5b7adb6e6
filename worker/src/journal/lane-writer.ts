import { isOutOfSpace, JournalError, type JournalLane, type JournalLimits } from "./journal-error.ts";
import { discardDraft, draftLaneFile, type LaneFile, publishLaneFile, writeFully } from "./lane-file.ts";
import { encodeRecordHeader, FILE_HEADER_BYTES, RECORD_HEADER_BYTES } from "./record-format.ts";
import type { Reserve } from "./reserve.ts";

const COPY_BATCH_BYTES = 1024 * 1024;
// Room is made only when it frees at least this part of a lane, so that copying the rest stays cheap.
const RECLAIM_PART = 4;

/** The records of one append while they wait for the disk. */
export interface WaitingRecords {
  readonly payloads: readonly Uint8Array[];
  readonly essential: boolean;
}

/** The result of one append: its records were numbered `firstSeq` to `lastSeq`, or dropped from the end. */
export interface AppendResult {
  /** Number of the first record kept; undefined when none was. */
  readonly firstSeq: number | undefined;
  /** Number of the last record kept; undefined when none was. */
  readonly lastSeq: number | undefined;
  /** Records without room: always the last ones of the append. 0 on the control lane, which throws instead. */
  readonly dropped: number;
  /** Payload bytes of those records. */
  readonly droppedBytes: number;
}

/** What a writer needs. `ackedSeq` is called anew each time. */
export interface LaneWriterDeps {
  readonly path: string;
  readonly lane: JournalLane;
  readonly limits: JournalLimits;
  readonly fsync: boolean;
  readonly reserve: Reserve | undefined;
  readonly ackedSeq: () => number;
}

/**
 * Writes batches at the end of a lane's file. Calls must not overlap: the journal's queue takes them in turn.
 * After a failed write the file is cut back, because the rest of it could look like a record.
 */
export class LaneWriter {
  file: LaneFile;
  /** The path of the file. */
  path: string;
  readonly #deps: LaneWriterDeps;
  #broken: JournalError | undefined;
  // The acknowledged number at which no room could be made. It is tried again once that rises.
  #reclaimTriedAtSeq = -1;

  constructor(file: LaneFile, deps: LaneWriterDeps) {
    this.file = file;
    this.path = deps.path;
    this.#deps = deps;
  }

  /** Writes one batch with one write and at most one sync. Returns one result for each append, in order. */
  async write(batch: readonly WaitingRecords[]): Promise<(AppendResult | JournalError)[]> {
    if (this.#broken) return batch.map(() => this.#broken ?? closedError());
    await this.#makeRoom(batch);
    const plan = planBatch(this.file, batch, this.#deps);
    if (plan.bytes.length === 0) return plan.results;
    const failure = await this.#commit(plan.bytes);
    if (failure) return this.#afterFailure(batch, failure);
    for (const record of plan.records) this.file.noteRecord(record);
    return plan.results;
  }

  async #commit(bytes: Buffer): Promise<JournalError | undefined> {
    try {
      await writeFully(this.file.handle, bytes, this.file.endOffset);
    } catch (error) {
      const cutBack = await this.#cutBack(error);
      if (cutBack) return cutBack;
      if (!isOutOfSpace(error))
        return new JournalError("unwritable", "The journal cannot be written.", { cause: error });
      const mayRetry = this.#deps.lane === "control" && (await this.#deps.reserve?.release());
      if (mayRetry) return await this.#commit(bytes);
      return new JournalError("no-space", "The disk is full.", { cause: error });
    }
    return await this.#sync();
  }

  async #sync(): Promise<JournalError | undefined> {
    if (!this.#deps.fsync) return undefined;
    try {
      await this.file.handle.datasync();
      return undefined;
    } catch (error) {
      // After a failed sync the kernel may have dropped the pages, so this file can no longer be relied on.
      return this.#break(error, "The disk did not store the journal.");
    }
  }

  async #cutBack(cause: unknown): Promise<JournalError | undefined> {
    try {
      await this.file.handle.truncate(this.file.endOffset);
      return undefined;
    } catch {
      return this.#break(cause, "The journal could not be cut back after a failed write.");
    }
  }

  #break(cause: unknown, what: string): JournalError {
    this.#broken = new JournalError("unwritable", what, { cause });
    return this.#broken;
  }

  #afterFailure(batch: readonly WaitingRecords[], failure: JournalError): (AppendResult | JournalError)[] {
    const mayDrop = this.#deps.lane === "bulk" && failure.code === "no-space";
    return batch.map((records) => (mayDrop ? dropAll(records) : failure));
  }

  /** Removes acknowledged records from the front of a full file: writes the rest anew and renames it into place. */
  async #makeRoom(batch: readonly WaitingRecords[]): Promise<void> {
    const { limits, ackedSeq } = this.#deps;
    const needed = batch.reduce((sum, records) => sum + encodedBytes(records.payloads), 0);
    // The last record stays, because it has the position, and a kill may fall between this and the next write.
    const acked = Math.min(ackedSeq(), this.file.lastSeq - 1);
    if (this.file.endOffset + needed <= limits.maxBytes || acked <= this.#reclaimTriedAtSeq) return;
    this.#reclaimTriedAtSeq = acked;
    const keepFrom = await this.#offsetAfter(acked);
    if (keepFrom - FILE_HEADER_BYTES < limits.maxBytes / RECLAIM_PART) return;
    await this.#rewriteAfter(acked);
  }

  async #offsetAfter(seq: number): Promise<number> {
    for await (const record of this.file.readAfter(seq)) return record.offset;
    return this.file.endOffset;
  }

  async #rewriteAfter(seq: number): Promise<void> {
    const { path } = this;
    const { fsync } = this.#deps;
    let draft: LaneFile | undefined;
    try {
      draft = await draftLaneFile(path, seq);
      await copyRecords(this.file, { after: seq, to: draft });
      await publishLaneFile(path, draft, { fsync });
    } catch (error) {
      if (draft) await discardDraft(path, draft.handle);
      // Without room for the copy the lane is full. Any other failure will show at the next write.
      if (isOutOfSpace(error)) return;
      throw new JournalError("unwritable", "The journal could not be rewritten.", { cause: error });
    }
    const old = this.file;
    this.file = draft;
    await old.retire();
  }
}

/** The result of an append without room. */
export function dropAll(records: WaitingRecords): AppendResult {
  return {
    firstSeq: undefined,
    lastSeq: undefined,
    dropped: records.payloads.length,
    droppedBytes: sumBytes(records.payloads),
  };
}

/** Bytes that payloads take in the file. */
export function encodedBytes(payloads: readonly Uint8Array[]): number {
  return sumBytes(payloads) + payloads.length * RECORD_HEADER_BYTES;
}

/** The error of a closed lane. */
export function closedError(): JournalError {
  return new JournalError("closed", "The journal is closed.");
}

interface BatchPlan {
  readonly bytes: Buffer;
  readonly records: { seq: number; offset: number; nextOffset: number }[];
  readonly results: (AppendResult | JournalError)[];
}

/** Decides which records have room, numbers them, and lays them out as bytes. */
function planBatch(file: LaneFile, batch: readonly WaitingRecords[], deps: LaneWriterDeps): BatchPlan {
  const parts: Uint8Array[] = [];
  const plan: Omit<BatchPlan, "bytes"> = { records: [], results: [] };
  let [offset, seq] = [file.endOffset, Math.max(file.lastSeq, deps.ackedSeq())];
  for (const records of batch) {
    const kept = countFitting(records, { offset, ...deps });
    if (kept < records.payloads.length && deps.lane === "control") {
      plan.results.push(
        new JournalError(
          "journal-full",
          `The control journal has reached its limit of ${deps.limits.maxBytes} bytes.`,
        ),
      );
      continue;
    }
    const firstSeq = seq + 1;
    for (const payload of records.payloads.slice(0, kept)) {
      seq += 1;
      parts.push(encodeRecordHeader(file.header.salt, seq, payload), payload);
      const nextOffset = offset + RECORD_HEADER_BYTES + payload.length;
      plan.records.push({ seq, offset, nextOffset });
      offset = nextOffset;
    }
    plan.results.push(keptResult(records, { kept, firstSeq }));
  }
  return { ...plan, bytes: Buffer.concat(parts) };
}

function countFitting(
  records: WaitingRecords,
  args: { offset: number; limits: JournalLimits; lane: JournalLane; reserve: Reserve | undefined },
): number {
  // With the reserve spent, the remaining space belongs to the control lanes, and to gap records.
  if (args.lane === "bulk" && args.reserve && !args.reserve.held && !records.essential) return 0;
  let room = args.limits.maxBytes + (records.essential ? args.limits.essentialBytes : 0) - args.offset;
  const fits = records.payloads.findIndex((payload) => {
    room -= RECORD_HEADER_BYTES + payload.length;
    return room < 0;
  });
  return fits === -1 ? records.payloads.length : fits;
}

function keptResult(records: WaitingRecords, args: { kept: number; firstSeq: number }): AppendResult {
  if (args.kept === 0) return dropAll(records);
  const rest = records.payloads.slice(args.kept);
  return {
    firstSeq: args.firstSeq,
    lastSeq: args.firstSeq + args.kept - 1,
    dropped: rest.length,
    droppedBytes: sumBytes(rest),
  };
}

async function copyRecords(from: LaneFile, args: { after: number; to: LaneFile }): Promise<void> {
  let parts: Uint8Array[] = [];
  let [bytes, offset] = [0, args.to.endOffset];
  const flush = async () => {
    await writeFully(args.to.handle, Buffer.concat(parts), offset - bytes);
    [parts, bytes] = [[], 0];
  };
  for await (const { seq, payload } of from.readAfter(args.after)) {
    const length = RECORD_HEADER_BYTES + payload.length;
    parts.push(encodeRecordHeader(args.to.header.salt, seq, payload), payload);
    args.to.noteRecord({ seq, offset, nextOffset: offset + length });
    offset += length;
    bytes += length;
    if (bytes >= COPY_BATCH_BYTES) await flush();
  }
  await flush();
}

function sumBytes(payloads: readonly Uint8Array[]): number {
  return payloads.reduce((sum, payload) => sum + payload.length, 0);
}
