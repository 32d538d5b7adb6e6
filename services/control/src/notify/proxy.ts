import { type RequestOptions, request } from "node:http";
import { isIP, type Socket } from "node:net";
import { connect } from "node:tls";

/** A proxy refuses a request. The message does not contain its address, which may hold a password. */
export class ProxyFault extends Error {
  override readonly name = "ProxyFault";
}

const DEFAULT_PORTS: Readonly<Record<string, string>> = { "https:": "443", "http:": "80" };

function loginOf(proxy: URL): Record<string, string> {
  if (proxy.username === "") return {};
  const login = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return { "proxy-authorization": `Basic ${Buffer.from(login).toString("base64")}` };
}

function placeOf(proxy: URL): RequestOptions {
  return { hostname: proxy.hostname.replace(/^\[|\]$/g, ""), port: proxy.port || "80", agent: false };
}

/** Asks a proxy for a tunnel to a host (CONNECT, RFC 9110). @throws ProxyFault. */
function openTunnel(target: URL, args: { proxy: URL; signal: AbortSignal }): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const authority = `${target.hostname}:${target.port || DEFAULT_PORTS[target.protocol]}`;
  const asked = request({
    ...placeOf(args.proxy),
    method: "CONNECT",
    path: authority,
    headers: { host: authority, ...loginOf(args.proxy) },
    signal: args.signal,
  });
  asked.on("connect", ({ statusCode }, socket) => {
    if (statusCode === 200) return resolve(socket);
    socket.destroy();
    reject(new ProxyFault(`the proxy answered ${statusCode}`));
  });
  // A server that answers CONNECT with a normal response is no proxy.
  asked.on("response", (answer) => {
    answer.destroy();
    reject(new ProxyFault(`the proxy answered ${answer.statusCode}`));
  });
  asked.on("error", (cause) =>
    reject(args.signal.aborted ? cause : new ProxyFault("the proxy cannot be reached", { cause })),
  );
  asked.end();
  return promise;
}

/** How a request is sent: options for Node's own client, and additional headers. */
export interface ProxyRoute {
  readonly options: RequestOptions;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Routes a request through a proxy. An https request uses a tunnel, and TLS proves the identity of the host.
 * @throws ProxyFault.
 */
export async function proxyRoute(
  url: string,
  args: { proxy: string; signal: AbortSignal },
): Promise<ProxyRoute> {
  const [target, proxy] = [new URL(url), URL.parse(args.proxy)];
  if (proxy?.protocol !== "http:")
    throw new ProxyFault("HTTPS_PROXY or HTTP_PROXY is not the http:// address of a proxy");
  if (target.protocol === "http:")
    return {
      options: { ...placeOf(proxy), path: target.href },
      headers: { host: target.host, ...loginOf(proxy) },
    };
  const socket = await openTunnel(target, { proxy, signal: args.signal });
  const host = target.hostname.replace(/^\[|\]$/g, "");
  const name = isIP(host) === 0 ? { servername: host } : {};
  return {
    options: { createConnection: () => connect({ socket, host, ...name }) },
    headers: { host: target.host },
  };
}
