import {
  type AnswerOf,
  type BodyInput,
  certificateFault,
  isProblemCode,
  Problem,
  ProblemBody,
  type ProxySettings,
  proxyFor,
  proxySettings,
  ROUTES,
  retryAfterOf,
} from "@towpath/contract";
import { type Dispatcher, EnvHttpProxyAgent, Pool } from "undici";
import type { Clock } from "../host/index.ts";
import { ProtocolError, Unreachable } from "./errors.ts";

/** The operations of the worker protocol, and how each may use the network. */
export const VERBS = {
  openSession: { connections: 1, timeoutMs: 15_000, answerBytes: 64 * 1024 },
  closeSession: { connections: 1, timeoutMs: 2_000, answerBytes: 64 * 1024 },
  /** Two, so that a newer poll need not wait for the answer to the older one. */
  claim: { connections: 2, timeoutMs: 40_000, answerBytes: 64 * 1024 * 1024 },
  /** A connection of its own: a renewal never queues behind a report. */
  renew: { connections: 1, timeoutMs: 10_000, answerBytes: 4 * 1024 * 1024 },
  /** Its answer may bring work, like that of a poll. */
  report: { connections: 1, timeoutMs: 30_000, answerBytes: 64 * 1024 * 1024 },
  // Each attempt whose tasks wait for slots holds a connection for up to 20 s.
  call: { connections: 64, timeoutMs: 30_000, answerBytes: 1024 * 1024 },
  /** Two, so that changes need not wait for the end of a poll. */
  tendJobs: { connections: 2, timeoutMs: 40_000, answerBytes: 64 * 1024 * 1024 },
  pollReads: { connections: 2, timeoutMs: 40_000, answerBytes: 64 * 1024 },
  answerRead: { connections: 2, timeoutMs: 30_000, answerBytes: 64 * 1024 },
  listCheckpoints: { connections: 2, timeoutMs: 30_000, answerBytes: 16 * 1024 * 1024 },
} as const;

/** One operation of the worker protocol. */
export type Verb = keyof typeof VERBS;

/** An answer, and when its request was sent, on the boot-time clock. Leases are measured from then. */
export interface Answered<V extends Verb> {
  readonly answer: AnswerOf<(typeof ROUTES)[V]>;
  readonly sentAtMs: number;
}

/** One request. */
export interface VerbRequest<V extends Verb> {
  readonly verb: V;
  readonly body: BodyInput<(typeof ROUTES)[V]>;
  readonly credential: string;
  readonly signal?: AbortSignal | undefined;
}

/** Sends requests to the control plane. */
export interface Transport {
  /**
   * @throws Problem when the control plane refuses; `Unreachable` when it cannot be asked; `ProtocolError` when
   * its answer cannot be understood; the signal's reason when aborted.
   */
  send<V extends Verb>(request: VerbRequest<V>): Promise<Answered<V>>;
  close(): Promise<void>;
}

/**
 * Opens a transport with a small pool of connections for each operation, so that none waits for another.
 * @param environment Holds `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.
 */
export function createTransport(
  deps: { bootClock: Clock; environment?: Readonly<Record<string, string | undefined>> },
  url: string,
): Transport {
  const base = new URL(url);
  const prefix = base.pathname.replace(/\/+$/, "");
  const via = proxyFor(url, deps.environment ?? {});
  const proxy = via === null ? null : proxySettings(deps.environment ?? {});
  const pools = new Map<Verb, Dispatcher>();
  const poolOf = (verb: Verb): Dispatcher => {
    const pool = pools.get(verb) ?? newPool(base.origin, { verb, proxy });
    pools.set(verb, pool);
    return pool;
  };
  return {
    async send(request) {
      const sentAtMs = deps.bootClock.nowMs();
      const reply = await exchange(poolOf(request.verb), {
        ...request,
        origin: base.origin,
        path: prefix + ROUTES[request.verb].path,
        via,
      });
      return { answer: parseAnswer(request.verb, reply), sentAtMs };
    },
    async close() {
      await Promise.all([...pools.values()].map((pool) => pool.destroy()));
    },
  };
}

function newPool(origin: string, args: { verb: Verb; proxy: ProxySettings | null }): Dispatcher {
  const { connections, timeoutMs } = VERBS[args.verb];
  const options = {
    connections,
    connect: { timeout: Math.min(timeoutMs, 10_000) },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    keepAliveTimeout: 60_000,
  };
  return args.proxy === null
    ? new Pool(origin, options)
    : new EnvHttpProxyAgent({ ...options, ...args.proxy });
}

/** The status of an answer that refuses the worker's protocol. */
const UPGRADE_REQUIRED = 426;
const FOREIGN =
  "The control plane supports no worker protocol of this release, and does not say which ones it supports (status 426). Update the older of the two. `towpath doctor` names the control plane's release.";

interface Reply {
  readonly status: number;
  readonly text: string;
  /** The pause that `Retry-After` asks for, milliseconds. */
  readonly retryAfterMs: number | null;
}

interface RawRequest {
  readonly verb: Verb;
  readonly origin: string;
  readonly path: string;
  /** The proxy in between, if there is one. */
  readonly via: string | null;
  readonly body: unknown;
  readonly credential: string;
  readonly signal?: AbortSignal | undefined;
}

async function exchange(pool: Dispatcher, args: RawRequest): Promise<Reply> {
  const { timeoutMs, answerBytes } = VERBS[args.verb];
  const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(args.signal ? [args.signal] : [])]);
  try {
    const response = await pool.request({
      origin: args.origin,
      path: args.path,
      method: ROUTES[args.verb].method,
      headers: { "content-type": "application/json", authorization: `Bearer ${args.credential}` },
      body: JSON.stringify(args.body),
      signal,
    });
    const text = await readBody(response.body, { verb: args.verb, mostBytes: answerBytes });
    const asked = response.headers["retry-after"];
    const retryAfterMs = retryAfterOf(typeof asked === "string" ? asked : null);
    return { status: response.statusCode, text, retryAfterMs };
  } catch (error) {
    if (args.signal?.aborted) throw args.signal.reason;
    if (error instanceof ProtocolError) throw error;
    const through = args.via === null ? "" : ` through the proxy ${args.via}`;
    const where = `The control plane at ${args.origin} did not answer${through}`;
    throw new Unreachable(`${where}: ${sayNetworkError(error)}.`, { cause: error });
  }
}

async function readBody(
  body: AsyncIterable<Uint8Array>,
  { verb, mostBytes }: { verb: Verb; mostBytes: number },
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > mostBytes)
      throw new ProtocolError(`The control plane's answer is longer than ${mostBytes} bytes.`, verb);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function sayNetworkError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ("code" in error && typeof error.code === "string") {
    const certificate = certificateFault(error.code);
    if (certificate) return `${certificate.what} (${error.code}); ${certificate.fix}`;
    // Of a proxy's answer, only the message says more.
    if (!error.message.startsWith("Proxy response")) return error.code;
  }
  return error.name === "TimeoutError" ? "it took too long" : error.message;
}

function parseAnswer<V extends Verb>(verb: V, reply: Reply): AnswerOf<(typeof ROUTES)[V]> {
  const json = parseJson(reply.text);
  if (reply.status >= 400) throw problemOf(verb, reply, json);
  const parsed = ROUTES[verb].answer.safeParse(json);
  if (reply.status !== ROUTES[verb].status || !parsed.success) {
    throw new ProtocolError(
      `This release does not understand the answer to ${verb} (status ${reply.status}).`,
      verb,
    );
  }
  return answerOf<V>(parsed.data);
}

/** Guaranteed by the parse above: the value has the shape of this route's schema. */
function answerOf<V extends Verb>(data: unknown): AnswerOf<(typeof ROUTES)[V]> {
  return data as AnswerOf<(typeof ROUTES)[V]>;
}

function problemOf(verb: Verb, { status, retryAfterMs }: Reply, json: unknown): Error {
  const after = retryAfterMs === null ? {} : { retryAfterMs };
  const body = ProblemBody.safeParse(json);
  if (body.success && isProblemCode(body.data.code)) {
    return new Problem(body.data.code, body.data.detail, { faults: body.data.faults ?? [], ...after });
  }
  // The control plane's release is so different that its problems are unknown here.
  if (status === UPGRADE_REQUIRED) return new Problem("protocol-unsupported", FOREIGN);
  // A proxy, or a later release: the status alone says whether to try again.
  if (status >= 500 || status === 429 || status === 408)
    return new Unreachable(`The control plane answered with status ${status}.`, after);
  return new ProtocolError(
    `The control plane answered with status ${status} and a problem unknown to this release.`,
    verb,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
