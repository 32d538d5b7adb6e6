import type { FileHandle } from "node:fs/promises";
import {
  decodeRecordHeader,
  FILE_HEADER_BYTES,
  MAX_RECORD_BYTES,
  matchesChecksum,
  RECORD_HEADER_BYTES,
} from "./record-format.ts";

/** One record as it lies in a file. */
export interface ScannedRecord {
  readonly seq: number;
  readonly payload: Buffer;
  /** Where its header begins, bytes. */
  readonly offset: number;
  /** Where the next record would begin, bytes. */
  readonly nextOffset: number;
}

/** Which part of which file to read. */
export interface ScanRange {
  readonly salt: Buffer;
  /** Where a record begins. @default right after the file's header */
  readonly from?: number;
  /** Where to stop, bytes. @default the end of the file */
  readonly to?: number;
  /** Record numbers must be above this. @default 0 */
  readonly afterSeq?: number;
}

const CHUNK_BYTES = 256 * 1024;

/**
 * Reads whole, valid records in order and stops before the first that is torn, damaged or out of order. It holds
 * one chunk, or one longer record, in memory. Payloads are copies and stay valid.
 */
export async function* scanRecords(handle: FileHandle, range: ScanRange): AsyncGenerator<ScannedRecord> {
  const window = new FileWindow(handle, range.from ?? FILE_HEADER_BYTES, range.to ?? Number.MAX_SAFE_INTEGER);
  let lastSeq = range.afterSeq ?? 0;
  while (true) {
    const offset = window.position;
    const headerBytes = await window.peek(RECORD_HEADER_BYTES);
    const header = headerBytes && decodeRecordHeader(headerBytes);
    if (!header || header.seq <= lastSeq) return;
    const whole = await window.peek(RECORD_HEADER_BYTES + header.lengthBytes);
    if (!whole) return;
    const payload = Buffer.from(whole.subarray(RECORD_HEADER_BYTES));
    if (!matchesChecksum(range.salt, whole, payload)) return;
    window.skip(whole.length);
    lastSeq = header.seq;
    yield { seq: header.seq, payload, offset, nextOffset: window.position };
  }
}

/** A forward-only view of a file that reads in chunks. */
class FileWindow {
  position: number;
  readonly #handle: FileHandle;
  readonly #to: number;
  #bytes = Buffer.alloc(0);

  constructor(handle: FileHandle, from: number, to: number) {
    this.#handle = handle;
    this.position = from;
    this.#to = to;
  }

  /** The next `length` bytes, without passing them; undefined when there are fewer. */
  async peek(length: number): Promise<Buffer | undefined> {
    if (length > MAX_RECORD_BYTES + RECORD_HEADER_BYTES) return undefined;
    while (this.#bytes.length < length) {
      const at = this.position + this.#bytes.length;
      const want = Math.min(Math.max(CHUNK_BYTES, length - this.#bytes.length), this.#to - at);
      if (want <= 0) return undefined;
      const { bytesRead, buffer } = await this.#handle.read(Buffer.allocUnsafe(want), 0, want, at);
      if (bytesRead === 0) return undefined;
      this.#bytes = Buffer.concat([this.#bytes, buffer.subarray(0, bytesRead)]);
    }
    return this.#bytes.subarray(0, length);
  }

  skip(length: number): void {
    this.#bytes = this.#bytes.subarray(length);
    this.position += length;
  }
}
