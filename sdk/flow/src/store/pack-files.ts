import { randomUUID } from "node:crypto";
import { close, fdatasync, open, write } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import type { Appended } from "./objects.ts";
import { PACK_BYTES_MAX } from "./packs.ts";

// Plain descriptors: a handle that nobody holds any more would be closed, with a warning, whenever memory is tidied up.
const openFile = promisify(open);
const writeAt = promisify(write);
const syncData = promisify(fdatasync);
const closeFile = promisify(close);

interface OpenPack {
  readonly folder: string;
  readonly fd: number;
  readonly uri: string;
  sizeBytes: number;
}

/**
 * Packs as files that grow: each append is on disk when it resolves, at the price of one sync of the file, where a file of its own
 * would cost several of file and folders. What a crash leaves behind an append that was not acknowledged is read by nobody.
 */
export class PackFiles {
  readonly #root: string;
  readonly #syncFolder: (path: string) => Promise<void>;
  #pack: OpenPack | null = null;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(root: string, syncFolder: (path: string) => Promise<void>) {
    this.#root = root;
    this.#syncFolder = syncFolder;
  }

  /** One at a time: an append knows its place by the one before it. */
  async append(folder: string, bytes: Uint8Array): Promise<Appended> {
    const own = this.#turn.then(() => this.#append(folder, bytes));
    this.#turn = own.catch(() => {});
    return await own;
  }

  async #append(folder: string, bytes: Uint8Array): Promise<Appended> {
    try {
      const pack = await this.#packFor(folder, bytes.byteLength);
      const offset = pack.sizeBytes;
      await writeAll(pack.fd, bytes, offset);
      await syncData(pack.fd);
      pack.sizeBytes += bytes.byteLength;
      return { uri: pack.uri, offset };
    } catch (error) {
      // What is behind the last good append may be anything: nothing more goes into this file.
      await this.#leave();
      throw error;
    }
  }

  async #packFor(folder: string, moreBytes: number): Promise<OpenPack> {
    const known = this.#pack;
    if (known?.folder === folder && known.sizeBytes + moreBytes <= PACK_BYTES_MAX) return known;
    await this.#leave();
    const path = join(this.#root, ...folder.split("/"), "packs", `${randomUUID()}.pack`);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const fd = await openFile(path, "wx", 0o600);
    this.#pack = { folder, fd, uri: pathToFileURL(path).href, sizeBytes: 0 };
    await this.#syncFolder(dirname(path));
    return this.#pack;
  }

  async #leave(): Promise<void> {
    const pack = this.#pack;
    this.#pack = null;
    if (pack !== null) await closeFile(pack.fd).catch(() => {});
  }
}

async function writeAll(fd: number, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await writeAt(fd, bytes, done, bytes.byteLength - done, at + done);
    done += bytesWritten;
  }
}
