import { expect, test } from "vitest";
import { proxyFor, proxySettings } from "./proxy.ts";

test("without a variable there is no proxy", () => expect(proxySettings({ HTTPS_PROXY: "" })).toBeNull());

test("this machine is asked directly, whatever else is", () => {
  const settings = proxySettings({ https_proxy: "http://p:1", NO_PROXY: "a.example" });
  expect(settings).toEqual({
    httpProxy: "",
    httpsProxy: "http://p:1",
    noProxy: "a.example,localhost,127.0.0.1,::1",
  });
});

test.each([
  ["https://plane.example.com", "proxy:3128"],
  ["http://plane.example.com", null],
  ["https://127.0.0.1:4200", null],
  ["https://[::1]:4200", null],
  ["https://git.internal", null],
  ["https://internal", null],
  ["https://notinternal", "proxy:3128"],
])("%s goes through %s, named without its password", (url, proxy) =>
  expect(proxyFor(url, { HTTPS_PROXY: "http://me:secret@proxy:3128", NO_PROXY: ".internal" })).toBe(proxy),
);
