import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type Server } from "node:tls";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pageBlocks } from "../docs/page-files.ts";
import {
  makeCertificates,
  type Stack,
  startConnectProxy,
  startProcess,
  startStack,
} from "../harness/index.ts";

const HOST = "plane.test";
const NOBODY = 65_534;
const WORKER = fileURLToPath(new URL("../../worker/src/main.ts", import.meta.url));
const NAMESPACE = `twp-${process.pid}`;
/** A network of two addresses: this machine, and the namespace. */
const NETWORK = `10.231.${process.pid % 250}`;
const OUTSIDE = `${NETWORK}.1`;

const ip = (...words: string[]) => execFileSync("ip", words, { stdio: ["ignore", "pipe", "pipe"] });

/** Makes a namespace whose only neighbour is this machine. It has no route to anywhere else. */
function openNamespace(): void {
  const [here, there] = [`tw${process.pid}a`, `tw${process.pid}b`];
  ip("netns", "add", NAMESPACE);
  ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", NAMESPACE);
  ip("addr", "add", `${OUTSIDE}/30`, "dev", here);
  ip("link", "set", here, "up");
  ip("-n", NAMESPACE, "addr", "add", `${NETWORK}.2/30`, "dev", there);
  ip("-n", NAMESPACE, "link", "set", there, "up");
  ip("-n", NAMESPACE, "link", "set", "lo", "up");
}

const closeNamespace = () => void spawnSync("ip", ["netns", "del", NAMESPACE]);

/** Why this machine cannot lock a worker in. Null: it can. */
function obstacle(): string | null {
  if (process.getuid?.() !== 0) return "the test is not run as root";
  for (const program of ["ip", "bwrap", "setpriv"])
    if (spawnSync(program, ["--help"]).error)
      return `${program} is not installed (Debian: iproute2, bubblewrap, util-linux)`;
  try {
    openNamespace();
    const words = ["netns", "exec", NAMESPACE, "bwrap", "--ro-bind", "/", "/", "true"];
    return spawnSync("ip", words).status === 0 ? null : "the kernel lets bubblewrap make no mounts";
  } catch (error) {
    return `no network namespace can be made: ${String(error)}`;
  } finally {
    closeNamespace();
  }
}

const missing = obstacle();
if (missing !== null && process.env.CI)
  throw new Error(`The test of a locked-down network must run in CI: ${missing}.`);
if (missing !== null)
  process.stderr.write(`SKIPPED: the test of a locked-down network cannot run: ${missing}.\n`);

const FLOW = `
import { writeFileSync } from "node:fs";
import { flow, log } from "towpath";

const tried = async (work: () => unknown) => {
  try {
    await work();
    return "worked";
  } catch (error) {
    const { code, cause } = error as { code?: string; cause?: { code?: string } };
    return cause?.code ?? code ?? String(error);
  }
};

export const probe = flow({ name: "probe" }, async () => {
  log.info("user: " + process.getuid?.());
  log.info("root file system: " + (await tried(() => writeFileSync("/usr/lib/towpath-probe", ""))));
  log.info("another address: " + (await tried(() => fetch("http://192.0.2.1/"))));
});
`;
const CONFIG = (registry: string) => `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { probe } from "./flows.ts";
export default defineConfig({
  project: "probe", pool: "local", registry: ociLayout(${registry}), deployments: [deployment(probe)],
});
`;

const tls = makeCertificates([HOST]);
let stack: Stack;
let home: string;
let front: Server;

/** The folder of the locked-in worker, which only its user can enter. */
async function prepareHome(): Promise<void> {
  home = await mkdtemp(join(tmpdir(), "towpath-locked-"));
  for (const path of ["registry", "worker.key", "keys/signing.pub.jwk"])
    await cp(join(stack.folder, path), join(home, path), { recursive: true });
  await writeFile(join(home, "ca.pem"), tls.authority);
  const settings = {
    url: `https://${HOST}`,
    key: { file: "worker.key" },
    pool: "local",
    stateDir: "state",
    trustedKeys: [{ file: "keys/signing.pub.jwk" }],
    registries: { local: { kind: "oci-layout", path: "registry" } },
    store: { root: "store" },
  };
  await writeFile(join(home, "worker.json"), JSON.stringify(settings));
  execFileSync("chown", ["-R", `${NOBODY}:${NOBODY}`, home]);
}

/** The variables that the page names, with this test's own addresses. */
function pageVariables(own: Readonly<Record<string, string>>): Record<string, string> {
  const [block] = pageBlocks("docs/how-to/locked-down-network.md");
  const lines = (block?.text ?? "").trim().split("\n");
  const named = Object.fromEntries(lines.map((line) => line.split(/=(.*)/).slice(0, 2)));
  expect(Object.keys(named)).toEqual(expect.arrayContaining(Object.keys(own)));
  return { ...named, ...own };
}

/** Starts the worker as nobody, in the namespace, on a read-only file system but for its own folder. */
function startLockedIn(proxy: string) {
  const mounts = [
    "--ro-bind",
    "/",
    "/",
    "--dev",
    "/dev",
    "--proc",
    "/proc",
    "--tmpfs",
    "/tmp",
    "--bind",
    home,
    home,
  ];
  const user = ["--reuid", String(NOBODY), "--regid", String(NOBODY), "--clear-groups", "--no-new-privs"];
  return startProcess({
    command: "ip",
    args: [
      ...["netns", "exec", NAMESPACE, "bwrap", ...mounts, "--unshare-pid", "--die-with-parent"],
      ...["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "setpriv", ...user],
      ...[process.execPath, WORKER, "--config", join(home, "worker.json")],
    ],
    env: {
      PATH: process.env.PATH,
      HOME: home,
      ...pageVariables({ HTTPS_PROXY: proxy, NODE_EXTRA_CA_CERTS: join(home, "ca.pem") }),
    },
  });
}

describe.skipIf(missing !== null)("a locked-down network", () => {
  beforeAll(async () => {
    stack = await startStack();
    openNamespace();
    front = createServer({ key: tls.key, cert: tls.certificate }, (socket) => {
      const there = connect(Number(new URL(stack.url).port), "127.0.0.1");
      there.on("error", () => socket.destroy());
      socket.on("error", () => there.destroy());
      socket.pipe(there).pipe(socket);
    });
    front.listen(0, "127.0.0.1");
    await once(front, "listening");
    const project = await stack.project({
      "flows.ts": FLOW,
      "towpath.config.ts": CONFIG(JSON.stringify(join(stack.folder, "registry"))),
    });
    const deployed = await stack.towpath(["deploy", "--project", project]);
    expect(deployed.code, deployed.output).toBe(0);
    await prepareHome();
  });
  afterAll(async () => {
    front?.close();
    closeNamespace();
    await stack?.[Symbol.asyncDispose]();
    if (home) await rm(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  });

  test("a worker that is not root claims and runs a flow through the one proxy, and reaches nothing else", async () => {
    const { port } = front.address() as AddressInfo;
    await using proxy = await startConnectProxy(
      (target) => (target === `${HOST}:443` ? port : null),
      OUTSIDE,
    );
    await using worker = startLockedIn(proxy.url);
    await worker.waitFor(/ready: polling for work/);
    const runId = await stack.run("probe");
    expect(await stack.waitForRun(runId), worker.output()).toMatchObject({ state: "completed" });
    const { entries } = await stack.client.getLogs({ params: { runId }, query: {} });
    const lines = JSON.stringify(entries);
    expect(lines).toContain(`user: ${NOBODY}`);
    expect(lines).toContain("root file system: EROFS");
    expect(lines).toContain("another address: ENETUNREACH");
    expect(new Set(proxy.asked)).toEqual(new Set([`${HOST}:443`]));
  });
});
