import type { IncomingMessage, ServerResponse } from "node:http";

const NDJSON = "application/x-ndjson";
/** Asks whether the control plane has everything up to a record. */
const QUESTION = /^\{\s*"stored"\s*:\s*(\d{1,15})\s*\}$/;
/** How long an answer may wait to say that its records are stored as well, milliseconds. */
const GATHER_MS = 5;
/** The most characters of one batch, and of one unfinished line. */
const BATCH_CHARS = 16 * 1024 * 1024;

/** The one stream of an attempt. A new one replaces the one before. */
export interface Streams {
  current: IncomingMessage | null;
}

/** Takes what comes in. None of these functions rejects. */
export interface StreamTaker {
  /** Answers a batch like a POST of it. */
  take(lines: readonly string[]): Promise<object>;
  /** Whether the control plane has everything up to a record: waits until it has. False when the process no longer listens. */
  untilStored(seq: number): Promise<boolean>;
}

interface Stream {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly closing: AbortSignal;
  readonly streams: Streams;
}

/**
 * Takes records as a stream of lines, and answers in lines. After each blank line it says how far they are in
 * the journal. After a line `{"stored":N}` it sends the same line once the control plane has all records up to
 * N. It reads no faster than records are taken, and ends when either side hangs up.
 */
export async function streamRecords(args: Stream, taker: StreamTaker): Promise<void> {
  const { request, response, streams } = args;
  streams.current?.destroy();
  streams.current = request;
  const end = () => response.end(() => request.destroy());
  args.closing.addEventListener("abort", end, { once: true });
  const told = new BatchedWrites(response);
  response.writeHead(200, { "content-type": NDJSON });
  response.flushHeaders();
  try {
    const batch: string[] = [];
    for await (const lines of linesOf(request, () => charsOf(batch))) {
      for (const line of lines) {
        const [, asked] = QUESTION.exec(line) ?? [];
        if (asked !== undefined) told.when(taker.untilStored(Number(asked)), { stored: Number(asked) });
        else if (line.trim() !== "") batch.push(line);
        else if (batch.length > 0) told.add(await taker.take(batch.splice(0)));
      }
      told.flush();
    }
  } catch {
    // The process hung up, or sent too much at once. Its whole batches are in the journal, and it sends the rest again.
  } finally {
    args.closing.removeEventListener("abort", end);
    if (streams.current === request) streams.current = null;
    end();
  }
}

/** The answers, several lines in one write: each write wakes the other process. */
class BatchedWrites {
  readonly #response: ServerResponse;
  #lines = "";
  #awaited = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  add(line: object): void {
    this.#lines += `${JSON.stringify(line)}\n`;
  }

  /** Sends a line once the records are stored. Earlier lines wait for it a little. */
  when(isSo: Promise<boolean>, line: object): void {
    this.#awaited += 1;
    void isSo.then((so) => {
      this.#awaited -= 1;
      if (so) this.add(line);
      this.#write();
    });
  }

  flush(): void {
    if (this.#awaited === 0) this.#write();
    else this.#timer ??= setTimeout(() => this.#write(), GATHER_MS);
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { destroyed, writableEnded } = this.#response;
    if (this.#lines !== "" && !destroyed && !writableEnded) this.#response.write(this.#lines);
    this.#lines = "";
  }
}

/** Whole lines as they arrive, several at once. */
async function* linesOf(request: IncomingMessage, heldChars: () => number): AsyncGenerator<string[]> {
  request.setEncoding("utf8");
  let rest = "";
  for await (const chunk of request) {
    const lines = `${rest}${chunk}`.split("\n");
    rest = lines.pop() ?? "";
    if (lines.length > 0) yield lines;
    if (rest.length + heldChars() > BATCH_CHARS) throw new RangeError("A batch of records is too long.");
  }
}

function charsOf(batch: readonly string[]): number {
  return batch.reduce((sum, line) => sum + line.length, 0);
}
