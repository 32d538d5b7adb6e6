import { execFile } from "node:child_process";
import { type FSWatcher, watch } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { promisify } from "node:util";
import { WakeUp } from "@towpath/contract";
import type { Sleep } from "../host/index.ts";
import { openIfAny } from "../state/atomic-file.ts";
import { LineSplitter, type OutputLine } from "./lines.ts";

const CHUNK_BYTES = 64 * 1024;
/** How often to look with and without the system's notice of changes, milliseconds. */
const LOOK_MS = { watched: 1_000, unwatched: 150 };
const MIB = 1024 * 1024;

/** How much of a file may be unread, and may lie on the disk. */
export interface TailLimits {
  /** A process that has printed so much more than was read is too fast. Its lines are only counted until near the end. */
  readonly backlogBytes: number;
  /** So much of the end is then read line by line. */
  readonly restBytes: number;
  /** How much read space is gathered before it is given back. */
  readonly giveBackBytes: number;
  /** The longest file where space cannot be given back. */
  readonly fileBytes: number;
}

/** The limits of a tail without limits of its own. */
export const TAIL_LIMITS: TailLimits = {
  backlogBytes: 128 * MIB,
  restBytes: MIB,
  giveBackBytes: 64 * MIB,
  fileBytes: 1024 * MIB,
};

/** Takes the lines of one read, and the position after them. */
export type TakeLines = (lines: readonly OutputLine[], throughBytes: number) => Promise<void>;

/** What to tail, and the functions that take it. */
export interface TailOptions {
  readonly path: string;
  /** Where to begin, bytes: the end of an earlier tail. */
  readonly fromBytes: number;
  /** The most of one line that is kept, bytes. */
  readonly lineBytes: number;
  readonly limits?: TailLimits;
  /**
   * Called after more output was seen and before it is read: what the process did before it printed this may come first.
   * Gets the time of the last write, milliseconds by the clock of the file system.
   * @default reads at once
   */
  readonly beforeReading?: (writtenAtMs: number) => Promise<void>;
  /** Runs one step of the reading. Steps never overlap. @default at once */
  readonly inTurn?: (step: () => Promise<unknown>) => Promise<void>;
  /** Takes lines in order. The next are read once it resolves, so a slow function only slows the reading. */
  readonly take: TakeLines;
  /** Takes a count of skipped lines. */
  readonly skip: (lines: number, throughBytes: number) => Promise<void>;
  /** Called once when the file is too long. */
  readonly tooLong: () => void;
  /** Gives back space. @default by punching a hole into the file */
  readonly giveBack?: (path: string, bytes: number) => Promise<boolean>;
}

/** A running tail. */
export interface Tail {
  /**
   * Reads to a position at once, and passes the lines to another function. The caller has the turn. Reads nothing if the
   * position is behind, or if more than `mostBytes` are unread.
   */
  readTo(bytes: number, args: { take: TakeLines; mostBytes: number }): Promise<void>;
  /** Reads to the present end, passes on the last line even without a newline, and stops. */
  finish(): Promise<void>;
  /** Stops without reading on. */
  abandon(): Promise<void>;
}

/**
 * Follows a growing file line by line. The file is the buffer: a process never waits for the worker to read it,
 * and its output outlives the worker.
 */
export function startTail(deps: { sleep: Sleep }, options: TailOptions): Tail {
  const stopping = new AbortController();
  const wakeUp = new WakeUp();
  const reading = new Reading(options);

  const opening = openIfAny(options.path);
  const inTurn = options.inTurn ?? (async (step) => void (await step()));

  /** Reads what was there when it looked. @returns Whether the file has grown since. */
  async function readNow(file: FileHandle): Promise<boolean> {
    const { size, mtimeMs } = await file.stat();
    if (reading.abandoned || size <= reading.position) return false;
    await options.beforeReading?.(Math.floor(mtimeMs));
    let goesOn = true;
    const step = async () => {
      goesOn = !reading.abandoned && reading.position < size && (await reading.step(file, size));
    };
    while (goesOn) await inTurn(step);
    return true;
  }

  async function readAll(file: FileHandle): Promise<void> {
    let grows = true;
    while (grows && !stopping.signal.aborted) grows = await readNow(file);
  }

  async function run(): Promise<void> {
    const file = await opening;
    if (!file) return;
    const watcher = watchIfPossible(options.path, () => wakeUp.wake());
    const ms = watcher ? LOOK_MS.watched : LOOK_MS.unwatched;
    try {
      await inTurn(() => reading.passHole(file));
      do await readAll(file);
      while (await wakeUp.wait(ms, stopping.signal, deps.sleep));
      // Only to the present end: a child process that goes on printing must not delay the end.
      await readNow(file);
      await inTurn(() => reading.end());
    } finally {
      watcher?.close();
      reading.abandoned = true;
      await file.close();
    }
  }

  const running = run();
  // `finish` throws the failure. Until then it must not end the worker.
  running.catch(() => {});
  return {
    async readTo(bytes, { take, mostBytes }) {
      const file = await opening;
      const unread = bytes - reading.position;
      if (!file || reading.abandoned || unread <= 0 || unread > mostBytes) return;
      await reading.readTo(file, { bytes, take });
    },
    async finish() {
      stopping.abort();
      await running;
    },
    async abandon() {
      reading.abandoned = true;
      stopping.abort();
      await running.catch(() => {});
    },
  };
}

/** How far a file was read. */
class Reading {
  abandoned = false;
  readonly #options: TailOptions;
  readonly #limits: TailLimits;
  readonly #splitter: LineSplitter;
  readonly #buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  /** Where the splitter's count of bytes begins. */
  #base: number;
  #position: number;
  #givenBack = 0;
  #givesBack = true;

  constructor(options: TailOptions) {
    this.#options = options;
    this.#limits = options.limits ?? TAIL_LIMITS;
    this.#splitter = new LineSplitter(options.lineBytes);
    this.#base = options.fromBytes;
    this.#position = options.fromBytes;
  }

  /** The space of these lines was given back, and then the journal had no room for them. They are lost. */
  async passHole(file: FileHandle): Promise<void> {
    const from = this.#position;
    for (let chunk = await this.#read(file); isHole(chunk); chunk = await this.#read(file)) {
      this.#position += chunk.length;
    }
    this.#base = this.#position;
    if (this.#position > from) await this.#options.skip(1, this.#position);
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#position;
  }

  /** Reads one chunk before a position. @returns Whether there was one: the file may have been truncated. */
  async step(file: FileHandle, to: number): Promise<boolean> {
    const { size } = await file.stat();
    if (size - this.#position > this.#limits.backlogBytes) await this.#passOver(file, size);
    const chunk = await this.#read(file, to);
    this.#position += chunk.length;
    await this.#push(chunk, this.#options.take);
    await this.#keepShort();
    return chunk.length > 0;
  }

  /** Reads up to a position for another function. Space is given back by a later step, once those lines are journaled. */
  async readTo(file: FileHandle, { bytes, take }: { bytes: number; take: TakeLines }): Promise<void> {
    while (this.#position < bytes) {
      const chunk = await this.#read(file, bytes);
      if (chunk.length === 0) return;
      this.#position += chunk.length;
      await this.#push(chunk, take);
    }
  }

  /** Passes on what follows the last newline. Nothing is read afterwards. */
  async end(): Promise<void> {
    const rest = this.abandoned ? null : this.#splitter.flush();
    this.abandoned = true;
    if (rest) await this.#options.take([rest], this.#through);
  }

  get #through(): number {
    return this.#base + this.#splitter.consumedBytes;
  }

  async #read(file: FileHandle, to: number = Number.POSITIVE_INFINITY): Promise<Buffer> {
    const bytes = Math.max(0, Math.min(CHUNK_BYTES, to - this.#position));
    const { bytesRead } = await file.read(this.#buffer, 0, bytes, this.#position);
    return this.#buffer.subarray(0, bytesRead);
  }

  async #push(chunk: Uint8Array, take: TakeLines): Promise<void> {
    const lines = this.#splitter.push(chunk);
    if (lines.length > 0) await take(lines, this.#through);
  }

  /** Counts lines until near the present end, up to the beginning of a line. */
  async #passOver(file: FileHandle, size: number): Promise<void> {
    const near = size - this.#limits.restBytes;
    let skipped = 0;
    while (!this.abandoned) {
      const chunk = await this.#read(file);
      if (chunk.length === 0) break;
      this.#position += chunk.length;
      const isNear = this.#position >= near;
      const passed = this.#splitter.passOver(chunk, isNear ? "first" : "last");
      skipped += passed?.lines ?? 0;
      await this.#keepShort();
      if (!passed) continue;
      const rest = chunk.subarray(passed.from);
      if (!isNear) {
        // The line that begins here is skipped too, from its beginning.
        this.#splitter.passOver(rest, "last");
        continue;
      }
      await this.#options.skip(skipped, this.#through);
      await this.#push(rest, this.#options.take);
      return;
    }
    if (skipped > 0) await this.#options.skip(skipped, this.#through);
  }

  async #keepShort(): Promise<void> {
    const read = this.#through;
    if (this.#givesBack && read - this.#givenBack >= this.#limits.giveBackBytes) {
      this.#givenBack = read;
      this.#givesBack = await (this.#options.giveBack ?? giveBackSpace)(this.#options.path, read);
    }
    if (this.#givesBack || this.#position <= this.#limits.fileBytes) return;
    this.abandoned = true;
    this.#options.tooLong();
  }
}

function isHole(chunk: Buffer): boolean {
  return chunk.length === CHUNK_BYTES && chunk.every((byte) => byte === 0);
}

function watchIfPossible(path: string, onChange: () => void): FSWatcher | null {
  try {
    const watcher = watch(path, { persistent: false }, onChange);
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    // The system may have no watches left. Looking often works as well.
    return null;
  }
}

const runFile = promisify(execFile);
const TIME_LIMIT_MS = 30_000;

/**
 * Gives the disk space at a file's beginning back to the system while the file goes on growing. Those bytes then
 * read as NUL, and no offset changes, so a process that appends notices nothing. Node cannot do this itself: it
 * needs the `fallocate` program, and a file system with holes.
 * @returns Whether it was possible.
 */
export async function giveBackSpace(path: string, bytes: number): Promise<boolean> {
  try {
    const args = ["--punch-hole", "--offset", "0", "--length", String(bytes), "--", path];
    await runFile("fallocate", args, { timeout: TIME_LIMIT_MS, env: { PATH: "/usr/bin:/bin", LC_ALL: "C" } });
    return true;
  } catch {
    return false;
  }
}
