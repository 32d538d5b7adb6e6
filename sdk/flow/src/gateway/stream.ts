import type { ClientRequest, IncomingMessage } from "node:http";
import { type GatewayAnswer, GatewayAway, type GatewayHttp, textOf } from "./http.ts";

const NDJSON = "application/x-ndjson";
const OK = 200;
const NOT_FOUND = 404;

/** A question whether everything up to a number is stored. */
interface Question {
  readonly seq: number;
  isSent: boolean;
  readonly answer: PromiseWithResolvers<void>;
}

function refuse(): never {
  throw new TypeError("There are no streams.");
}

function parsed(line: string): object {
  const value: unknown = JSON.parse(line);
  if (typeof value !== "object" || value === null) throw new SyntaxError("not an object");
  return value;
}

/**
 * `POST /stream`: one request that lasts as long as the run. A batch goes in as it would in a POST of its own, and is answered the
 * same, without what a request costs each time. A connection that broke is opened again by whatever is sent next.
 */
export class RecordStream {
  readonly #begin: NonNullable<GatewayHttp["begin"]>;
  #outgoing: ClientRequest | null = null;
  #rest = "";
  #posted: PromiseWithResolvers<GatewayAnswer> | null = null;
  readonly #questions = new Set<Question>();
  /** Whether the worker is of a release without streams: then every batch is a request of its own. */
  isMissing: boolean;

  constructor({ begin }: Pick<GatewayHttp, "begin">) {
    this.isMissing = begin === undefined;
    this.#begin = begin ?? refuse;
  }

  /**
   * Sends lines of records, one batch at a time.
   * @returns The answer that a POST of them would have had, unless the stream is missing.
   * @throws GatewayAway if none came.
   */
  async post(lines: string): Promise<GatewayAnswer> {
    const posted = Promise.withResolvers<GatewayAnswer>();
    this.#posted = posted;
    this.#write(`${lines}\n`);
    return await posted.promise;
  }

  /** Resolves once the control plane has every record up to `seq`. The question goes with the next batch, if that is due now. */
  async untilStored(seq: number): Promise<void> {
    const question: Question = { seq, isSent: false, answer: Promise.withResolvers() };
    this.#questions.add(question);
    setImmediate(() => {
      if (!question.isSent && this.#questions.has(question)) this.#write("");
    });
    await question.answer.promise;
  }

  close(): void {
    this.#outgoing?.destroy();
  }

  #write(lines: string): void {
    this.#outgoing ??= this.#open();
    let text = lines;
    for (const question of this.#questions) {
      if (question.isSent) continue;
      question.isSent = true;
      text += `${JSON.stringify({ stored: question.seq })}\n`;
    }
    this.#outgoing.write(text);
  }

  #open(): ClientRequest {
    const outgoing = this.#begin("/stream", NDJSON);
    this.#rest = "";
    const lost = (cause?: unknown) => this.#lost(outgoing, cause);
    outgoing.on("error", lost);
    outgoing.on("close", lost);
    outgoing.on("response", (message) => {
      if (message.statusCode === OK) this.#follow(outgoing, message);
      else void this.#refused(outgoing, message).catch(lost);
    });
    return outgoing;
  }

  #follow(outgoing: ClientRequest, message: IncomingMessage): void {
    message.setEncoding("utf8");
    message.on("data", (text: string) => {
      const lines = (this.#rest + text).split("\n");
      this.#rest = lines.pop() ?? "";
      try {
        for (const line of lines) this.#take(parsed(line));
      } catch (cause) {
        outgoing.destroy(cause instanceof Error ? cause : undefined);
      }
    });
    message.on("end", () => outgoing.destroy());
    message.on("error", () => outgoing.destroy());
  }

  #take(line: object): void {
    if ("stored" in line) {
      for (const question of this.#questions) if (question.seq <= Number(line.stored)) this.#settle(question);
      return;
    }
    const status = "status" in line ? Number(line.status) : OK;
    this.#posted?.resolve({ status, body: line });
    this.#posted = null;
  }

  /** The whole of it is refused: that is the answer to the batch. */
  async #refused(outgoing: ClientRequest, message: IncomingMessage): Promise<void> {
    this.isMissing = message.statusCode === NOT_FOUND;
    const body: unknown = parsed(await textOf(message));
    this.#posted?.resolve({ status: message.statusCode ?? 0, body });
    this.#posted = null;
    outgoing.destroy();
  }

  #settle(question: Question): void {
    this.#questions.delete(question);
    question.answer.resolve();
  }

  #lost(outgoing: ClientRequest, cause: unknown): void {
    if (this.#outgoing !== outgoing) return;
    this.#outgoing = null;
    const away = new GatewayAway("The gateway went away.", { cause });
    this.#posted?.reject(away);
    this.#posted = null;
    for (const question of this.#questions) question.answer.reject(away);
    this.#questions.clear();
  }
}
