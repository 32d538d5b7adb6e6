import { BlockList, isIP, isIPv6 } from "node:net";
import type { Context } from "hono";
import { headerOf, remoteAddressOf } from "./node-request.ts";

/** The most addresses of `X-Forwarded-For` that are examined. */
const HOPS_MAX = 16;

/** Makes a list of addresses and networks, such as `10.0.0.0/8`. */
export function addressList(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = "", bits] = entry.split("/");
    const family = isIPv6(address) ? "ipv6" : "ipv4";
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}

/** The plain form of an address. An IPv4 address from an IPv6 socket becomes IPv4. */
function plain(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
}

function isIn(list: BlockList, address: string): boolean {
  const family = isIP(address);
  return family !== 0 && list.check(address, family === 6 ? "ipv6" : "ipv4");
}

/** The /64 network of an IPv6 address. An IPv4 address is unchanged. */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = "", tail = ""] = (address.split("%")[0] ?? "").split("::");
  const groups = head === "" ? [] : head.split(":");
  const missing = 8 - groups.length - (tail === "" ? 0 : tail.split(":").length);
  const whole = [...groups, ...Array.from({ length: Math.max(0, missing) }, () => "0"), ...tail.split(":")];
  return `${whole.slice(0, 4).join(":")}::/64`;
}

/** The address of one hop of `X-Forwarded-For`, without the port that some proxies add. Null if it is no address. */
function addressOfHop(hop: string): string | null {
  const text = hop.trim();
  const [, bracketed, beforePort] = /^(?:\[(.*)\](?::\d+)?|([\d.]+):\d+)$/.exec(text) ?? [];
  const address = plain(bracketed ?? beforePort ?? text);
  return isIP(address) === 0 ? null : address;
}

/** Finds the origin of requests. */
export interface Origins {
  /** The client's address. For IPv6 its /64 network, which belongs to one client. Empty without a connection. */
  addressOf(c: Context): string;
  /** Whether a request came over TLS, to this server or to a trusted proxy in front of it. */
  isOverTls(c: Context): boolean;
}

/**
 * Makes the functions that find the origin of a request. Only trusted proxies may set `X-Forwarded-For` and
 * `X-Forwarded-Proto`. The client is the last address in `X-Forwarded-For` that is not a trusted proxy. Anybody else
 * can write anything there, so a hop that is no address ends the search, and the address of the connection counts.
 */
export function readOrigins(args: { readonly trustedProxies: readonly string[] }): Origins {
  const trusted = addressList(args.trustedProxies);
  const isTrusted = (address: string) => args.trustedProxies.length > 0 && isIn(trusted, address);
  const remoteOf = (c: Context) => plain(remoteAddressOf(c) ?? "");
  return {
    addressOf(c) {
      const remote = remoteOf(c);
      if (!isTrusted(remote)) return networkOf(remote);
      const hops = (headerOf(c, "x-forwarded-for") ?? "").split(",").slice(-HOPS_MAX);
      const hop = hops.map(addressOfHop).findLast((address) => address === null || !isTrusted(address));
      return networkOf(hop ?? remote);
    },
    isOverTls(c) {
      const scheme = headerOf(c, "x-forwarded-proto")?.split(",").at(-1)?.trim().toLowerCase();
      if (scheme !== undefined && isTrusted(remoteOf(c))) return scheme === "https";
      return c.req.url.startsWith("https:");
    },
  };
}
