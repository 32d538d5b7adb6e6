import { randomFill } from "node:crypto";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { promisify } from "node:util";
import { isMissing, isOutOfSpace } from "./journal-error.ts";
import { writeFully } from "./lane-file.ts";

const OWNER_ONLY = 0o600;
const CHUNK_BYTES = 256 * 1024;
const DEFAULT_RESERVE_BYTES = 16 * 1024 * 1024;
const fillRandom = promisify<Buffer, Buffer>(randomFill);

/**
 * Disk space for the control lanes of one worker: a file that is deleted when the disk is full, so that the ends
 * of attempts can still be written. Each state directory has one, shared by all journals.
 */
export interface Reserve {
  /** Whether the space is held. While it is not, bulk lanes drop records, so that logs do not take what was freed for control. */
  readonly held: boolean;
  /** Gives the space back to the file system. Returns whether there was any. */
  release(): Promise<boolean>;
  /** Takes the space again if the disk allows. Returns whether it is held now. A periodic job calls it. */
  restore(): Promise<boolean>;
}

/** Opens the reserve at this path, and allocates it if the disk has room. Without room it opens as not held. */
export async function openReserve(args: {
  path: string;
  /** Space to keep. @default 16 MiB */
  sizeBytes?: number;
}): Promise<Reserve> {
  const reserve = new FileReserve(args.path, args.sizeBytes ?? DEFAULT_RESERVE_BYTES);
  await reserve.restore();
  return reserve;
}

class FileReserve implements Reserve {
  readonly #path: string;
  readonly #sizeBytes: number;
  #held = false;
  #changing: Promise<unknown> = Promise.resolve();

  constructor(path: string, sizeBytes: number) {
    this.#path = path;
    this.#sizeBytes = sizeBytes;
  }

  get held(): boolean {
    return this.#held;
  }

  async release(): Promise<boolean> {
    return await this.#inTurn(async () => {
      if (!this.#held) return false;
      this.#held = false;
      await rm(this.#path, { force: true });
      return true;
    });
  }

  async restore(): Promise<boolean> {
    return await this.#inTurn(async () => {
      this.#held ||=
        (await hasSize(this.#path, this.#sizeBytes)) || (await allocate(this.#path, this.#sizeBytes));
      return this.#held;
    });
  }

  // Two lanes that find the disk full at once must not see the reserve half released.
  async #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#changing.then(change);
    this.#changing = turn.catch(() => {});
    return await turn;
  }
}

async function hasSize(path: string, sizeBytes: number): Promise<boolean> {
  try {
    return (await stat(path)).size === sizeBytes;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

async function allocate(path: string, sizeBytes: number): Promise<boolean> {
  const draft = `${path}.draft`;
  const handle = await open(draft, "w", OWNER_ONLY);
  try {
    await fill(handle, sizeBytes);
    await rename(draft, path);
    return true;
  } catch (error) {
    await rm(draft, { force: true });
    if (isOutOfSpace(error)) return false;
    throw error;
  } finally {
    await handle.close();
  }
}

/**
 * Random bytes: file systems that compress or detect holes would give zeros no space. They compress at most CHUNK_BYTES at once, so
 * each chunk can have the same bytes.
 */
async function fill(handle: FileHandle, sizeBytes: number): Promise<void> {
  const bytes = await fillRandom(Buffer.alloc(CHUNK_BYTES));
  for (let at = 0; at < sizeBytes; at += CHUNK_BYTES) {
    await writeFully(handle, bytes.subarray(0, sizeBytes - at), at);
  }
  await handle.sync();
}
