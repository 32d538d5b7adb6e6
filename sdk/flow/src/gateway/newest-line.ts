import { closeSync, fstatSync, openSync, writeSync } from "node:fs";
import type { LogDraft } from "../engine/records.ts";

const OUTPUT = { stdout: 1, stderr: 2 } as const;

/** Bytes in the output files of this process; undefined if its output does not go to files. */
function printedBytes(): LogDraft["printed"] {
  try {
    const [stdout, stderr] = [fstatSync(OUTPUT.stdout), fstatSync(OUTPUT.stderr)];
    return stdout.isFile() && stderr.isFile() ? { stdout: stdout.size, stderr: stderr.size } : undefined;
  } catch {
    // Closed.
    return undefined;
  }
}

/**
 * Tells the worker where a log line stands among the printed lines. Both parts are system calls of about a microsecond
 * and never wait for the worker.
 */
export class NewestLine {
  readonly #path: string | undefined;
  readonly #bytes = Buffer.alloc(8);
  #file: number | null | undefined;

  /** @param path The file of the gateway's address. Without it, the worker does not read these positions. */
  constructor(path: string | undefined) {
    this.#path = path;
    if (path === undefined) this.#file = null;
  }

  /** The line, with the bytes that were printed before it. */
  placed(line: LogDraft): LogDraft {
    if (this.#file === null) return line;
    const printed = printedBytes();
    return printed === undefined ? line : { ...line, printed };
  }

  /** Notes the line's number before the process can print more. */
  note(seq: number): void {
    if (this.#file === null) return;
    try {
      this.#file ??= openSync(this.#path ?? "", "w", 0o600);
      this.#bytes.writeBigUInt64LE(BigInt(seq));
      writeSync(this.#file, this.#bytes, 0, this.#bytes.length, 0);
    } catch {
      // Only the order of lines is lost.
      this.#file = null;
    }
  }

  /** Later lines have no place. */
  close(): void {
    if (typeof this.#file === "number") closeSync(this.#file);
    this.#file = null;
  }
}
