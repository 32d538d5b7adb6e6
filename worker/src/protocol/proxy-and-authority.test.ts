import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { createServer, type Server } from "node:tls";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { makeCertificates, startConnectProxy } from "../../../test/harness/index.ts";
import { WorkerTestEnv } from "../testing/test-env.fixture.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const HOST = "plane.test";

const tls = makeCertificates([HOST, "localhost"]);
const children: { kill(signal: NodeJS.Signals): boolean; exited: Promise<unknown> }[] = [];
let testEnv: WorkerTestEnv;
let front: Server;
let frontPort: number;
let authority: string;
beforeAll(async () => {
  testEnv = await WorkerTestEnv.open();
  authority = join(testEnv.dir, "ca.pem");
  await writeFile(authority, tls.authority);
  // A TLS proxy before the control plane, with a private authority.
  front = createServer({ key: tls.key, cert: tls.certificate }, (socket) => {
    const there = connect(Number(new URL(testEnv.plane.url).port), "127.0.0.1");
    there.on("error", () => socket.destroy());
    socket.on("error", () => there.destroy());
    socket.pipe(there).pipe(socket);
  });
  front.listen(0, "127.0.0.1");
  await once(front, "listening");
  frontPort = (front.address() as AddressInfo).port;
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGTERM");
    await child.exited;
  }
});
afterAll(async () => {
  front.close();
  await testEnv.close();
});

/** Starts a worker in a process of its own, with the variables of an administrator. */
async function startWorker(url: string, env: Record<string, string>) {
  const file = join(testEnv.dir, "worker.json");
  await writeFile(file, JSON.stringify(testEnv.settings({ url, logLevel: "info" })));
  const child = spawn(process.execPath, [MAIN, "--config", file], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const said = Promise.withResolvers<string>();
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += String(chunk);
    const line = /.*(is not available now|ready: polling).*\n/.exec(output);
    if (line) said.resolve(line[0]);
  });
  const exited = once(child, "exit").then(() => said.reject(new Error(`it ended: ${output}`)));
  said.promise.catch(() => undefined);
  children.push({ kill: (signal) => child.kill(signal), exited });
  return said.promise;
}

test("a worker serves through a CONNECT proxy and behind a private authority", async () => {
  await using proxy = await startConnectProxy(() => frontPort);
  const env = { HTTPS_PROXY: proxy.url, NODE_EXTRA_CA_CERTS: authority };
  expect(await startWorker(`https://${HOST}`, env)).toContain("ready");
  await testEnv.plane.until("it polls", () => testEnv.plane.claims.length > 0);
  expect(new Set(proxy.asked)).toEqual(new Set([`${HOST}:443`]));
});

test("requests to this machine bypass the proxy", async () => {
  const env = { HTTPS_PROXY: "http://127.0.0.1:9", NODE_EXTRA_CA_CERTS: authority };
  expect(await startWorker(`https://localhost:${frontPort}`, env)).toContain("ready");
});

test("an unknown authority and a proxy that is down are named", async () => {
  expect(await startWorker(`https://localhost:${frontPort}`, {})).toContain("NODE_EXTRA_CA_CERTS");
  for (const child of children.splice(0)) {
    child.kill("SIGTERM");
    await child.exited;
  }
  const dead = await startWorker(`https://${HOST}`, { HTTPS_PROXY: "http://127.0.0.1:9" });
  expect(dead).toContain("through the proxy 127.0.0.1:9");
});
