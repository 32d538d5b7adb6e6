import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { isPublic, lookupPublic } from "./address.ts";
import { post, refusalOf } from "./post.ts";

test.each([
  "0.0.0.0",
  "10.1.2.3",
  "100.64.0.1",
  "127.0.0.1",
  "127.255.255.254",
  "169.254.169.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.168.1.1",
  "192.0.2.1",
  "198.18.0.1",
  "203.0.113.9",
  "224.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::ffff:127.0.0.1",
  "::ffff:8.8.8.8",
  "64:ff9b::7f00:1",
  "fc00::1",
  "fd12::1",
  "fe80::1",
  "ff02::1",
  "2001:db8::1",
  "2001::1",
  "2002:7f00:1::",
  "not an address",
  "",
])("%s is not public", (address) => {
  expect(isPublic(address)).toBe(false);
});

test.each(["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "2a00:1450:4001::1"])(
  "%s is public",
  (address) => {
    expect(isPublic(address)).toBe(true);
  },
);

test.each([
  ["http://hooks.example.com/x", "it must be an https address"],
  ["https://127.0.0.1/x", "its address is not a public one"],
  ["https://[::1]/x", "its address is not a public one"],
  ["https://2130706433/x", "its address is not a public one"],
  ["https://0x7f.1/x", "its address is not a public one"],
  ["https://localhost:8443/x", "its address is not a public one"],
  ["https://user:pass@hooks.example.com/x", "an address must not contain a name or password"],
])("%s is refused", (url, why) => {
  expect(refusalOf(url, false)).toBe(why);
});

test("the address that a name resolves to is checked when the connection is made", async () => {
  const found = await new Promise((resolve) => {
    lookupPublic("localhost", {}, (error, address) => resolve(error ?? address));
  });
  expect(found).toMatchObject({ code: "address-refused" });
});

/** A server that sends the given answers in turn, and records the requests. */
async function listen(answers: readonly { status: number; location?: string; body?: string }[]) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const answer = answers[asked.length] ?? { status: 200 };
    asked.push(`${request.method} ${request.url}`);
    request.resume().on("end", () => {
      response.writeHead(answer.status, answer.location ? { location: answer.location } : {});
      response.end(answer.body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/secret-path`,
    asked,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

const posting = (url: string, mayBePrivate: boolean) => ({
  url,
  headers: {},
  body: "{}",
  mayBePrivate,
  proxy: null,
});

test("an address inside this network is allowed only by the operator", async () => {
  await using server = await listen([]);
  expect(await post(posting(server.url, false))).toEqual({
    status: null,
    failure: "it must be an https address",
  });
  expect(await post(posting(server.url.replace("http:", "https:"), false))).toEqual({
    status: null,
    failure: "its address is not a public one",
  });
  expect(server.asked).toEqual([]);
  expect(await post(posting(server.url, true))).toEqual({ status: 200, failure: null });
  expect(server.asked).toEqual(["POST /secret-path"]);
});

test("redirects are not followed, and large answers are not read", async () => {
  await using server = await listen([
    { status: 307, location: "/elsewhere" },
    { status: 200, body: "x".repeat(1_000_000) },
  ]);
  expect(await post(posting(server.url, true))).toEqual({ status: 307, failure: "it answered 307" });
  expect(await post(posting(server.url, true))).toEqual({ status: 200, failure: null });
  expect(server.asked).toEqual(["POST /secret-path", "POST /secret-path"]);
});

test("a refused connection is reported without the address", async () => {
  const server = await listen([]);
  await server[Symbol.asyncDispose]();
  expect(await post(posting(server.url, true))).toEqual({
    status: null,
    failure: "the connection was refused",
  });
});
