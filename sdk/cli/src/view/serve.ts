import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { DashboardFile } from "./files.ts";
import { type Dashboard, readDashboard } from "./files.ts";

const ENTRY_PATH = "/view";
const KEYS_PATH = "/view/keys";
const API_PREFIX = "/api/";
const COOKIE = "towpath-view";

/** The most bytes of a request that are passed on. The control plane's own limits are lower. */
const BODY_BYTES_MAX = 32 * 1024 * 1024;

/** Only this page's own files and this server: what the control plane answers is data and never runs. */
const PAGE_POLICY = [
  "default-src 'self'",
  "img-src 'self' data:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** An answer of the control plane that somebody opens as a page runs nothing. */
const DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox";

/** What is passed on of the control plane's headers: no cookie, no redirect, no policy. */
const ANSWER_HEADERS = ["content-type", "content-disposition", "retry-after", "cache-control", "etag"];
const REQUEST_HEADERS = ["accept", "content-type", "last-event-id", "if-none-match"];

const SECURITY_HEADERS = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

/** The control plane, and how to call it. */
export interface ViewTarget {
  readonly url: string;
  readonly key: string;
  readonly workspaceKeys: readonly string[];
  readonly fetch: typeof globalThis.fetch;
}

/** A running view of the dashboard. */
export interface View extends AsyncDisposable {
  /** Opens the dashboard in a browser. It holds a secret for this process. */
  readonly link: string;
  readonly port: number;
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly text?: string;
  readonly file?: DashboardFile;
}

function sameSecret(given: string | null | undefined, secret: string): boolean {
  const hash = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(given ?? ""), hash(secret));
}

function cookieOf(request: IncomingMessage): string | undefined {
  const pairs = (request.headers.cookie ?? "").split(";").map((pair) => pair.trim().split("="));
  return pairs.find(([name]) => name === COOKIE)?.[1];
}

function send(response: ServerResponse, { status, headers, text = "", file }: Answer): void {
  const own = { "content-security-policy": PAGE_POLICY, "cache-control": "no-store", ...SECURITY_HEADERS };
  const type = file?.type ?? "text/plain; charset=utf-8";
  response.writeHead(status, { "content-type": type, ...own, ...headers }).end(file?.body ?? text);
}

/** Whether a request is of this server's own page: names of other hosts lead here too, and other pages can send forms. */
function refusalOf(request: IncomingMessage, origins: readonly string[]): Answer | null {
  const { host, origin } = request.headers;
  if (!origins.includes(`http://${host}`))
    return { status: 421, text: "This server answers only at the address that `towpath view` printed.\n" };
  const site = request.headers["sec-fetch-site"];
  const isForeign = origin === undefined ? site === "cross-site" : !origins.includes(origin);
  if (isForeign && request.method !== "GET")
    return { status: 403, text: "Only the page of `towpath view` may send this request.\n" };
  return null;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Passes a request on with the profile's key, and its answer back as data. */
async function passOn(request: IncomingMessage, response: ServerResponse, target: ViewTarget): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const headers: Record<string, string> = { authorization: `Bearer ${target.key}` };
  for (const name of REQUEST_HEADERS) {
    const value = request.headers[name];
    if (typeof value === "string") headers[name] = value;
  }
  const method = request.method ?? "GET";
  const body = method === "GET" ? undefined : await bodyOf(request);
  if (body === null) return send(response, { status: 413, text: "The request is too large.\n" });
  const init = { method, headers, redirect: "manual", signal: gone.signal } as const;
  const path = request.url ?? "/";
  const sent = body === undefined || body.length === 0 ? init : { ...init, body: new Uint8Array(body) };
  const answer = await target.fetch(`${target.url}${path}`, sent).catch(() => null);
  if (answer === null) {
    if (!response.destroyed)
      send(response, { status: 502, text: `The control plane at ${target.url} does not answer.\n` });
    return;
  }
  if (answer.status >= 300 && answer.status < 400 && answer.status !== 304)
    return send(response, { status: 502, text: "The control plane answered with a redirect.\n" });
  const kept = ANSWER_HEADERS.flatMap((name) => {
    const value = answer.headers.get(name);
    return value === null ? [] : [[name, value]];
  });
  response.writeHead(answer.status, {
    ...Object.fromEntries(kept),
    ...SECURITY_HEADERS,
    "content-security-policy": DATA_POLICY,
  });
  if (answer.body === null) response.end();
  // The browser or the control plane may go away in the middle.
  else await pipeline(Readable.fromWeb(answer.body), response).catch(() => response.destroy());
}

function fileFor(dashboard: Dashboard, path: string): Answer {
  const file = dashboard.files.get(path);
  if (path === "/index.html" || (file === undefined && !/\.\w+$/.test(path)))
    return { status: 200, file: dashboard.page };
  if (file === undefined) return { status: 404, text: "There is no such file.\n" };
  const isHashed = path.startsWith("/assets/");
  return {
    status: 200,
    file,
    headers: isHashed ? { "cache-control": "private, max-age=31536000, immutable" } : {},
  };
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : port;
}

/**
 * Serves the dashboard of this installation on the loopback interface, and passes calls of the API on to the control plane with the
 * key of the profile. Needs the secret of its link, which the browser keeps as a cookie.
 * @param args.port 0: any free port
 * @throws the system's error if the port is in use.
 */
export async function serveView(target: ViewTarget, args: { port: number }): Promise<View> {
  const dashboard = await readDashboard({ keysPath: KEYS_PATH });
  const secret = randomBytes(32).toString("base64url");
  let origins: readonly string[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const refusal = refusalOf(request, origins);
    if (refusal !== null) return send(response, refusal);
    const url = new URL(request.url ?? "/", "http://view");
    if (url.pathname === ENTRY_PATH && sameSecret(url.searchParams.get("secret"), secret)) {
      const cookie = `${COOKIE}=${secret}; HttpOnly; SameSite=Strict; Path=/`;
      return send(response, { status: 303, headers: { location: "/", "set-cookie": cookie } });
    }
    if (!sameSecret(cookieOf(request), secret))
      return send(response, { status: 401, text: "Open the link that `towpath view` printed.\n" });
    if (url.pathname.startsWith(API_PREFIX)) return await passOn(request, response, target);
    if (request.method !== "GET" && request.method !== "HEAD")
      return send(response, { status: 405, text: "Only GET is allowed here.\n" });
    if (url.pathname === KEYS_PATH)
      return send(response, {
        status: 200,
        headers: { "content-type": "application/json" },
        text: JSON.stringify(target.workspaceKeys),
      });
    return send(response, fileFor(dashboard, url.pathname));
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  const port = await listen(server, args.port);
  origins = [`http://127.0.0.1:${port}`, `http://localhost:${port}`];
  return {
    port,
    link: `http://127.0.0.1:${port}${ENTRY_PATH}?secret=${secret}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
