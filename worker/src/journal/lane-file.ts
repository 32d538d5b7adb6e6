import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { isMissing, JournalError } from "./journal-error.ts";
import {
  decodeFileHeader,
  encodeFileHeader,
  FILE_HEADER_BYTES,
  type FileHeader,
  newFileHeader,
} from "./record-format.ts";
import { type ScannedRecord, scanRecords } from "./scan-records.ts";

const OWNER_ONLY = 0o600;
// The index has one entry for this many bytes of file: about 4,000 entries for a lane of 256 MiB.
const INDEX_STRIDE_BYTES = 64 * 1024;

/** What was found when a lane's file was opened. */
export interface LaneRecovery {
  /** Whole records in the file. */
  readonly records: number;
  /** Bytes cut off after the last whole record: a torn tail, or damage. */
  readonly droppedBytes: number;
  /** Where an unreadable file was moved, for a person to look at. A new one was begun. */
  readonly damagedCopy: string | undefined;
}

/**
 * An open lane file: where it ends, and a sparse index from number to offset. It may be replaced while it is
 * being read. The handle closes with its last reader.
 */
export class LaneFile {
  readonly handle: FileHandle;
  readonly header: FileHeader;
  endOffset = FILE_HEADER_BYTES;
  lastSeq: number;
  readonly #index: { seq: number; offset: number }[] = [];
  #readers = 0;
  #retired = false;

  constructor(handle: FileHandle, header: FileHeader) {
    this.handle = handle;
    this.header = header;
    this.lastSeq = header.reclaimedThroughSeq;
  }

  /** Adds a record that is now whole at the end of the file. */
  noteRecord(record: { seq: number; offset: number; nextOffset: number }): void {
    const last = this.#index.at(-1);
    if (!last || record.offset - last.offset >= INDEX_STRIDE_BYTES) {
      this.#index.push({ seq: record.seq, offset: record.offset });
    }
    this.lastSeq = record.seq;
    this.endOffset = record.nextOffset;
  }

  /**
   * Yields the records above `afterSeq`, up to the present end.
   * @throws JournalError `damaged` when a record is no longer whole.
   */
  async *readAfter(afterSeq: number): AsyncGenerator<ScannedRecord> {
    const { endOffset, lastSeq } = this;
    if (afterSeq >= lastSeq) return;
    this.#readers += 1;
    try {
      const from = this.#indexedOffset(afterSeq + 1);
      let reached = from;
      for await (const record of scanRecords(this.handle, { salt: this.header.salt, from, to: endOffset })) {
        reached = record.nextOffset;
        if (record.seq > afterSeq) yield record;
      }
      if (reached !== endOffset)
        throw new JournalError("damaged", `The journal is unreadable at byte ${reached}.`);
    } finally {
      this.#readers -= 1;
      if (this.#retired && this.#readers === 0) await this.handle.close();
    }
  }

  /** Closes the file, now or when its last reader is done. */
  async retire(): Promise<void> {
    this.#retired = true;
    if (this.#readers === 0) await this.handle.close();
  }

  #indexedOffset(seq: number): number {
    let [low, high] = [0, this.#index.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#index[middle]?.seq ?? 0) <= seq) low = middle + 1;
      else high = middle;
    }
    return this.#index[low - 1]?.offset ?? FILE_HEADER_BYTES;
  }
}

/**
 * Opens a lane's file, or begins one, and cuts it to its longest valid prefix. A file with an unreadable header
 * is moved aside, never overwritten.
 */
export async function openLaneFile(
  path: string,
  args: { fsync: boolean; isNew?: boolean },
): Promise<[LaneFile, LaneRecovery]> {
  if (args.isNew && !args.fsync) return [await beginLaneFile(path, 0), emptyRecovery()];
  const handle = await openExisting(path);
  if (!handle) return [await createLaneFile(path, { ...args, reclaimedThroughSeq: 0 }), emptyRecovery()];
  const { size } = await handle.stat();
  const header = await readFileHeader(handle);
  if (!header) {
    await handle.close();
    const damagedCopy = `${path}.damaged`;
    await rename(path, damagedCopy);
    const file = await createLaneFile(path, { ...args, reclaimedThroughSeq: 0 });
    return [file, { records: 0, droppedBytes: size, damagedCopy }];
  }
  const file = new LaneFile(handle, header);
  let records = 0;
  for await (const record of scanRecords(handle, {
    salt: header.salt,
    afterSeq: header.reclaimedThroughSeq,
  })) {
    file.noteRecord(record);
    records += 1;
  }
  const droppedBytes = size - file.endOffset;
  // A shorter record written over a torn one would leave its rest behind, so the tail is cut now.
  if (droppedBytes > 0) await handle.truncate(file.endOffset);
  return [file, { records, droppedBytes, damagedCopy: undefined }];
}

/** Begins an empty lane file. It appears under its name only once its header is whole. */
async function createLaneFile(
  path: string,
  args: { fsync: boolean; reclaimedThroughSeq: number },
): Promise<LaneFile> {
  const draft = await draftLaneFile(path, args.reclaimedThroughSeq);
  await publishLaneFile(path, draft, args);
  return draft;
}

/** Begins a lane file under a temporary name, to be filled and then published. */
export async function draftLaneFile(path: string, reclaimedThroughSeq: number): Promise<LaneFile> {
  // Only the holder of the state directory writes here, so an existing draft was left by a crash.
  return await beginLaneFile(draftPath(path), reclaimedThroughSeq);
}

/**
 * Begins a file where there is none. If the worker is killed before its header is whole, it is moved aside at
 * the next opening.
 */
async function beginLaneFile(path: string, reclaimedThroughSeq: number): Promise<LaneFile> {
  const header = newFileHeader(reclaimedThroughSeq);
  const handle = await open(path, "w+", OWNER_ONLY);
  try {
    await writeFully(handle, encodeFileHeader(header), 0);
  } catch (error) {
    await handle.close();
    await rm(path, { force: true });
    throw error;
  }
  return new LaneFile(handle, header);
}

/** Replaces the lane's file with a draft, atomically. */
export async function publishLaneFile(
  path: string,
  draft: LaneFile,
  args: { fsync: boolean },
): Promise<void> {
  if (args.fsync) await draft.handle.sync();
  await rename(draftPath(path), path);
  if (args.fsync) await syncDirectory(dirname(path));
}

/** Removes a draft. */
export async function discardDraft(path: string, handle: FileHandle): Promise<void> {
  await handle.close();
  await rm(draftPath(path), { force: true });
}

/** Reads a lane file's header; undefined when it has no whole one. */
export async function readFileHeader(handle: FileHandle): Promise<FileHeader | undefined> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(FILE_HEADER_BYTES), 0, FILE_HEADER_BYTES, 0);
  return decodeFileHeader(buffer.subarray(0, bytesRead));
}

/** Writes all bytes at a position, with one write(2) unless the system takes less at a time. */
export async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

async function openExisting(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r+");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function draftPath(path: string): string {
  return `${path}.draft`;
}

function emptyRecovery(): LaneRecovery {
  return { records: 0, droppedBytes: 0, damagedCopy: undefined };
}
