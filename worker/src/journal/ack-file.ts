import { type FileHandle, open } from "node:fs/promises";
import { isMissing } from "./journal-error.ts";
import { writeFully } from "./lane-file.ts";
import { checksumOf } from "./record-format.ts";

const OWNER_ONLY = 0o600;
const SLOT_BYTES = 16;

/**
 * Keeps one number on disk: the highest acknowledged sequence.
 * Sixteen bytes overwritten in place, so an acknowledgement needs no new disk block and works on a full disk. A torn or lost
 * write reads as an older number or 0, which only offers records again.
 */
export class AckFile {
  readonly #handle: FileHandle;
  #wanted: number;
  #written: number;
  #writing: Promise<void> | undefined;

  private constructor(handle: FileHandle, seq: number) {
    this.#handle = handle;
    this.#wanted = seq;
    this.#written = seq;
  }

  /** Opens the file, or makes one that says 0. */
  static async open(path: string): Promise<AckFile> {
    const existing = await openExisting(path);
    if (existing) return new AckFile(existing, await readSlot(existing));
    const handle = await open(path, "w+", OWNER_ONLY);
    const file = new AckFile(handle, 0);
    await writeFully(handle, encodeSlot(0), 0);
    return file;
  }

  /** The highest sequence acknowledged, counted from the moment `advance` was called. */
  get seq(): number {
    return this.#wanted;
  }

  /** Raises the number; a lower one changes nothing. Writes in flight at once are merged into one. */
  async advance(seq: number): Promise<void> {
    if (seq > this.#wanted) this.#wanted = seq;
    while (this.#written < this.#wanted) {
      this.#writing ??= this.#writeWanted().finally(() => {
        this.#writing = undefined;
      });
      await this.#writing;
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #writeWanted(): Promise<void> {
    const seq = this.#wanted;
    await writeFully(this.#handle, encodeSlot(seq), 0);
    this.#written = seq;
  }
}

/** The highest sequence acknowledged, read without changing anything; 0 when there is no file. */
export async function readAcknowledged(path: string): Promise<number> {
  try {
    const handle = await open(path, "r");
    try {
      return await readSlot(handle);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (isMissing(error)) return 0;
    throw error;
  }
}

function encodeSlot(seq: number): Buffer {
  const slot = Buffer.alloc(8);
  slot.writeBigUInt64LE(BigInt(seq));
  return Buffer.concat([slot, checksumOf(slot)]);
}

async function readSlot(handle: FileHandle): Promise<number> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(SLOT_BYTES), 0, SLOT_BYTES, 0);
  if (bytesRead < SLOT_BYTES || !checksumOf(buffer.subarray(0, 8)).equals(buffer.subarray(8))) return 0;
  const seq = Number(buffer.readBigUInt64LE(0));
  return Number.isSafeInteger(seq) ? seq : 0;
}

async function openExisting(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r+");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
