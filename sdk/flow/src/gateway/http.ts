import { readFileSync } from "node:fs";
import type { ClientRequest, IncomingMessage } from "node:http";
import { type Backoff, createBackoff, type GatewayAddress } from "@towpath/contract/words";
import { follow, pauseFor } from "../engine/settle.ts";
import { CallRefused, GatewayRefused } from "../problem.ts";

// An `import` of it also loads Node's own `fetch`, which takes 31 ms of processor time.
const { Agent, request } = process.getBuiltinModule("node:http");

/** Delays before a request to the gateway is repeated. */
export function gatewayBackoff(): Backoff {
  return createBackoff(Math.random, { firstMs: 50, mostMs: 1_000 });
}

/**
 * Repeats a request until it has a final answer. There is no limit: a killed worker comes back at the same socket, and
 * the flow must wait for it.
 */
export async function sendUntilAnswered(
  http: GatewayHttp,
  request: GatewayRequest & { readonly signal: AbortSignal },
): Promise<GatewayAnswer> {
  const backoff = gatewayBackoff();
  while (true) {
    try {
      const answer = await http.send(request);
      if (!isBusy(answer)) return answer;
    } catch (error) {
      if (!(error instanceof GatewayAway)) throw error;
    }
    await pauseFor(backoff.next(), request.signal);
  }
}

/** An answer of the gateway. */
export interface GatewayAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** One request to the gateway. */
export interface GatewayRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: string;
  readonly contentType?: string;
  readonly signal?: AbortSignal;
}

/** Connections for records, commands and calls together. */
const SOCKETS_MAX = 16;
/** The largest answer: a context with parameters and secrets. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

/**
 * The gateway did not answer, or closed the connection in the middle of an answer. The request is repeated, because the
 * worker may be restarting.
 */
export class GatewayAway extends Error {
  override readonly name = "GatewayAway";
}

/** HTTP over the worker's Unix socket, with the attempt's token. */
export interface GatewayHttp {
  /**
   * Sends one request.
   * @throws GatewayAway if no complete answer came.
   */
  send(request: GatewayRequest): Promise<GatewayAnswer>;
  /** Begins a POST on its own connection, whose body is written later. Missing if the gateway has no streams. */
  begin?(path: string, contentType: string): ClientRequest;
  close(): void;
}

/** The text of an answer. @throws GatewayAway | GatewayRefused */
export async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of message) {
    const bytes: Buffer = Buffer.from(chunk);
    sizeBytes += bytes.byteLength;
    if (sizeBytes > ANSWER_BYTES_MAX) throw new GatewayRefused("The gateway answered with more than 16 MiB.");
    chunks.push(bytes);
  }
  if (!message.complete) throw new GatewayAway("The answer ended too early.");
  return Buffer.concat(chunks).toString("utf8");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function readToken(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (cause) {
    throw new GatewayRefused(`The gateway's token cannot be read from ${file}.`, { cause });
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error("The request was cancelled.", { cause: reason });
}

/** Creates a client. It opens connections with the first request and reuses them. */
export function gatewayHttp(address: GatewayAddress): GatewayHttp {
  const agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX });
  const authorization = `Bearer ${readToken(address.tokenFile)}`;
  const send = async ({
    method,
    path,
    body,
    contentType,
    signal,
  }: GatewayRequest): Promise<GatewayAnswer> => {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const headers: Record<string, string | number> = { authorization, host: "gateway" };
    if (contentType !== undefined) headers["content-type"] = contentType;
    if (body !== undefined) headers["content-length"] = Buffer.byteLength(body);
    const options = { agent, socketPath: address.socket, method, path, headers };
    const outgoing = request(options, resolve);
    outgoing.on("error", reject);
    // Not an option of the request: an ended request would keep the next one and its body in memory, see `follow`.
    const unfollow =
      signal === undefined ? () => {} : follow(signal, (reason) => outgoing.destroy(asError(reason)));
    outgoing.end(body);
    try {
      const message = await promise;
      return { status: message.statusCode ?? 0, body: parsed(await textOf(message)) };
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof GatewayRefused) throw cause;
      throw new GatewayAway("The gateway did not answer.", { cause });
    } finally {
      unfollow();
    }
  };
  const begin = (path: string, contentType: string) => {
    const headers = { authorization, host: "gateway", "content-type": contentType };
    return request({ agent: false, socketPath: address.socket, method: "POST", path, headers });
  };
  return { send, begin, close: () => agent.destroy() };
}

const OK_FROM = 200;
const OK_TO = 299;
const BUSY = [408, 425, 429];
const SERVER_FAULT_FROM = 500;

/** Whether the gateway accepted the request. */
export function isOk(answer: GatewayAnswer): boolean {
  return answer.status >= OK_FROM && answer.status <= OK_TO;
}

/** Whether the gateway may accept the same request later. */
export function isBusy(answer: GatewayAnswer): boolean {
  return BUSY.includes(answer.status) || answer.status >= SERVER_FAULT_FROM;
}

/** A text field of a value, or a fallback. */
function textField(body: unknown, field: string, fallback: string): string {
  if (typeof body !== "object" || body === null) return fallback;
  const found: unknown = Object.getOwnPropertyDescriptor(body, field)?.value;
  return typeof found === "string" ? found : fallback;
}

/** The error for an answer that will not change if the request is repeated. */
export function refusalOf(answer: GatewayAnswer, request: GatewayRequest): GatewayRefused {
  const detail = textField(answer.body, "detail", `status ${answer.status}`);
  return new GatewayRefused(`The gateway refused ${request.method} ${request.path}: ${detail}`);
}

/** The error for a call that the control plane refused. */
export function callRefusalOf(answer: GatewayAnswer): CallRefused {
  const detail = textField(answer.body, "detail", `The call was refused with status ${answer.status}.`);
  return new CallRefused(textField(answer.body, "code", "call-refused"), detail);
}
