const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** One line of a process's output. */
export interface OutputLine {
  readonly text: string;
  /** Whether its end is missing because it was too long. */
  readonly truncated: boolean;
}

/**
 * Cuts bytes into lines, and keeps no more of a line than a limit. Invalid UTF-8 becomes U+FFFD, and a CR before
 * the newline goes. A line split over chunks is joined: a newline is never part of a longer UTF-8 character.
 */
export class LineSplitter {
  readonly #mostBytes: number;
  #parts: Uint8Array[] = [];
  #keptBytes = 0;
  #lineBytes = 0;
  #consumed = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** Bytes of the whole lines returned so far, with their newlines: where to go on after a restart. */
  get consumedBytes(): number {
    return this.#consumed;
  }

  /** Takes a chunk. Returns the lines that it completes. */
  push(chunk: Uint8Array): OutputLine[] {
    const lines: OutputLine[] = [];
    let from = 0;
    for (let newline = chunk.indexOf(NEWLINE); newline !== -1; newline = chunk.indexOf(NEWLINE, from)) {
      this.#keep(chunk.subarray(from, newline));
      lines.push(this.#take(1));
      from = newline + 1;
    }
    this.#keep(chunk.subarray(from));
    return lines;
  }

  /**
   * Skips a chunk up to its last newline, or its first, with the line begun before.
   * @returns How many lines were skipped, and where in the chunk the next one begins; null when no line ends in it.
   */
  passOver(chunk: Uint8Array, upTo: "first" | "last"): { lines: number; from: number } | null {
    let lines = 0;
    let from = 0;
    for (let newline = chunk.indexOf(NEWLINE); newline !== -1; newline = chunk.indexOf(NEWLINE, from)) {
      lines += 1;
      from = newline + 1;
      if (upTo === "first") break;
    }
    if (lines === 0) {
      this.#lineBytes += chunk.length;
      return null;
    }
    this.#lineBytes += from;
    this.#take(0);
    return { lines, from };
  }

  /** What follows the last newline, at the end of the output. */
  flush(): OutputLine | null {
    return this.#lineBytes === 0 ? null : this.#take(0);
  }

  #keep(part: Uint8Array): void {
    this.#lineBytes += part.length;
    const room = this.#mostBytes - this.#keptBytes;
    if (room <= 0 || part.length === 0) return;
    // A copy, because the reader uses its buffer again.
    this.#parts.push(Uint8Array.from(part.subarray(0, room)));
    this.#keptBytes += Math.min(part.length, room);
  }

  #take(newlineBytes: number): OutputLine {
    const truncated = this.#lineBytes > this.#keptBytes;
    const bytes = Buffer.concat(this.#parts);
    const end = !truncated && bytes.at(-1) === CARRIAGE_RETURN ? bytes.length - 1 : bytes.length;
    this.#consumed += this.#lineBytes + newlineBytes;
    this.#parts = [];
    this.#keptBytes = 0;
    this.#lineBytes = 0;
    return { text: bytes.subarray(0, end).toString("utf8"), truncated };
  }
}

/** The end of a text that was cut. */
const CUT_MARK = " […cut]";

/** Cuts a text to a number of bytes of UTF-8, between characters, and marks its end. Returns a text that fits as it is. */
export function cutToBytes(text: string, mostBytes: number): string {
  // A character takes at most three bytes for each UTF-16 unit, so most texts need no count.
  if (text.length * 3 <= mostBytes || Buffer.byteLength(text) <= mostBytes) return text;
  return `${headBytes(text, mostBytes - Buffer.byteLength(CUT_MARK))}${CUT_MARK}`;
}

/** Marks a text as cut although it may fit, and makes room for the mark. */
export function markCut(text: string, mostBytes: number): string {
  return `${headBytes(text, mostBytes - Buffer.byteLength(CUT_MARK))}${CUT_MARK}`;
}

function headBytes(text: string, mostBytes: number): string {
  const bytes = Buffer.from(text, "utf8");
  let end = Math.min(bytes.length, mostBytes);
  // A byte of the form 10xxxxxx continues a character.
  while (end > 0 && end < bytes.length && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end).toString("utf8");
}
