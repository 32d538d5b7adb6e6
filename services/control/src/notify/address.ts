import { type LookupAddress, lookup } from "node:dns";
import { lookup as lookupAll } from "node:dns/promises";
import { BlockList, isIP, type LookupFunction } from "node:net";

/** Why this server may not connect to an address. */
export class AddressRefused extends Error {
  override readonly name = "AddressRefused";
  readonly code = "address-refused";

  constructor() {
    super("its address is not a public one");
  }
}

/**
 * Addresses that are not public: loopback, private networks, link-local, carriers' networks, documentation, multicast,
 * reserved.
 * @see https://www.iana.org/assignments/iana-ipv4-special-registry
 */
const NOT_PUBLIC_4 = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
];

/**
 * Public IPv6 addresses are within 2000::/3, except for these: addresses that contain an IPv4 address (Teredo, 6to4),
 * benchmarks, identifiers and documentation.
 * @see https://www.iana.org/assignments/iana-ipv6-special-registry
 */
const NOT_PUBLIC_6 = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];

function listOf(family: "ipv4" | "ipv6", nets: readonly string[]): BlockList {
  const list = new BlockList();
  for (const net of nets) {
    const [address = "", bits] = net.split("/");
    list.addSubnet(address, Number(bits), family);
  }
  return list;
}

const notPublic4 = listOf("ipv4", NOT_PUBLIC_4);
const notPublic6 = listOf("ipv6", NOT_PUBLIC_6);
const global6 = listOf("ipv6", ["2000::/3"]);

/** Whether an address belongs to the public internet. False if the text is no address. */
export function isPublic(address: string): boolean {
  const version = isIP(address);
  if (version === 4) return !notPublic4.check(address, "ipv4");
  if (version === 6) return global6.check(address, "ipv6") && !notPublic6.check(address, "ipv6");
  return false;
}

/**
 * Resolves a host for a connection. The connection then uses the checked address, so a later answer of DNS has no
 * effect. A name is refused if any of its addresses is not public.
 */
export const lookupPublic: LookupFunction = (hostname, options, done) => {
  lookup(hostname, { ...options, all: true }, (error, found: LookupAddress[]) => {
    const [first] = found ?? [];
    if (error !== null || first === undefined) return done(error ?? new AddressRefused(), "", 0);
    if (!found.every(({ address }) => isPublic(address))) return done(new AddressRefused(), "", 0);
    if (options.all === true) return done(null, found);
    return done(null, first.address, first.family);
  });
};

/**
 * Refuses a host whose name resolves here to an address that is not public. Accepts a name that does not resolve here,
 * as behind a proxy that alone resolves names.
 */
export async function refuseKnownPrivate(hostname: string): Promise<void> {
  const found = await lookupAll(hostname, { all: true }).catch(() => []);
  if (!found.every(({ address }) => isPublic(address))) throw new AddressRefused();
}
