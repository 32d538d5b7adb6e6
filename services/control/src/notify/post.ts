import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { isIP } from "node:net";
import { certificateFault } from "@towpath/contract";
import { AddressRefused, isPublic, lookupPublic, refuseKnownPrivate } from "./address.ts";
import { ProxyFault, type ProxyRoute, proxyRoute } from "./proxy.ts";

/** The longest time of one try, milliseconds. */
const TRY_MS = 10_000;

/** The most bytes of an answer that are read. None of them is kept. */
const ANSWER_BYTES_MAX = 16 * 1024;

/** A request to send. */
export interface PostRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Whether addresses that are not public are allowed. */
  readonly mayBePrivate: boolean;
  /** The address of the proxy. Null: the request goes directly. */
  readonly proxy: string | null;
}

/** The result of a try. `failure` is null if the receiver accepted it; it never contains the address. */
export interface PostResult {
  readonly status: number | null;
  readonly failure: string | null;
}

/** A URL's host without the brackets of an IPv6 address. */
const hostOf = (url: URL) => url.hostname.replace(/^\[|\]$/g, "");

/**
 * Why the text of an address forbids posting to it; null if it does not. Its name is checked when the connection is
 * made.
 */
export function refusalOf(text: string, mayBePrivate: boolean): string | null {
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") return "an address must not contain a name or password";
  if (mayBePrivate) return null;
  if (url.protocol !== "https:") return "it must be an https address";
  if (isIP(hostOf(url)) !== 0 && !isPublic(hostOf(url))) return "its address is not a public one";
  return /(^|\.)localhost\.?$/.test(url.hostname) ? "its address is not a public one" : null;
}

/**
 * Sends one body once. It follows no redirects, because their targets are not checked. With a proxy the name is checked
 * only if it resolves here; the proxy checks the rest. Never throws.
 */
export async function post(args: PostRequest): Promise<PostResult> {
  const failed = (failure: string) => ({ status: null, failure });
  const refusal = refusalOf(args.url, args.mayBePrivate);
  if (refusal !== null) return failed(refusal);
  const signal = AbortSignal.timeout(TRY_MS);
  try {
    if (args.proxy === null) return await exchange(args, { signal, way: direct(args) });
    if (!args.mayBePrivate) await refuseKnownPrivate(hostOf(new URL(args.url)));
    return await exchange(args, { signal, way: await proxyRoute(args.url, { proxy: args.proxy, signal }) });
  } catch (error) {
    return failed(sentenceOf(error));
  }
}

function direct(args: PostRequest): ProxyRoute {
  return { options: { agent: false, ...(args.mayBePrivate ? {} : { lookup: lookupPublic }) }, headers: {} };
}

function exchange(a: PostRequest, b: { signal: AbortSignal; way: ProxyRoute }): Promise<PostResult> {
  const url = new URL(a.url);
  const request = url.protocol === "https:" ? requestHttps : requestHttp;
  const { promise, resolve, reject } = Promise.withResolvers<PostResult>();
  const sent = request(url, {
    ...b.way.options,
    method: "POST",
    headers: { ...a.headers, ...b.way.headers, "content-length": String(Buffer.byteLength(a.body)) },
    signal: b.signal,
  });
  sent.on("error", reject);
  sent.on("response", (answer) => {
    const status = answer.statusCode ?? 0;
    const taken = status >= 200 && status < 300;
    let bytes = 0;
    answer.on("data", (part: Buffer) => {
      bytes += part.length;
      if (bytes > ANSWER_BYTES_MAX) answer.destroy();
    });
    answer.on("error", () => {});
    answer.on("close", () => resolve({ status, failure: taken ? null : `it answered ${status}` }));
  });
  sent.end(a.body);
  return promise;
}

const SENTENCES: Readonly<Record<string, string>> = {
  ENOTFOUND: "its name does not exist",
  EAI_AGAIN: "its name could not be resolved",
  ECONNREFUSED: "the connection was refused",
  ECONNRESET: "the connection broke",
  ETIMEDOUT: "it did not answer in time",
  ABORT_ERR: "it did not answer in time",
  EHOSTUNREACH: "it cannot be reached from here",
  ENETUNREACH: "it cannot be reached from here",
};

/** The text of a failure for people. Messages of the network contain addresses, so they are not repeated. */
function sentenceOf(error: unknown): string {
  if (error instanceof AddressRefused || error instanceof ProxyFault) return error.message;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return (
    SENTENCES[code] ??
    (certificateFault(code) !== null || /CERT|TLS|SSL/.test(code)
      ? "its certificate is not trusted"
      : "it could not be sent")
  );
}
