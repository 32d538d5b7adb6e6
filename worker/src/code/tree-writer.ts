import { constants } from "node:fs";
import { type FileHandle, mkdir, open, symlink } from "node:fs/promises";
import { join } from "node:path";
import { checkLinkTarget, type PathComponents, parseEntryPath, quote } from "./archive-path.ts";
import { CodeError, systemCode } from "./code-error.ts";
import type { CodeLimits } from "./limits.ts";

const FILE_MODE = 0o444;
const EXECUTABLE_MODE = 0o555;
// While the tree is being written. Sealing removes the write permission.
const OPEN_DIRECTORY_MODE = 0o755;
const ANY_EXECUTE_BIT = 0o111;
const CREATE_ONLY = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** One entry as the header of a tar announces it, unchecked. */
export interface ArchiveEntry {
  readonly name: string;
  /** The type as tar-stream names it; null when it has no name for it. */
  readonly type: string | null;
  readonly size: number;
  readonly mode: number;
  readonly linkname: string | null;
}

/**
 * Builds a tree in a new, empty directory from the entries of archives. Links are only noted while entries come
 * in, and made by `finish`, so nothing is ever written through a link.
 */
export class TreeWriter {
  readonly #root: string;
  readonly #limits: CodeLimits;
  readonly #kinds = new Map<string, "directory" | "file" | "link">();
  readonly #links: { path: string; target: string }[] = [];
  #entries = 0;
  #totalBytes = 0;

  constructor(root: string, limits: CodeLimits) {
    this.#root = root;
    this.#limits = limits;
  }

  /**
   * Adds one entry with its content.
   * @throws CodeError `unsafe-archive` or `too-large`; the system's error when the disk refuses.
   */
  async add(header: ArchiveEntry, content: AsyncIterable<Uint8Array>): Promise<void> {
    const path = parseEntryPath(header.name, this.#limits);
    if (path.some((component) => component.startsWith(".wh."))) {
      throw unsafe(`The entry ${quote(header.name)} deletes a file of another layer.`);
    }
    switch (header.type) {
      case "directory":
        return await this.#addDirectory(path, header);
      case "file":
        return await this.#addFile(path, { header, content });
      case "symlink":
        return await this.#addLink(path, header);
      default:
        throw unsafe(`The entry ${quote(header.name)} is a ${header.type ?? "thing of unknown type"}.`);
    }
  }

  /** Makes the links. Called once, after the last entry. */
  async finish(): Promise<void> {
    for (const { path, target } of this.#links) {
      await this.#refuseExisting(path, () => symlink(target, join(this.#root, path)));
    }
  }

  async #addDirectory(path: PathComponents, header: ArchiveEntry): Promise<void> {
    refuseContent(header);
    await this.#makeDirectories(path);
  }

  async #addFile(
    path: PathComponents,
    args: { header: ArchiveEntry; content: AsyncIterable<Uint8Array> },
  ): Promise<void> {
    const { size, mode, name } = args.header;
    if (!(size <= this.#limits.fileBytes)) {
      throw new CodeError(
        "too-large",
        `The file ${quote(name)} is larger than ${this.#limits.fileBytes} bytes.`,
      );
    }
    this.#totalBytes += size;
    if (!(this.#totalBytes <= this.#limits.totalBytes)) {
      throw new CodeError(
        "too-large",
        `The archive's files are larger than ${this.#limits.totalBytes} bytes.`,
      );
    }
    const joined = await this.#claim(path, "file");
    const handle = await this.#refuseExisting(joined, () =>
      open(join(this.#root, joined), CREATE_ONLY, 0o600),
    );
    try {
      await writeAll(handle, args.content, size);
      // Of the archive's mode only the right to execute is kept. Set-uid and the rest are dropped.
      await handle.chmod(mode & ANY_EXECUTE_BIT ? EXECUTABLE_MODE : FILE_MODE);
    } finally {
      await handle.close();
    }
  }

  async #addLink(path: PathComponents, header: ArchiveEntry): Promise<void> {
    refuseContent(header);
    const target = header.linkname ?? "";
    checkLinkTarget(target, { parent: path.slice(0, -1), limits: this.#limits });
    this.#links.push({ path: await this.#claim(path, "link"), target });
  }

  #countEntry(): void {
    this.#entries += 1;
    if (this.#entries <= this.#limits.entries) return;
    throw new CodeError("too-large", `The archive has more than ${this.#limits.entries} entries.`);
  }

  /** Notes a new path and makes the directories above it. */
  async #claim(path: PathComponents, kind: "file" | "link"): Promise<string> {
    const joined = path.join("/");
    if (path.length === 0) throw unsafe(`The root of the tree is a ${kind}.`);
    if (this.#kinds.has(joined)) throw unsafe(`The entry ${quote(joined)} appears twice.`);
    this.#countEntry();
    await this.#makeDirectories(path.slice(0, -1));
    this.#kinds.set(joined, kind);
    return joined;
  }

  async #makeDirectories(path: PathComponents): Promise<void> {
    for (let depth = 1; depth <= path.length; depth += 1) {
      const joined = path.slice(0, depth).join("/");
      const kind = this.#kinds.get(joined);
      if (kind === "directory") continue;
      if (kind) throw unsafe(`The entry ${quote(joined)} is a ${kind} and a directory at once.`);
      // Directories without an entry of their own need inodes too, so they count.
      this.#countEntry();
      await this.#refuseExisting(joined, () =>
        mkdir(join(this.#root, joined), { mode: OPEN_DIRECTORY_MODE }),
      );
      this.#kinds.set(joined, "directory");
    }
  }

  /** A file system that ignores case or normalizes names can make two names one. That is refused as well. */
  async #refuseExisting<T>(path: string, make: () => Promise<T>): Promise<T> {
    try {
      return await make();
    } catch (error) {
      if (systemCode(error) === "EEXIST") throw unsafe(`The entry ${quote(path)} appears twice.`);
      throw error;
    }
  }
}

function refuseContent(header: ArchiveEntry): void {
  if (header.size !== 0) throw unsafe(`The ${header.type} ${quote(header.name)} has content.`);
}

async function writeAll(handle: FileHandle, content: AsyncIterable<Uint8Array>, size: number): Promise<void> {
  let written = 0;
  for await (const chunk of content) {
    for (let from = 0; from < chunk.length; ) {
      from += (await handle.write(chunk, from)).bytesWritten;
    }
    written += chunk.length;
  }
  if (written !== size) throw unsafe("A file of the archive ends too early.");
}

function unsafe(what: string): CodeError {
  return new CodeError("unsafe-archive", what);
}
