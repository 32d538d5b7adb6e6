import { randomUUID } from "node:crypto";
import { close, fdatasync, open, write } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { type Modes, makeFolders } from "./modes.ts";
import type { Appended } from "./objects.ts";
import { PACK_BYTES_MAX } from "./packs.ts";

// Plain descriptors, because Node closes an unreferenced FileHandle with a warning.
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
  /** The latest sync. If one fails, all later ones fail: the operating system reports lost data only once. */
  syncing: Promise<void>;
}

/** What packs need from the store's folder. */
export interface PackOptions {
  readonly syncFolder: (path: string) => Promise<void>;
  /** The permissions of what is made at a path relative to the root. */
  readonly modesOf: (relative: string) => Promise<Modes>;
}

/**
 * Packs as growing files: an append is one write, and one sync makes all earlier appends safe. After a crash, hashes
 * tell complete values from incomplete ones.
 */
export class PackFiles {
  readonly #root: string;
  readonly #options: PackOptions;
  #pack: OpenPack | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  /** Resolves once closed packs are on disk. Rejects, until a caller has seen it, if they may not be. */
  #leaving: Promise<void> = Promise.resolve();

  constructor(root: string, options: PackOptions) {
    this.#root = root;
    this.#options = options;
  }

  /** One at a time, because an append starts where the one before ends. */
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
      // The end of this file is undefined now, so no more values go into it.
      this.#leave();
      throw error;
    }
  }

  async #packFor(folder: string, moreBytes: number): Promise<OpenPack> {
    const known = this.#pack;
    if (known?.folder === folder && known.sizeBytes + moreBytes <= PACK_BYTES_MAX) return known;
    this.#leave();
    const path = join(this.#root, ...folder.split("/"), "packs", `${randomUUID()}.pack`);
    const modes = await this.#options.modesOf(folder);
    await makeFolders(dirname(path), modes);
    const fd = await openFile(path, "wx", modes.file);
    this.#pack = {
      folder,
      fd,
      uri: pathToFileURL(path).href,
      sizeBytes: 0,
      syncedBytes: 0,
      syncing: Promise.resolve(),
    };
    await this.#options.syncFolder(dirname(path));
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

/** One sync at a time. Callers that arrive during a sync share the next one. */
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
