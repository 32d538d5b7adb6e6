import { writeSync } from "node:fs";
import type { LogDraft, RecordDraft, RecordSink } from "../engine/records.ts";
import { pauseFor, untilAborted } from "../engine/settle.ts";
import { readRecordsAnswer, readStored } from "./answers.ts";
import { RecordBuffer } from "./buffer.ts";
import {
  GatewayAway,
  type GatewayHttp,
  type GatewayRequest,
  gatewayBackoff,
  isBusy,
  isOk,
  refusalOf,
  sendUntilAnswered,
} from "./http.ts";
import { NewestLine } from "./newest-line.ts";
import { RecordStream } from "./stream.ts";

const NDJSON = "application/x-ndjson";
const TOO_LARGE = 413;
const STDOUT = 1;
/** How long a record waits for later ones if no caller waits for it. */
const GATHER_MS = 1;
/** How long one request for the stored position waits at the worker. */
const STORED_WAIT_MS = 25_000;

/** Writes a log line to standard output, because the buffer is full. Workers store this output as log lines too. */
function writeAround(record: LogDraft): void {
  try {
    writeSync(STDOUT, `[${record.level}] ${record.text}\n`);
  } catch {
    // Closed or blocked output must not fail the run.
  }
}

/** Dependencies of a sender. */
export interface SenderDeps {
  readonly http: GatewayHttp;
  /** Highest sequence number that the gateway holds already. */
  readonly acked: number;
  /** Called once if the gateway refuses records permanently. */
  readonly onRefused: (error: unknown) => void;
  /** The file of the gateway's address. Missing: the worker does not put log lines and printed lines in their order. */
  readonly newestLineFile?: string | undefined;
  /** Writes log lines while the buffer is full. @default the process's standard output */
  readonly around?: (record: LogDraft) => void;
}

/**
 * Sends records in sequence, in batches of what arrived during the previous POST. Records that a caller waits for leave
 * at once; others wait shortly, so that the start and end of a short task are one POST. Records without an
 * acknowledgement are sent again. The gateway ignores those that it has, by their sequence numbers.
 */
export class RecordSender implements RecordSink {
  readonly #deps: SenderDeps;
  readonly #buffer: RecordBuffer;
  readonly #stop = new AbortController();
  readonly #stream: RecordStream;
  readonly #newestLine: NewestLine;
  #flushing = false;
  #gathering: NodeJS.Timeout | undefined;
  readonly #backoff = gatewayBackoff();
  /** The most records of the next POST: fewer after one that was too large. */
  #batchMax: number | undefined;
  #refused: { error: unknown } | null = null;

  constructor(deps: SenderDeps) {
    this.#deps = deps;
    this.#buffer = new RecordBuffer(deps.acked);
    this.#stream = new RecordStream(deps.http);
    this.#newestLine = new NewestLine(deps.newestLineFile);
  }

  async post(record: RecordDraft): Promise<void> {
    this.#throwIfRefused();
    while (this.#buffer.isFull) await this.#buffer.untilRoom();
    this.#add(record);
  }

  async postHeld(record: RecordDraft): Promise<void> {
    this.#throwIfRefused();
    while (this.#buffer.isFull) await this.#buffer.untilRoom();
    await this.#held(this.#buffer.add(record));
  }

  async postStored(record: RecordDraft, signal: AbortSignal): Promise<void> {
    this.#throwIfRefused();
    while (this.#buffer.isFull) await this.#buffer.untilRoom();
    const seq = this.#buffer.add(record);
    const held = this.#held(seq);
    const stored = this.#untilStored(seq, signal);
    // The caller gets the first error of the two.
    stored.catch(() => {});
    await held;
    await stored;
  }

  postLog(record: LogDraft): void {
    if (this.#refused !== null || this.#buffer.isFull) (this.#deps.around ?? writeAround)(record);
    else this.#newestLine.note(this.#add(this.#newestLine.placed(record)));
  }

  /**
   * Writes unsent log lines to standard output when the process exits at once, as with `process.exit`. A line that was
   * just being sent may appear twice.
   */
  writeRest(): void {
    for (const line of this.#buffer.unheld()) {
      const record: RecordDraft = JSON.parse(line);
      if (record.type === "log") (this.#deps.around ?? writeAround)(record);
    }
  }

  /** Stops sending. */
  close(): void {
    clearTimeout(this.#gathering);
    this.#stop.abort();
    this.#stream.close();
    this.#newestLine.close();
  }

  #throwIfRefused(): void {
    if (this.#refused !== null) throw this.#refused.error;
  }

  #add(record: RecordDraft): number {
    const seq = this.#buffer.add(record);
    this.#sendSoon();
    return seq;
  }

  #held(seq: number): Promise<void> {
    const held = this.#buffer.untilHeld(seq);
    this.#sendSoon();
    return held;
  }

  #sendSoon(): void {
    if (this.#flushing || this.#refused !== null) return;
    if (!this.#buffer.isUrgent) {
      this.#gathering ??= setTimeout(() => this.#sendGathered(), GATHER_MS);
      return;
    }
    this.#flushing = true;
    // Only one of the two may send: the second would wait forever for the answer to an empty batch.
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    // One turn later, so that records of the same turn leave together.
    setImmediate(() => void this.#flush());
  }

  #sendGathered(): void {
    this.#gathering = undefined;
    this.#flushing = true;
    void this.#flush();
  }

  /** Sends one POST at a time until no record must leave now. */
  async #flush(): Promise<void> {
    try {
      do {
        if (await this.#sendOnce()) this.#backoff.reset();
        else await pauseFor(this.#backoff.next(), this.#stop.signal);
      } while (this.#buffer.isUrgent);
    } catch (error) {
      this.#refuse(error);
    } finally {
      this.#flushing = false;
    }
    if (!this.#buffer.isEmpty) this.#sendSoon();
  }

  /** @returns Whether the gateway accepted something. */
  async #sendOnce(): Promise<boolean> {
    const batch = this.#buffer.batch(this.#batchMax);
    const request = { method: "POST", path: "/records", body: batch.body, contentType: NDJSON } as const;
    const answer = await this.#attempt({ ...request, signal: this.#stop.signal });
    this.#batchMax = undefined;
    if (answer === null || isBusy(answer)) return false;
    const count = batch.last - batch.first + 1;
    if (answer.status === TOO_LARGE && count > 1) {
      this.#batchMax = Math.ceil(count / 2);
      return true;
    }
    if (!isOk(answer)) throw refusalOf(answer, request);
    const { acked, rejected } = readRecordsAnswer(answer.body);
    for (const one of rejected) this.#buffer.refuse(one.seq, one.detail);
    return this.#buffer.acknowledge(acked);
  }

  async #attempt(request: GatewayRequest & { readonly body: string }) {
    try {
      const answer = this.#stream.isMissing ? null : await this.#stream.post(request.body);
      return answer === null || this.#stream.isMissing ? await this.#deps.http.send(request) : answer;
    } catch (error) {
      if (error instanceof GatewayAway) return null;
      throw error;
    }
  }

  async #untilStored(seq: number, signal: AbortSignal): Promise<void> {
    const backoff = gatewayBackoff();
    while (!this.#stream.isMissing) {
      const { aborted, release } = untilAborted(signal);
      try {
        return await Promise.race([this.#stream.untilStored(seq), aborted]);
      } catch (error) {
        if (!(error instanceof GatewayAway)) throw error;
        await pauseFor(backoff.next(), signal);
      } finally {
        release();
      }
    }
    const path = `/stored?seq=${seq}&waitMs=${STORED_WAIT_MS}`;
    for (let stored = false; !stored; ) {
      const request = { method: "GET", path, signal } as const;
      const answer = await sendUntilAnswered(this.#deps.http, request);
      if (!isOk(answer)) throw refusalOf(answer, request);
      stored = readStored(answer.body).stored;
    }
  }

  #refuse(error: unknown): void {
    this.#refused = { error };
    this.#buffer.fail(error);
    this.#deps.onRefused(error);
  }
}
