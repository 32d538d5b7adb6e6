import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { isIP } from "node:net";
import { certificateFault } from "@towpath/contract";
import { AddressRefused, isPublic, lookupPublic, refuseKnownPrivate } from "./address.ts";
import { ProxyFault, throughProxy, type Way } from "./proxy.ts";

/** How long one try may take in all, milliseconds. */
const TRY_MS = 10_000;

/** What of an answer is read at most, bytes: nothing in it is kept. */
const ANSWER_BYTES_MAX = 16 * 1024;

/** What is sent. */
export interface Posting {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Whether it may go to addresses that are not public. */
  readonly mayBePrivate: boolean;
  /** Address of the proxy that it goes through; null: it goes directly. */
  readonly proxy: string | null;
}

/** What became of it. `failure` is null when it was taken; it never holds the address. */
export interface Posted {
  readonly status: number | null;
  readonly failure: string | null;
}

/** A host as a connection is made to it: without the brackets of an address of version 6. */
const hostOf = (url: URL) => url.hostname.replace(/^\[|\]$/g, "");

/**
 * Why this address cannot be posted to, as far as it says itself; null when nothing speaks against it. What its name
 * leads to is judged when it is connected to.
 */
export function refusalOf(text: string, mayBePrivate: boolean): string | null {
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") return "an address has no name and password in it";
  if (mayBePrivate) return null;
  if (url.protocol !== "https:") return "it must be an https address";
  if (isIP(hostOf(url)) !== 0 && !isPublic(hostOf(url))) return "its address is not a public one";
  return /(^|\.)localhost\.?$/.test(url.hostname) ? "its address is not a public one" : null;
}

/**
 * Sends one body once. Redirects are not followed: they would lead to an address that nobody judged. Through a proxy, the
 * name is judged here as far as it is known here; what the proxy takes it for is the proxy's to judge. Never throws.
 */
export async function post(args: Posting): Promise<Posted> {
  const failed = (failure: string) => ({ status: null, failure });
  const refusal = refusalOf(args.url, args.mayBePrivate);
  if (refusal !== null) return failed(refusal);
  const signal = AbortSignal.timeout(TRY_MS);
  try {
    if (args.proxy === null) return await exchange(args, { signal, way: direct(args) });
    if (!args.mayBePrivate) await refuseKnownPrivate(hostOf(new URL(args.url)));
    return await exchange(args, { signal, way: await throughProxy(args.url, { proxy: args.proxy, signal }) });
  } catch (error) {
    return failed(sentenceOf(error));
  }
}

function direct(args: Posting): Way {
  return { options: { agent: false, ...(args.mayBePrivate ? {} : { lookup: lookupPublic }) }, headers: {} };
}

function exchange(a: Posting, b: { signal: AbortSignal; way: Way }): Promise<Posted> {
  const url = new URL(a.url);
  const request = url.protocol === "https:" ? requestHttps : requestHttp;
  const { promise, resolve, reject } = Promise.withResolvers<Posted>();
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
  ENOTFOUND: "its name is not known",
  EAI_AGAIN: "its name could not be looked up",
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "the connection broke",
  ETIMEDOUT: "it did not answer in time",
  ABORT_ERR: "it did not answer in time",
  EHOSTUNREACH: "it cannot be reached from here",
  ENETUNREACH: "it cannot be reached from here",
};

/** A failure as people read it. Messages of the network hold addresses, so none is passed on. */
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
