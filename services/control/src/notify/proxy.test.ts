import { createServer as createPlain } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { proxyAddressFor } from "@towpath/contract";
import { expect, test } from "vitest";
import { makeCertificates, startConnectProxy } from "../../../../test/harness/index.ts";
import { parseConfig } from "../kernel/index.ts";
import { post } from "./post.ts";

const HOST = "hooks.test";

async function listening<S extends Server>(server: S) {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

const posting = (args: { url: string; proxy: string; mayBePrivate?: boolean }) => ({
  headers: { "webhook-id": "1" },
  body: "{}",
  mayBePrivate: false,
  ...args,
});

test("an https notice goes through a tunnel of the proxy, to a host whose certificate is checked", async () => {
  const tls = makeCertificates([HOST]);
  const received: string[] = [];
  await using receiver = await listening(
    createServer({ key: tls.key, cert: tls.certificate }, (request, response) => {
      received.push(`${request.headers.host} ${request.headers["webhook-id"]}`);
      request.resume().on("end", () => response.writeHead(204).end());
    }),
  );
  await using proxy = await startConnectProxy(() => receiver.port);
  const trusted = getCACertificates("default");
  expect(await post(posting({ url: `https://${HOST}/x`, proxy: proxy.url }))).toEqual({
    status: null,
    failure: "its certificate is not trusted",
  });
  setDefaultCACertificates([...trusted, tls.authority]);
  try {
    expect(await post(posting({ url: `https://${HOST}/x`, proxy: proxy.url }))).toEqual({
      status: 204,
      failure: null,
    });
    expect(await post(posting({ url: "https://other.test/x", proxy: proxy.url }))).toMatchObject({
      status: null,
    });
  } finally {
    setDefaultCACertificates(trusted);
  }
  expect(received).toEqual([`${HOST} 1`]);
  expect(proxy.asked).toEqual([`${HOST}:443`, `${HOST}:443`, "other.test:443"]);
});

test("an http request is sent to the proxy whole, with the proxy's login and no other", async () => {
  const received: unknown[] = [];
  await using proxy = await listening(
    createPlain((request, response) => {
      received.push([request.url, request.headers.host, request.headers["proxy-authorization"]]);
      request.resume().on("end", () => response.writeHead(200).end());
    }),
  );
  const through = `http://me:p%40ss@127.0.0.1:${proxy.port}`;
  const sent = await post(
    posting({ url: "http://hooks.test:8080/x?y=1", proxy: through, mayBePrivate: true }),
  );
  expect(sent).toEqual({ status: 200, failure: null });
  const login = Buffer.from("me:p@ss").toString("base64");
  expect(received).toEqual([["http://hooks.test:8080/x?y=1", "hooks.test:8080", `Basic ${login}`]]);
});

test("a proxy does not make private addresses reachable", async () => {
  await using proxy = await startConnectProxy(() => 1);
  for (const url of ["https://169.254.169.254/latest", "https://[::1]/x", "https://localhost./x"])
    expect(await post(posting({ url, proxy: proxy.url }))).toMatchObject({
      failure: "its address is not a public one",
    });
  expect(proxy.asked).toEqual([]);
});

test("a proxy that refuses or is unreachable is reported without its login", async () => {
  await using proxy = await listening(
    createPlain().on("connect", (_, socket) => socket.end("HTTP/1.1 407 No\r\n\r\n")),
  );
  const through = (port: number) =>
    posting({ url: `https://${HOST}/x`, proxy: `http://me:hidden@127.0.0.1:${port}` });
  expect(await post(through(proxy.port))).toEqual({ status: null, failure: "the proxy answered 407" });
  expect(await post(through(1))).toEqual({ status: null, failure: "the proxy cannot be reached" });
});

test("the variables are read in upper and lower case", () => {
  const { proxies } = parseConfig({ https_proxy: "http://p:3128", NO_PROXY: ".internal" });
  expect(proxyAddressFor("https://hooks.example/x", proxies)).toBe("http://p:3128");
  expect(proxyAddressFor("https://hooks.internal/x", proxies)).toBeNull();
});

test("a proxy of another kind does not prevent the start; the delivery that needs it reports it", async () => {
  for (const proxy of ["socks5://me:hidden@p", "p:3128", "nonsense"]) {
    expect(parseConfig({ HTTPS_PROXY: proxy }).proxies.HTTPS_PROXY).toBe(proxy);
    expect(await post(posting({ url: `https://${HOST}/x`, proxy }))).toEqual({
      status: null,
      failure: "HTTPS_PROXY or HTTP_PROXY is not the http:// address of a proxy",
    });
  }
});
