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
  syncedBytes: number;
  /** The last of its syncs. One that failed fails all after it: what the system has thrown away it does not say twice. */
  syncing: Promise<void>;
}

/**
 * Packs as files that grow: an append is one write, and one sync of the file makes all before it safe, where a file of its own
 * would cost several of file and folders. What a crash leaves behind the last sync is told from what was saved by its hash.
 */
export class PackFiles {
  readonly #root: string;
  readonly #syncFolder: (path: string) => Promise<void>;
  #pack: OpenPack | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  /** Resolves once what was left is on disk too; rejects, until somebody was told, if it may not be. */
  #leaving: Promise<void> = Promise.resolve();

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

  /** Resolves once all that was appended before is on disk. */
  async sync(): Promise<void> {
    const [pack, leaving] = [this.#pack, this.#leaving];
    try {
      await leaving;
    } finally {
      if (this.#leaving === leaving) this.#leaving = Promise.resolve();
    }
    if (pack !== null) await this.#syncOpen(pack);
  }

  async #syncOpen(pack: OpenPack): Promise<void> {
    try {
      await syncPack(pack);
    } catch (error) {
      this.#turn = this.#turn.then(() => (this.#pack === pack ? this.#leave() : undefined));
      throw error;
    }
  }

  async #append(folder: string, bytes: Uint8Array): Promise<Appended> {
    try {
      const pack = await this.#packFor(folder, bytes.byteLength);
      const offset = pack.sizeBytes;
      await writeAll(pack.fd, bytes, offset);
      pack.sizeBytes += bytes.byteLength;
      return { uri: pack.uri, offset };
    } catch (error) {
      // What is behind the last good append may be anything: nothing more goes into this file.
      this.#leave();
      throw error;
    }
  }

  async #packFor(folder: string, moreBytes: number): Promise<OpenPack> {
    const known = this.#pack;
    if (known?.folder === folder && known.sizeBytes + moreBytes <= PACK_BYTES_MAX) return known;
    this.#leave();
    const path = join(this.#root, ...folder.split("/"), "packs", `${randomUUID()}.pack`);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const fd = await openFile(path, "wx", 0o600);
    this.#pack = {
      folder,
      fd,
      uri: pathToFileURL(path).href,
      sizeBytes: 0,
      syncedBytes: 0,
      syncing: Promise.resolve(),
    };
    await this.#syncFolder(dirname(path));
    return this.#pack;
  }

  #leave(): void {
    const pack = this.#pack;
    this.#pack = null;
    if (pack === null) return;
    const synced = syncPack(pack).finally(() => closeFile(pack.fd).catch(() => {}));
    this.#leaving = Promise.all([this.#leaving, synced]).then(() => {});
    this.#leaving.catch(() => {});
  }
}

/** One sync at a time: callers that come during a sync share the next. */
function syncPack(pack: OpenPack): Promise<void> {
  const { sizeBytes } = pack;
  pack.syncing = pack.syncing.then(async () => {
    if (pack.syncedBytes >= sizeBytes) return;
    const reached = pack.sizeBytes;
    await syncData(pack.fd);
    pack.syncedBytes = reached;
  });
  pack.syncing.catch(() => {});
  return pack.syncing;
}

async function writeAll(fd: number, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await writeAt(fd, bytes, done, bytes.byteLength - done, at + done);
    done += bytesWritten;
  }
}
