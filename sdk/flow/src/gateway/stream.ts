import type { ClientRequest, IncomingMessage } from "node:http";
import { type GatewayAnswer, GatewayAway, type GatewayHttp, textOf } from "./http.ts";

const NDJSON = "application/x-ndjson";
const OK = 200;
const NOT_FOUND = 404;

/** A request that asks whether all records up to a number are stored. */
interface Question {
  readonly seq: number;
  isSent: boolean;
  readonly answer: PromiseWithResolvers<void>;
}

function refuse(): never {
  throw new TypeError("The gateway supports no streams.");
}

function parsed(line: string): object {
  const value: unknown = JSON.parse(line);
  if (typeof value !== "object" || value === null) throw new SyntaxError("not an object");
  return value;
}

/**
 * `POST /stream`: one request for the whole run. It carries batches and answers them like single POSTs, at a lower cost
 * per batch. If the connection breaks, the next batch opens it again.
 */
export class RecordStream {
  readonly #begin: NonNullable<GatewayHttp["begin"]>;
  #outgoing: ClientRequest | null = null;
  #rest = "";
  #posted: PromiseWithResolvers<GatewayAnswer> | null = null;
  readonly #questions = new Set<Question>();
  /** Whether the worker's release has no streams. Then each batch is a POST. */
  isMissing: boolean;

  constructor({ begin }: Pick<GatewayHttp, "begin">) {
    this.isMissing = begin === undefined;
    this.#begin = begin ?? refuse;
  }

  /**
   * Sends records, one batch at a time.
   * @returns The answer that a POST of them would have, unless there are no streams.
   * @throws GatewayAway if no answer came.
   */
  async post(lines: string): Promise<GatewayAnswer> {
    const posted = Promise.withResolvers<GatewayAnswer>();
    this.#posted = posted;
    this.#write(`${lines}\n`);
    return await posted.promise;
  }

  /**
   * Resolves once the control plane has all records up to `seq`. The question is sent with the next batch if there is
   * one.
   */
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

  #take(message: object): void {
    if ("stored" in message) {
      for (const question of this.#questions)
        if (question.seq <= Number(message.stored)) this.#settle(question);
      return;
    }
    const status = "status" in message ? Number(message.status) : OK;
    this.#posted?.resolve({ status, body: message });
    this.#posted = null;
  }

  /** The gateway refused the stream: this is the answer to the batch. */
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
    const away = new GatewayAway("The gateway closed the connection.", { cause });
    this.#posted?.reject(away);
    this.#posted = null;
    for (const question of this.#questions) question.answer.reject(away);
    this.#questions.clear();
  }
}
