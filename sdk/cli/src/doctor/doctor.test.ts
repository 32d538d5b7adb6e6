import { mkdir, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { RestoreNotice } from "@towpath/contract";
import { afterEach, describe, expect, test } from "vitest";
import { makeCertificates, startConnectProxy, startProcess } from "../../../../test/harness/index.ts";
import { folderWith } from "../fixture.ts";
import { localTimes } from "../kernel/instant.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const ID = "0193a0b1-7c00-7000-8000-000000000001";
const AT = "2026-01-01T00:00:00.000Z";

interface Plane {
  readonly workersOnline?: number;
  readonly skewMs?: number;
  readonly refuses?: boolean;
  readonly restored?: RestoreNotice;
}

/** The control plane at the network's edge. */
function answer(plane: Plane) {
  return (request: IncomingMessage, response: ServerResponse) => {
    const json = (body: unknown, status = 200) =>
      response
        .writeHead(status, { "content-type": status < 400 ? "application/json" : "application/problem+json" })
        .end(JSON.stringify(body));
    const [path] = (request.url ?? "").split("?");
    if (path === "/healthz") return json({ status: "alive" });
    if (plane.refuses)
      return json(
        {
          type: "x",
          title: "A valid key is required",
          status: 401,
          code: "unauthenticated",
          detail: "no",
          instance: "/",
          retryable: false,
        },
        401,
      );
    if (path === "/api/me")
      return json({
        organization: { id: ID, name: "local" },
        workspace: { id: ID, name: "default" },
        key: { id: ID, name: "admin", role: "admin" },
        server: { version: "0.1.0", now: new Date(Date.now() + (plane.skewMs ?? 0)).toISOString() },
      });
    const pool = {
      id: ID,
      name: "local",
      type: "process",
      createdAt: AT,
      ready: 2,
      running: 0,
      workersPaused: 0,
    };
    const workersOnline = plane.workersOnline ?? 1;
    const worker = {
      id: ID,
      name: "w",
      pool: "local",
      version: "0",
      capacity: 4,
      held: 0,
      online: true,
      draining: false,
      paused: null,
      firstSeenAt: AT,
      lastSeenAt: AT,
      amounts: { cpu: 4, gpu: 1, "gpu:a100": 1 },
      taken: {},
      stores: {},
      secrets: [],
      registries: ["local"],
      holds: [],
    };
    if (path === "/api/pools/local/workers") return json({ items: [worker], next: null });
    if (path === "/api/pools/local") return json({ ...pool, workersOnline });
    if (path?.startsWith("/api/pools/"))
      return json(
        {
          type: "x",
          title: "No such pool",
          status: 404,
          code: "pool-not-found",
          detail: "no",
          instance: "/",
          retryable: false,
        },
        404,
      );
    if (path === "/api/pools") return json({ items: [{ ...pool, workersOnline }], next: null });
    if (path === "/api/overview") {
      const { restored } = plane;
      return json({ at: AT, live: [], stretchMs: 1, activity: [], ...(restored && { restored }) });
    }
    return json({ items: [], next: null });
  };
}

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

async function serve(plane: Plane, tls?: { key: string; cert: string }): Promise<number> {
  const server = tls ? createTlsServer(tls, answer(plane)) : createServer(answer(plane));
  stops.push(
    () => server.closeAllConnections(),
    () => server.close(),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

/** Runs the command in its own folder and returns its findings by name. */
async function doctor(options: { url?: string; cwd: string; env?: Record<string, string>; args?: string[] }) {
  const address = options.url === undefined ? [] : ["--url", options.url, "--key", "twp_api_x"];
  const child = startProcess({
    command: process.execPath,
    args: [MAIN, "doctor", "--json", ...address, ...(options.args ?? [])],
    cwd: options.cwd,
    env: {
      PATH: process.env.PATH,
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      XDG_CONFIG_HOME: options.cwd,
      ...options.env,
    },
  });
  const code = await child.exited;
  const text = child.output();
  const { checks } = JSON.parse(text.slice(text.indexOf("{"), text.lastIndexOf("}") + 1)) as {
    checks: { name: string; ok: boolean; detail: string; fix: string | null }[];
  };
  return { code, found: (name: string) => checks.find((check) => check.name === name) };
}

describe("towpath doctor finds", () => {
  test("that no server is configured, or that the server does not answer", async () => {
    await using folder = await folderWith();
    const unknown = await doctor({ cwd: folder.root });
    expect(unknown.code).toBe(1);
    expect(unknown.found("server")).toMatchObject({ ok: false, fix: expect.stringContaining("towpath dev") });
    const silent = await doctor({ cwd: folder.root, url: "http://127.0.0.1:9" });
    expect(silent.found("server")).toMatchObject({
      ok: false,
      detail: expect.stringMatching(/nothing answers/),
      fix: expect.stringContaining("start it, check the address, or check for a firewall"),
    });
  });

  test("a wrong key", async () => {
    await using folder = await folderWith();
    const url = `http://127.0.0.1:${await serve({ refuses: true })}`;
    expect((await doctor({ cwd: folder.root, url })).found("key")).toMatchObject({
      ok: false,
      fix: expect.stringContaining("towpath key create"),
    });
  });

  test("an address without a key: whether a server answers, and that the key is missing", async () => {
    await using folder = await folderWith();
    const env = { TOWPATH_URL: `http://127.0.0.1:${await serve({})}` };
    const there = await doctor({ cwd: folder.root, env });
    expect(there.found("server")).toMatchObject({ ok: true });
    expect(there.found("key")).toMatchObject({ ok: false, fix: expect.stringContaining("TOWPATH_KEY") });
    const gone = await doctor({ cwd: folder.root, env: { TOWPATH_URL: "http://127.0.0.1:9" } });
    expect(gone.found("server")).toMatchObject({ ok: false });
    expect(gone.found("key")).toBeUndefined();
  });

  test("a clock that is an hour off, and a pool without workers", async () => {
    await using folder = await folderWith();
    const url = `http://127.0.0.1:${await serve({ skewMs: 3_600_000, workersOnline: 0 })}`;
    const { found, code } = await doctor({ cwd: folder.root, url });
    expect(code).toBe(1);
    expect(found("clock")).toMatchObject({
      ok: false,
      detail: expect.stringMatching(/1 h 00 m|60 m|59 m/),
      fix: expect.stringMatching(/set this machine's clock.*NTP/),
    });
    expect(found("pools")).toMatchObject({
      ok: false,
      fix: expect.stringContaining("worker start --pool local"),
    });
  });

  test("that the control plane's database was restored, and how many attempts and outcomes are unknown", async () => {
    await using folder = await folderWith();
    const restored = { at: AT, offered: 3, unknownAttempts: 1, unknownOutcomes: 0 };
    const url = `http://127.0.0.1:${await serve({ restored })}`;
    expect((await doctor({ cwd: folder.root, url })).found("restore")).toMatchObject({
      ok: false,
      detail: `the control plane's database was restored to an earlier state (noticed ${localTimes(AT)}). Workers reported 3 attempts again, and 1 attempt that the database does not have. The outcome of 0 attempts is unknown.`,
      fix: expect.stringContaining("towpath runs ls crashed"),
    });
    const harmless = `http://127.0.0.1:${await serve({ restored: { ...restored, unknownAttempts: 0 } })}`;
    expect((await doctor({ cwd: folder.root, url: harmless })).found("restore")).toMatchObject({ ok: true });
    const none = `http://127.0.0.1:${await serve({})}`;
    expect((await doctor({ cwd: folder.root, url: none })).found("restore")).toBeUndefined();
  });

  test("a pool of the project that does not exist, and a pool without workers", async () => {
    const url = `http://127.0.0.1:${await serve({})}`;
    const idle = `http://127.0.0.1:${await serve({ workersOnline: 0 })}`;
    for (const [at, pool, found] of [
      [url, "local", { ok: true }],
      [url, "gpus", { ok: false, fix: expect.stringContaining("towpath pool create gpus") }],
      [idle, "local", { ok: false, fix: expect.stringContaining("worker start --pool local") }],
    ] as const) {
      await using folder = await folderWith({
        "towpath.config.ts": `import { defineConfig, deployment, ociLayout } from "towpath/config";
          export default defineConfig({ project: "p", pool: "${pool}", registry: ociLayout(".towpath/registry"),
            deployments: [deployment({ name: "ls", command: ["ls"] })] });`,
      });
      const told = await doctor({ cwd: folder.root, url: at });
      expect(told.found("project pools")).toMatchObject(found);
    }
  });

  test("a deployment that needs more than any worker of its pool has", async () => {
    const url = `http://127.0.0.1:${await serve({})}`;
    for (const [count, found] of [
      [1, { ok: true }],
      [2, { ok: false, detail: '"train" needs 2 × a100; the workers of pool "local" have at most 1' }],
    ] as const) {
      await using folder = await folderWith({
        "towpath.config.ts": `import { defineConfig, deployment, ociLayout } from "towpath/config";
          export default defineConfig({ project: "p", pool: "local", registry: ociLayout(".towpath/registry"),
            deployments: [deployment({ name: "train", command: ["ls"], compute: { gpu: { count: ${count}, kind: "a100" } } })] });`,
      });
      expect((await doctor({ cwd: folder.root, url })).found("project pools")).toMatchObject(found);
    }
  });

  test("a proxy that is down and a proxy that refuses; a working proxy passes", async () => {
    await using folder = await folderWith();
    const url = "http://plane.test:4200";
    const dead = await doctor({ cwd: folder.root, url, env: { HTTP_PROXY: "http://127.0.0.1:9" } });
    expect(dead.found("server")).toMatchObject({
      ok: false,
      detail: expect.stringMatching(/proxy 127\.0\.0\.1:9 does not work/),
      fix: expect.stringContaining("NO_PROXY"),
    });
    await using refusing = await startConnectProxy(() => null);
    const refused = await doctor({
      cwd: folder.root,
      url: "https://plane.test",
      env: { HTTPS_PROXY: refusing.url },
    });
    expect(refused.found("server")).toMatchObject({
      ok: false,
      detail: expect.stringMatching(/proxy .* answers 403/),
      fix: expect.stringMatching(/^correct HTTPS_PROXY or HTTP_PROXY, or add plane\.test to NO_PROXY/),
    });
    const page = await doctor({ cwd: folder.root, url: `http://127.0.0.1:${new URL(refusing.url).port}` });
    expect(page.found("server")).toMatchObject({
      ok: false,
      detail: expect.stringMatching(/another program answers there \(403, text\/html\)/),
      fix: expect.stringMatching(/check the address: it is not a Towpath control plane/),
    });
    const tls = makeCertificates(["plane.test"]);
    await writeFile(join(folder.root, "ca.pem"), tls.authority);
    const secure = await serve({}, { key: tls.key, cert: tls.certificate });
    await using proxy = await startConnectProxy(() => secure);
    const env = { HTTPS_PROXY: proxy.url, NODE_EXTRA_CA_CERTS: join(folder.root, "ca.pem") };
    const through = await doctor({ cwd: folder.root, url: "https://plane.test", env });
    expect(through.found("server")).toMatchObject({
      ok: true,
      detail: expect.stringContaining("through the proxy"),
    });
    expect(through.found("key")).toMatchObject({ ok: true });
    expect(proxy.asked).toContain("plane.test:443");
  });

  test("a certificate of a private authority; with that authority's certificate it passes", async () => {
    await using folder = await folderWith();
    const tls = makeCertificates(["localhost", "127.0.0.1"]);
    await writeFile(join(folder.root, "ca.pem"), tls.authority);
    const url = `https://localhost:${await serve({}, { key: tls.key, cert: tls.certificate })}`;
    expect((await doctor({ cwd: folder.root, url })).found("server")).toMatchObject({
      ok: false,
      detail: expect.stringContaining("this machine does not trust the authority"),
      fix: expect.stringContaining("NODE_EXTRA_CA_CERTS"),
    });
    const trusting = await doctor({
      cwd: folder.root,
      url,
      env: { NODE_EXTRA_CA_CERTS: join(folder.root, "ca.pem") },
    });
    expect(trusting.found("server")).toMatchObject({ ok: true });
  });

  test("that git is missing", async () => {
    await using folder = await folderWith();
    const { found } = await doctor({ cwd: folder.root, env: { PATH: folder.root } });
    expect(found("git")).toMatchObject({ ok: false, fix: expect.stringContaining("install git") });
  });

  test("a store that cannot be written and a code registry that cannot be reached, from the project's folder", async () => {
    await using folder = await folderWith({
      ".towpath/keys/signing.jwk": "{}",
      "towpath.config.ts": `import { defineConfig, deployment, git } from "towpath/config";
        export default defineConfig({ project: "p", pool: "local", registry: git("http://127.0.0.1:9/code.git"),
          deployments: [deployment({ name: "ls", command: ["ls"] })] });`,
    });
    await mkdir(join(folder.root, ".towpath"), { recursive: true });
    await writeFile(join(folder.root, ".towpath", "store"), "a file, not a folder");
    const { found } = await doctor({ cwd: folder.root });
    expect(found("store")).toMatchObject({ ok: false, fix: expect.stringContaining("write") });
    expect(found("code registry")).toMatchObject({
      ok: false,
      detail: expect.stringContaining("127.0.0.1:9"),
      fix: expect.stringMatching(/check the address, the network, HTTPS_PROXY, and the password/),
    });
  });
});
