import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, test, vi } from "vitest";
import { runQuietly } from "./child.mjs";
import { explainNpmFailure, tailOf } from "./failures.mjs";
import { holdsLock, stampOf } from "./install.mjs";
import { ensureNode, FETCHED_NODES, findNode, runsTypescript } from "./node-version.mjs";
import { createScreen, formatSeconds } from "./screen.mjs";
import { ensureDiskSpace, writeFaultOf } from "./workspace.mjs";

const scratches = [];

afterEach(async () => {
  for (const dir of scratches.splice(0)) await rm(dir, { recursive: true, force: true });
});

/** A checkout that has the bootstrap and no packages to install. */
async function makeCheckout() {
  const root = await mkdtemp(join(tmpdir(), "towpath-bootstrap-"));
  scratches.push(root);
  await cp(import.meta.dirname, join(root, "infra", "bootstrap"), { recursive: true });
  await writeFile(join(root, "package.json"), JSON.stringify({ name: "checkout", version: "1.0.0" }));
  await writeLock(root, {});
  return root;
}

function writeLock(root, packages) {
  const lock = {
    ...{ name: "checkout", version: "1.0.0", lockfileVersion: 3, requires: true },
    packages: { "": { name: "checkout", version: "1.0.0" }, ...packages },
  };
  return writeFile(join(root, "package-lock.json"), JSON.stringify(lock));
}

/** A package that installs without a network. */
async function addWorkspace(root, version) {
  const manifest = { name: "local", version };
  await mkdir(join(root, "local"), { recursive: true });
  await writeFile(join(root, "local", "package.json"), JSON.stringify(manifest));
  const rootManifest = { name: "checkout", version: "1.0.0", workspaces: ["local"] };
  await writeFile(join(root, "package.json"), JSON.stringify(rootManifest));
  const link = { resolved: "local", link: true };
  await writeLock(root, { "": rootManifest, local: { version }, "node_modules/local": link });
}

function bootstrap(root, args, env = {}) {
  const script = join(root, "infra", "bootstrap", "run.mjs");
  return runQuietly(process.execPath, [script, ...args], { cwd: root, env: { ...process.env, ...env } });
}

describe("the Node that runs everything", () => {
  test("is the machine's own exactly when that strips types", () => {
    const able = ["22.18.0", "22.21.1", "23.6.0", "24.0.0", "26.1.0"];
    const unable = ["18.20.0", "20.19.0", "20.20.2", "21.7.3", "22.17.1", "23.5.0"];
    expect(able.filter(runsTypescript)).toEqual(able);
    expect(unable.filter(runsTypescript)).toEqual([]);
  });
});

test.skipIf(FETCHED_NODES[`${process.platform}-${process.arch}`] === undefined)(
  "an old Node is stood in for by the one that was fetched, and by none before that",
  async () => {
    const root = await mkdtemp(join(tmpdir(), "towpath-bootstrap-"));
    scratches.push(root);
    expect(await findNode({ root, current: "20.19.0" })).toBeNull();
    const { packageName, version, integrity } = FETCHED_NODES[`${process.platform}-${process.arch}`];
    const modules = join(root, ".cache", "node", "node_modules");
    const bin = join(modules, packageName, "bin");
    await mkdir(bin, { recursive: true });
    const ran = join(root, "ran");
    await writeFile(join(bin, "node"), `#!/bin/sh\ntouch ${ran}\necho v${version}\n`);
    await chmod(join(bin, "node"), 0o755);
    const installed = (of) => {
      const packages = { [`node_modules/${packageName}`]: { version, integrity: of } };
      return writeFile(join(modules, ".package-lock.json"), JSON.stringify({ lockfileVersion: 3, packages }));
    };
    expect(await findNode({ root, current: "20.19.0" })).toBeNull();
    await installed(integrity.replace("sha512-", "sha512-another"));
    expect(await findNode({ root, current: "20.19.0" })).toBeNull();
    expect(existsSync(ran)).toBe(false);
    await installed(integrity);
    expect(await findNode({ root, current: "20.19.0" })).toMatchObject({ path: join(bin, "node"), version });
    expect(await findNode({ root, current: "22.18.0" })).toMatchObject({ path: process.execPath });
  },
);

/** A registry with one package whose file does not match the pinned hash. */
async function openTamperedRegistry({ packageName, version }) {
  const tarball = gzipSync(Buffer.alloc(1024));
  const integrity = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
  const server = createServer((request, response) => {
    const at = `http://${request.headers.host}`;
    const dist = { tarball: `${at}/file.tgz`, integrity };
    const one = { name: packageName, version, dist };
    const packument = { name: packageName, "dist-tags": { latest: version }, versions: { [version]: one } };
    response.end(request.url.endsWith(".tgz") ? tarball : JSON.stringify(packument));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

test("every Node that is fetched is pinned by its SHA-512", () => {
  for (const { integrity } of Object.values(FETCHED_NODES))
    expect(Buffer.from(integrity.replace(/^sha512-/, ""), "base64")).toHaveLength(64);
});

test.skipIf(FETCHED_NODES[`${process.platform}-${process.arch}`] === undefined)(
  "a fetched Node whose hash is another is refused, and not left behind",
  async () => {
    const root = await mkdtemp(join(tmpdir(), "towpath-bootstrap-"));
    scratches.push(root);
    const wanted = FETCHED_NODES[`${process.platform}-${process.arch}`];
    const registry = await openTamperedRegistry(wanted);
    vi.stubEnv("npm_config_registry", registry.url);
    vi.stubEnv("npm_config_cache", join(root, "npm-cache"));
    const screen = { step: (_, act) => act() };
    await expect(ensureNode({ root, screen, current: "20.19.0" })).rejects.toThrow(/hash is pinned/);
    vi.unstubAllEnvs();
    registry.close();
    expect(await findNode({ root, current: "20.19.0" })).toBeNull();
    const folder = join(root, ".cache", "node", "node_modules", wanted.packageName);
    expect(existsSync(folder)).toBe(false);
  },
);

describe("an installation", () => {
  const lock = {
    packages: {
      "": { name: "x" },
      "node_modules/a": { version: "1.0.0", integrity: "sha512-a" },
      "node_modules/b-linux": { version: "1.0.0", optional: true, os: ["linux"], cpu: ["x64"] },
      "node_modules/b-musl": {
        version: "1.0.0",
        optional: true,
        os: ["linux"],
        cpu: ["x64"],
        libc: ["musl"],
      },
      "node_modules/c-wasm": { version: "1.0.0", optional: true },
    },
  };
  const { "node_modules/a": a, "node_modules/b-linux": b } = lock.packages;
  const here = { platform: "linux", arch: "x64" };

  test("holds a lock when all that this platform needs is there", () => {
    const installed = { packages: { "node_modules/a": a, "node_modules/b-linux": b } };
    expect(holdsLock(installed, lock, here)).toBe(true);
  });

  test("does not hold it when a package is missing, of another version or of other content", () => {
    const withA = (entry) => ({ packages: { "node_modules/a": entry, "node_modules/b-linux": b } });
    expect(holdsLock({ packages: { "node_modules/b-linux": b } }, lock, here)).toBe(false);
    expect(holdsLock(withA({ ...a, version: "1.0.1" }), lock, here)).toBe(false);
    expect(holdsLock(withA({ ...a, integrity: "sha512-b" }), lock, here)).toBe(false);
    expect(holdsLock({}, lock, here)).toBe(false);
  });

  test("brought from another platform does not hold it", () => {
    const installed = { packages: { "node_modules/a": a } };
    expect(holdsLock(installed, lock, here)).toBe(false);
    expect(holdsLock(installed, lock, { platform: "darwin", arch: "arm64" })).toBe(true);
  });

  test("is stamped with the lock, the major version of Node and the platform", () => {
    const base = { lockText: "{}", nodeVersion: "24.21.0", platform: "linux-x64" };
    expect(stampOf({ ...base, nodeVersion: "24.1.0" })).toBe(stampOf(base));
    for (const other of [{ lockText: "{ }" }, { nodeVersion: "26.0.0" }, { platform: "linux-arm64" }]) {
      expect(stampOf({ ...base, ...other })).not.toBe(stampOf(base));
    }
  });
});

describe("a failure of npm", () => {
  test.each([
    ["npm error code ENOTFOUND", "cannot be reached (ENOTFOUND)"],
    [
      "npm ERR! network request failed, reason: connect ECONNREFUSED 127.0.0.1:9",
      "cannot be reached (ECONNREFUSED)",
    ],
    ["npm error code SELF_SIGNED_CERT_IN_CHAIN", "NODE_EXTRA_CA_CERTS"],
    ["npm error code E401", "npm login"],
    ["npm error code E404", "does not have a package"],
    ["npm error code ENOSPC", "disk is full"],
    ["npm error code EACCES", "could not be written (EACCES)"],
    ["npm error code EINTEGRITY", "npm cache clean"],
    [
      "npm error `npm ci` can only install packages when your package.json and package-lock.json are in sync",
      "Run `npm install`",
    ],
  ])("%s gives the next step", (log, sentence) => {
    expect(explainNpmFailure(`npm warn deprecated x@1\n${log}\n`)).toContain(sentence);
  });

  test("is not blamed on a network fault that a retry overcame", () => {
    const log = "npm http fetch GET attempt 1 failed with ECONNRESET\nnpm error code ENOSPC\n";
    expect(explainNpmFailure(log)).toContain("disk is full");
  });

  test("without a known cause is reported with the log's end", () => {
    expect(explainNpmFailure("npm error Cannot read properties of null")).toBe(
      "npm could not install the packages.",
    );
    expect(tailOf("1\n2\n3\n", { lines: 2 })).toBe("    2\n    3");
  });
});

describe("the screen", () => {
  test("prints one line when a step begins and one when it ends", async () => {
    const lines = [];
    const screen = createScreen({ out: { write: (text) => lines.push(text) }, now: () => 0 });
    await screen.step("Lint", async () => undefined);
    await expect(screen.step("Types", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(lines).toEqual(["  … Lint\n", "  ✓ Lint 0.0 s\n", "  … Types\n", "  ✗ Types 0.0 s\n"]);
  });

  test("tells time in the unit a person would", () => {
    expect([400, 9_949, 9_950, 59_000, 185_000].map(formatSeconds)).toEqual([
      ...["0.4 s", "9.9 s", "10 s", "59 s", "3 min 5 s"],
    ]);
  });
});

describe("a checkout", () => {
  test("without enough space shows how much is missing", async () => {
    await expect(ensureDiskSpace(tmpdir(), { neededMib: 1e9, what: "Node 24" })).rejects.toThrow(
      /Node 24 needs about 1000000000 MiB, and only \d+ MiB are free/,
    );
  });

  test("that cannot be written is named", async () => {
    expect(writeFaultOf("/there", { code: "EROFS" })).toMatch(
      /^\/there cannot be written to \(EROFS\)\.\nMake it/,
    );
    const root = await makeCheckout();
    await writeFile(join(root, ".cache"), "in the way");
    const { code, output } = await bootstrap(root, ["test"]);
    expect(code).toBe(1);
    expect(output).toContain(`${root} cannot be written to (EEXIST)`);
  });

  test("on a machine without npm explains how to install npm", async () => {
    const root = await makeCheckout();
    const { code, output } = await bootstrap(root, ["start"], { PATH: join(root, "empty") });
    expect(code).toBe(1);
    expect(output).toContain("npm was not found on PATH");
  });

  test("on a machine without a network suggests a check, and names the log", async () => {
    const root = await makeCheckout();
    const manifest = { name: "checkout", version: "1.0.0", dependencies: { absent: "1.0.0" } };
    await writeFile(join(root, "package.json"), JSON.stringify(manifest));
    const absent = { version: "1.0.0", integrity: `sha512-${"A".repeat(86)}==` };
    await writeLock(root, { "": manifest, "node_modules/absent": absent });
    const { code, output } = await bootstrap(root, ["start"], {
      npm_config_registry: "http://127.0.0.1:9/",
      npm_config_cache: join(root, "empty-cache"),
    });
    expect(code).toBe(1);
    expect(output).toContain("The package registry cannot be reached (ECONNREFUSED)");
    expect(output).toContain(join(root, ".cache", "install.log"));
  });

  test("is installed once and not again until its lock changes", async () => {
    const root = await makeCheckout();
    const installs = async () =>
      (await bootstrap(root, ["start"])).output.includes("Installing the packages");
    await addWorkspace(root, "1.0.0");
    expect([await installs(), await installs()]).toEqual([true, false]);
    await addWorkspace(root, "1.0.1");
    expect([await installs(), await installs()]).toEqual([true, false]);
  });

  test("that was installed by hand is not installed again", async () => {
    const root = await makeCheckout();
    await addWorkspace(root, "1.0.0");
    await runQuietly("npm", ["install", "--no-audit", "--no-fund"], { cwd: root });
    expect((await bootstrap(root, ["start"])).output).not.toContain("Installing the packages");
  });
});

test("an unknown command is answered with the known ones", async () => {
  const root = await makeCheckout();
  const { code, output } = await bootstrap(root, ["stop"]);
  expect(code).toBe(2);
  expect(output).toMatch(/ start\|(\w+\|)*test\b/);
});

test("a signal to us reaches what we handed over to, and its exit code becomes ours", async () => {
  const root = await mkdtemp(join(tmpdir(), "towpath-bootstrap-"));
  scratches.push(root);
  const script = join(root, "parent.mjs");
  const child =
    "process.on('SIGTERM', () => process.exit(7)); setInterval(() => {}, 1000); console.log('up')";
  await writeFile(
    script,
    `import { runInForeground } from ${JSON.stringify(join(import.meta.dirname, "child.mjs"))};
     process.exitCode = await runInForeground(process.execPath, ["-e", ${JSON.stringify(child)}]);`,
  );
  const parent = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
  await once(createInterface({ input: parent.stdout }), "line");
  parent.kill("SIGTERM");
  expect(await once(parent, "exit")).toEqual([7, null]);
});
