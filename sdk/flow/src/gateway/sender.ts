import { writeSync } from "node:fs";
import type { LogDraft, RecordDraft, RecordSink } from "../engine/records.ts";
import { readRecordsAnswer, readStored } from "./answers.ts";
import { RecordBuffer } from "./buffer.ts";
import { GatewayAway, type GatewayHttp, type GatewayRequest, isBusy, isOk, refusalOf } from "./http.ts";
import { Backoff, sendUntilAnswered } from "./retrying.ts";

const NDJSON = "application/x-ndjson";
const TOO_LARGE = 413;
const STDOUT = 1;
/** How long one question for what the control plane has stored waits on the worker's side. */
const STORED_WAIT_MS = 25_000;

/** Where log lines go that found the buffer full: the process's own output, which workers keep as log lines too. */
function writeAround(record: LogDraft): void {
  try {
    writeSync(STDOUT, `[${record.level}] ${record.text}\n`);
  } catch {
    // Output that is closed or blocked: a log line is never worth failing a run for.
  }
}

/** What a sender works with. */
export interface SenderDeps {
  readonly http: GatewayHttp;
  /** Highest sequence that the gateway holds already. */
  readonly acked: number;
  /** Told once, if the gateway refuses records for good. */
  readonly onRefused: (error: unknown) => void;
  /** Where log lines go while the buffer is full. @default the process's standard output */
  readonly around?: (record: LogDraft) => void;
}

/**
 * Sends records in their sequence, batched by what gathers while the previous POST is under way; no timers. Whatever the
 * gateway has not acknowledged is sent again, and the sequence lets it ignore what it has.
 */
export class RecordSender implements RecordSink {
  readonly #deps: SenderDeps;
  readonly #buffer: RecordBuffer;
  readonly #stop = new AbortController();
  #flushing = false;
  #refused: { error: unknown } | null = null;

  constructor(deps: SenderDeps) {
    this.#deps = deps;
    this.#buffer = new RecordBuffer(deps.acked);
  }

  async post(record: RecordDraft): Promise<void> {
    this.#throwIfRefused();
    while (this.#buffer.isFull) await this.#buffer.untilRoom();
    this.#add(record);
  }

  async postHeld(record: RecordDraft): Promise<void> {
    this.#throwIfRefused();
    while (this.#buffer.isFull) await this.#buffer.untilRoom();
    await this.#buffer.untilHeld(this.#add(record));
  }

  async postStored(record: RecordDraft, signal: AbortSignal): Promise<void> {
    this.#throwIfRefused();
    while (this.#buffer.isFull) await this.#buffer.untilRoom();
    const seq = this.#add(record);
    await this.#buffer.untilHeld(seq);
    const path = `/stored?seq=${seq}&waitMs=${STORED_WAIT_MS}`;
    for (let stored = false; !stored; ) {
      const request = { method: "GET", path, signal } as const;
      const answer = await sendUntilAnswered(this.#deps.http, request);
      if (!isOk(answer)) throw refusalOf(answer, request);
      stored = readStored(answer.body).stored;
    }
  }

  postLog(record: LogDraft): void {
    if (this.#refused !== null || this.#buffer.isFull) (this.#deps.around ?? writeAround)(record);
    else this.#add(record);
  }

  /**
   * For a process that is ending this instant, as by `process.exit`: log lines that the gateway may not hold take the way
   * around. One that was just on its way may show twice, which is better than not at all.
   */
  writeRest(): void {
    for (const line of this.#buffer.unheld()) {
      const record: RecordDraft = JSON.parse(line);
      if (record.type === "log") (this.#deps.around ?? writeAround)(record);
    }
  }

  /** Sends nothing any more. */
  close(): void {
    this.#stop.abort();
  }

  #throwIfRefused(): void {
    if (this.#refused !== null) throw this.#refused.error;
  }

  #add(record: RecordDraft): number {
    const seq = this.#buffer.add(record);
    if (!this.#flushing) {
      this.#flushing = true;
      // A turn later, so that what is posted together goes together.
      setImmediate(() => void this.#flush());
    }
    return seq;
  }

  /** One POST at a time until nothing is left. */
  async #flush(): Promise<void> {
    const backoff = new Backoff();
    try {
      let max: number | undefined;
      while (!this.#buffer.isEmpty) {
        const sent = await this.#sendOnce(max);
        max = sent.max;
        if (sent.progress) backoff.reset();
        else await backoff.pause(this.#stop.signal);
      }
    } catch (error) {
      this.#refuse(error);
    } finally {
      this.#flushing = false;
    }
  }

  /** `max` is how many records the next POST may hold: fewer after one that was too large. */
  async #sendOnce(max: number | undefined): Promise<{ progress: boolean; max?: number }> {
    const batch = this.#buffer.batch(max);
    const request = { method: "POST", path: "/records", body: batch.body, contentType: NDJSON } as const;
    const answer = await this.#attempt({ ...request, signal: this.#stop.signal });
    if (answer === null || isBusy(answer)) return { progress: false };
    const count = batch.last - batch.first + 1;
    if (answer.status === TOO_LARGE && count > 1) return { progress: true, max: Math.ceil(count / 2) };
    if (!isOk(answer)) throw refusalOf(answer, request);
    const { acked, rejected } = readRecordsAnswer(answer.body);
    for (const one of rejected) this.#buffer.refuse(one.seq, one.detail);
    return { progress: this.#buffer.acknowledge(acked) };
  }

  async #attempt(request: GatewayRequest) {
    try {
      return await this.#deps.http.send(request);
    } catch (error) {
      if (error instanceof GatewayAway) return null;
      throw error;
    }
  }

  #refuse(error: unknown): void {
    this.#refused = { error };
    this.#buffer.fail(error);
    this.#deps.onRefused(error);
  }
}
