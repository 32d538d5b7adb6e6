import { describe, expect, test } from "vitest";
import { readOrigins } from "./address.ts";

/** Node's objects of a request from an address. */
const from = (remoteAddress: string, headers: Record<string, string> = {}) => ({
  incoming: { headers, socket: { remoteAddress, destroy() {} } },
});

describe("the address of a client", () => {
  const context = (remote: string, headers: Record<string, string>) => {
    const url = "http://towpath.example/";
    const request = { url, header: (name: string) => headers[name] };
    return { env: from(remote, headers), req: request } as unknown as Parameters<
      ReturnType<typeof readOrigins>["addressOf"]
    >[0];
  };
  const trusted = readOrigins({ trustedProxies: ["10.0.0.0/8", "2001:db8::1"] });
  const nobody = readOrigins({ trustedProxies: [] });

  test.each([
    [trusted, "203.0.113.9", { "x-forwarded-for": "198.51.100.1" }, "203.0.113.9"],
    [nobody, "10.0.0.1", { "x-forwarded-for": "198.51.100.1" }, "10.0.0.1"],
    [trusted, "10.0.0.1", { "x-forwarded-for": "198.51.100.1" }, "198.51.100.1"],
    [trusted, "::ffff:10.0.0.1", { "x-forwarded-for": "1.1.1.1, 198.51.100.1, 10.9.9.9" }, "198.51.100.1"],
    [trusted, "10.0.0.1", { "x-forwarded-for": "nonsense, 'or 1=1" }, "10.0.0.1"],
    [trusted, "10.0.0.1", {}, "10.0.0.1"],
    [trusted, "10.0.0.1", { "x-forwarded-for": "6.6.6.6, 198.51.100.1:5678" }, "198.51.100.1"],
    [
      trusted,
      "10.0.0.1",
      { "x-forwarded-for": "6.6.6.6, [2001:db8:1:2::5]:443, 10.9.9.9:80" },
      "2001:db8:1:2::/64",
    ],
    [trusted, "10.0.0.1", { "x-forwarded-for": "6.6.6.6, [::ffff:198.51.100.1]" }, "198.51.100.1"],
    [trusted, "10.0.0.1", { "x-forwarded-for": "6.6.6.6, unknown, 10.9.9.9" }, "10.0.0.1"],
    [trusted, "2001:db8::1", { "x-forwarded-for": "2001:db8:1:2:3:4:5:6" }, "2001:db8:1:2::/64"],
    [nobody, "2001:db8:1:2::1", {}, "2001:db8:1:2::/64"],
    [nobody, "::1", {}, "0:0:0:0::/64"],
  ])("%# follows from the connection and the trusted proxies", (origins, remote, headers, address) => {
    expect(origins.addressOf(context(remote, headers))).toBe(address);
  });

  test("only a trusted proxy may report TLS", () => {
    const headers = { "x-forwarded-proto": "https" };
    expect(trusted.isOverTls(context("10.0.0.1", headers))).toBe(true);
    expect(trusted.isOverTls(context("203.0.113.9", headers))).toBe(false);
    expect(nobody.isOverTls(context("10.0.0.1", headers))).toBe(false);
  });
});
