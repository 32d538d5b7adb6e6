import { type FSWatcher, watch } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import type { Sleep } from "../host/index.ts";
import { createBell, waitOrRing } from "../protocol/signal.ts";
import { openIfAny } from "../state/atomic-file.ts";
import { LineSplitter, type OutputLine } from "./lines.ts";

const CHUNK_BYTES = 64 * 1024;
/** How often to look when the system tells of changes, and when it does not, milliseconds. */
const LOOK_MS = { watched: 1_000, unwatched: 150 };

/** What to tail, and who takes the lines. */
export interface TailOptions {
  readonly path: string;
  /** Where to begin, bytes: what an earlier tail had handed out. */
  readonly fromBytes: number;
  /** The most of one line that is kept, bytes. */
  readonly lineBytes: number;
  /** Takes lines in order. The next are read once it resolves, so a slow taker slows only the reading. */
  readonly take: (lines: readonly OutputLine[], throughBytes: number) => Promise<void>;
}

/** A tail that is under way. */
export interface Tail {
  /** Reads what is there to the end, hands out the last line even without a newline, and stops. */
  finish(): Promise<void>;
  /** Stops without reading on. */
  abandon(): Promise<void>;
}

/**
 * Follows a growing file line by line. The file is the buffer: a process that writes to it never waits for
 * the worker, and its output outlives the worker.
 */
export function startTail(deps: { sleep: Sleep }, options: TailOptions): Tail {
  const stopping = new AbortController();
  const bell = createBell();
  const splitter = new LineSplitter(options.lineBytes);
  let abandoned = false;

  async function drain(file: FileHandle, position: number): Promise<number> {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    let at = position;
    while (!abandoned) {
      const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, at);
      if (bytesRead === 0) break;
      at += bytesRead;
      const lines = splitter.push(buffer.subarray(0, bytesRead));
      if (lines.length > 0) await options.take(lines, options.fromBytes + splitter.consumedBytes);
    }
    return at;
  }

  async function run(): Promise<void> {
    const file = await openIfAny(options.path);
    if (!file) return;
    const watcher = watchIfPossible(options.path, () => bell.ring());
    try {
      let position = options.fromBytes;
      do {
        position = await drain(file, position);
      } while (
        await waitOrRing(deps.sleep, {
          ms: watcher ? LOOK_MS.watched : LOOK_MS.unwatched,
          bell,
          signal: stopping.signal,
        })
      );
      if (!abandoned) await drain(file, position);
      const rest = abandoned ? null : splitter.flush();
      if (rest) await options.take([rest], options.fromBytes + splitter.consumedBytes);
    } finally {
      watcher?.close();
      await file.close();
    }
  }

  const running = run();
  // Whoever finishes it hears of a failure; until then it must not end the process.
  running.catch(() => {});
  return {
    async finish() {
      stopping.abort();
      await running;
    },
    async abandon() {
      abandoned = true;
      stopping.abort();
      await running.catch(() => {});
    },
  };
}

function watchIfPossible(path: string, onChange: () => void): FSWatcher | null {
  try {
    const watcher = watch(path, { persistent: false }, onChange);
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    // The system's watches may be used up; looking often does as well.
    return null;
  }
}
