import type { Readable } from "node:stream";
import type { Dispatcher } from "undici";
import { proxySettings } from "../../kernel/proxy.ts";
import { RegistryFault } from "./fault.ts";

/** One request to a code registry. */
export interface RegistryCall {
  readonly method: "GET" | "HEAD" | "PUT" | "POST";
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** The value of `Authorization`. It is sent only to the registry's own origin. */
  readonly authorization?: string | null;
  /** More headers that are sent only to the registry's own origin, such as those of a signature. */
  readonly ownHeaders?: Readonly<Record<string, string>>;
}

/** An answer. The body is not decompressed. Its reader sets the limit on its bytes. */
export interface RegistryAnswer {
  readonly status: number;
  /** The address that answered, after redirects. */
  readonly url: string;
  header(name: string): string | null;
  /** All values of a header. */
  headers(name: string): readonly string[];
  /** `Content-Length`. Null: the server does not say it. */
  readonly sizeBytes: number | null;
  /** The body. @throws RegistryFault when it breaks off; the signal's reason when aborted. */
  bytes(): AsyncGenerator<Uint8Array>;
  /** Ends the connection without reading the body. */
  discard(): void;
}

/** Where requests are sent from, and until when. */
export interface RegistryGround {
  /** Holds `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

/** Requests to one code registry. */
export interface RegistryHttp extends AsyncDisposable {
  /** The registry's own origin, the only one that gets credentials. */
  readonly origin: string;
  readonly signal: AbortSignal;
  /**
   * Sends a request. Follows redirects of GET and HEAD.
   * @throws RegistryFault `registry-unreachable` or `bad-source`; the signal's reason when aborted.
   */
  send(call: RegistryCall): Promise<RegistryAnswer>;
  /** Reads an address that the caller has checked, with a login. Follows no redirect. */
  sendTo(url: URL, authorization: string | null): Promise<RegistryAnswer>;
}

const REDIRECTS_MAX = 5;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
const CONNECT_MS = 10_000;
/** The longest time without an answer's head, or between two parts of its body. */
const SILENCE_MS = 60_000;

/** Opens connections to a registry. Credentials go to the origin of `url` and to no other. */
export function openRegistryHttp(url: string, ground: RegistryGround): RegistryHttp {
  let opened: Promise<Dispatcher> | null = null;
  const dispatcher = () => {
    opened ??= openDispatcher(ground);
    return opened;
  };
  const { origin } = new URL(url);
  return {
    origin,
    signal: ground.signal,
    send: (call) => follow({ dispatcher, origin, signal: ground.signal }, call),
    sendTo: (to, authorization) =>
      exchange(
        { dispatcher, origin, signal: ground.signal },
        { call: { method: "GET", url: to.href, authorization }, url: to, isOwn: true },
      ),
    [Symbol.asyncDispose]: async () => {
      // A fault of opening was the fault of the request.
      await (await opened?.catch(() => null))?.destroy();
    },
  };
}

/** Loaded only for a registry that is reached by HTTP: it takes 60 ms of processor time. */
const loadUndici = () => import("undici");

async function openDispatcher({ environment }: RegistryGround): Promise<Dispatcher> {
  const options = {
    connect: { timeout: CONNECT_MS },
    headersTimeout: SILENCE_MS,
    bodyTimeout: SILENCE_MS,
  };
  const { Agent, EnvHttpProxyAgent } = await loadUndici();
  const proxy = proxySettings(environment);
  return proxy === null ? new Agent(options) : new EnvHttpProxyAgent({ ...options, ...proxy });
}

interface Connections {
  dispatcher(): Promise<Dispatcher>;
  readonly origin: string;
  readonly signal: AbortSignal;
}

async function follow(connections: Connections, call: RegistryCall): Promise<RegistryAnswer> {
  let url = new URL(call.url);
  // Once a redirect has led elsewhere, a later one back to the registry is that other host's choice.
  let isOwn = true;
  for (let redirects = 0; ; redirects += 1) {
    isOwn &&= url.origin === connections.origin;
    const answer = await exchange(connections, { call, url, isOwn });
    if (!REDIRECTS.includes(answer.status)) return answer;
    answer.discard();
    if (call.method !== "GET" && call.method !== "HEAD")
      throw new RegistryFault("bad-source", "The code registry redirects an upload to another address.", {
        detail: url.host,
      });
    if (redirects === REDIRECTS_MAX)
      throw new RegistryFault("bad-source", `The code registry redirects more than ${REDIRECTS_MAX} times.`, {
        detail: url.host,
      });
    url = locationOf(answer, url);
  }
}

/**
 * The address in `Location`, absolute.
 * @throws RegistryFault `bad-source` for one that is missing, has a login, or leads from https to another protocol.
 */
export function locationOf(answer: Pick<RegistryAnswer, "header">, from: URL): URL {
  const location = answer.header("location") ?? "";
  if (location === "" || !URL.canParse(location, from.href))
    throw new RegistryFault("bad-answer", "The code registry redirects without an address.", {
      detail: from.host,
    });
  const to = new URL(location, from);
  const isWeb = to.protocol === "https:" || (to.protocol === "http:" && from.protocol === "http:");
  if (!isWeb || to.username !== "" || to.password !== "")
    throw new RegistryFault("bad-source", "The code registry redirects to an address that is not allowed.", {
      detail: `${to.protocol}//${to.host}`,
    });
  to.hash = "";
  return to;
}

async function exchange(
  { dispatcher, signal }: Connections,
  { call, url, isOwn }: { call: RegistryCall; url: URL; isOwn: boolean },
): Promise<RegistryAnswer> {
  signal.throwIfAborted();
  const { method, body, authorization = null } = call;
  const headers = {
    "user-agent": "towpath",
    // The digest is that of the bytes as they are stored.
    "accept-encoding": "identity",
    ...call.headers,
    ...(isOwn && call.ownHeaders),
    ...(authorization !== null && isOwn && { authorization }),
  };
  try {
    const { request } = await loadUndici();
    const answer = await request(url, {
      dispatcher: await dispatcher(),
      method,
      headers,
      signal,
      ...(body !== undefined && { body }),
    });
    return answerOf(answer, { url, signal });
  } catch (error) {
    signal.throwIfAborted();
    throw unreachable(error, url);
  }
}

function answerOf(
  { statusCode, headers, body }: Dispatcher.ResponseData,
  { url, signal }: { url: URL; signal: AbortSignal },
): RegistryAnswer {
  const all = (name: string) => {
    const found = headers[name];
    return found === undefined ? [] : [found].flat();
  };
  const header = (name: string) => all(name)[0] ?? null;
  const length = header("content-length");
  return {
    status: statusCode,
    url: url.href,
    header,
    headers: all,
    sizeBytes: length !== null && /^\d{1,15}$/.test(length) ? Number(length) : null,
    bytes: () => read(body, { url, signal }),
    discard() {
      body.on("error", () => {});
      body.destroy();
    },
  };
}

async function* read(
  body: Readable,
  { url, signal }: { url: URL; signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of body) if (chunk instanceof Uint8Array) yield chunk;
  } catch (error) {
    signal.throwIfAborted();
    throw unreachable(error, url);
  }
}

function unreachable(error: unknown, url: URL): RegistryFault {
  const code = error instanceof Error && "code" in error ? String(error.code) : "no answer";
  return new RegistryFault("registry-unreachable", "The code registry did not answer completely.", {
    detail: `${url.host}: ${code}`,
    cause: error,
  });
}
