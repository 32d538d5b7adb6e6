import { type FileHandle, open } from "node:fs/promises";
import { isMissing } from "./journal-error.ts";
import { writeFully } from "./lane-file.ts";
import { checksumOf } from "./record-format.ts";

const OWNER_ONLY = 0o600;
/** Bytes of the note beside a number. */
const NOTE_BYTES = 40;
const SEQ_BYTES = 8;
const SLOT_BYTES = SEQ_BYTES + NOTE_BYTES + 8;
const NO_NOTE = Buffer.alloc(NOTE_BYTES);

interface Slot {
  readonly seq: number;
  readonly note: Buffer;
}

/**
 * Keeps the highest acknowledged number on disk, and a note about that record. The file is overwritten in place,
 * so an acknowledgement needs no new disk block and works on a full disk. A torn or lost write reads as an older
 * number or 0, and then records are only offered again.
 */
export class AckFile {
  readonly #handle: FileHandle;
  #wanted: Slot;
  #written: number;
  #writing: Promise<void> | undefined;

  private constructor(handle: FileHandle, slot: Slot) {
    this.#handle = handle;
    this.#wanted = slot;
    this.#written = slot.seq;
  }

  /** Opens the file, or makes one that says 0. */
  static async open(path: string): Promise<AckFile> {
    const existing = await openExisting(path);
    if (existing) return new AckFile(existing, await readSlot(existing));
    const handle = await open(path, "w+", OWNER_ONLY);
    const file = new AckFile(handle, { seq: 0, note: NO_NOTE });
    await writeFully(handle, encodeSlot(file.#wanted), 0);
    return file;
  }

  /** The highest acknowledged number. It counts from the call of `advance`. */
  get seq(): number {
    return this.#wanted.seq;
  }

  /** The note of that number; zeros where there is none. */
  get note(): Buffer {
    return this.#wanted.note;
  }

  /** Raises the number. A lower one changes nothing. Writes at the same time are merged. */
  async advance(seq: number, note: Buffer = NO_NOTE): Promise<void> {
    if (seq > this.#wanted.seq) this.#wanted = { seq, note };
    while (this.#written < this.#wanted.seq) {
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
    const slot = this.#wanted;
    await writeFully(this.#handle, encodeSlot(slot), 0);
    this.#written = slot.seq;
  }
}

/** Reads the highest acknowledged number without changing anything; 0 when there is no file. */
export async function readAcknowledged(path: string): Promise<number> {
  try {
    const handle = await open(path, "r");
    try {
      return (await readSlot(handle)).seq;
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (isMissing(error)) return 0;
    throw error;
  }
}

function encodeSlot({ seq, note }: Slot): Buffer {
  const said = Buffer.alloc(SEQ_BYTES + NOTE_BYTES);
  said.writeBigUInt64LE(BigInt(seq));
  note.copy(said, SEQ_BYTES);
  return Buffer.concat([said, checksumOf(said)]);
}

async function readSlot(handle: FileHandle): Promise<Slot> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(SLOT_BYTES), 0, SLOT_BYTES, 0);
  const [said, sum] = [buffer.subarray(0, SEQ_BYTES + NOTE_BYTES), buffer.subarray(SEQ_BYTES + NOTE_BYTES)];
  const seq = Number(said.readBigUInt64LE(0));
  const whole = bytesRead === SLOT_BYTES && checksumOf(said).equals(sum) && Number.isSafeInteger(seq);
  return whole ? { seq, note: said.subarray(SEQ_BYTES) } : { seq: 0, note: NO_NOTE };
}

async function openExisting(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r+");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
