import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NodePackages } from "@towpath/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openCodeCache } from "../code/index.ts";
import type { NpmConfig } from "../config.ts";
import { SecretUnavailable } from "../secrets/index.ts";
import { EnvironmentError } from "./environment-error.ts";
import type { EnvironmentDeps } from "./environments.ts";
import { bringPackages } from "./npm.ts";
import { NpmRegistry } from "./npm-registry.fixture.ts";

let dir: string;
let registry: NpmRegistry;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "twp-npm-"));
  registry = await new NpmRegistry().start();
});
afterEach(async () => {
  await registry[Symbol.asyncDispose]();
  execFileSync("chmod", ["-R", "u+w", dir]);
  await rm(dir, { recursive: true, force: true });
});

async function open(npm: NpmConfig | null = { registry: registry.url }): Promise<EnvironmentDeps> {
  return {
    cache: await openCodeCache({ dir: join(dir, "environments"), onChanged: () => {} }),
    downloads: join(dir, "downloads"),
    config: {
      python: { interpreters: {}, indexes: {}, environmentBytes: 2 ** 40 },
      npm,
      environment: { NPM_TOKEN: "npm-secret" },
    },
    env: { PATH: process.env.PATH ?? "" },
  };
}

/** The packages of a lock, in a folder of code. */
async function locked(entries: Readonly<Record<string, object>>, more: Partial<NodePackages> = {}) {
  const codeDir = await mkdtemp(join(dir, "code-"));
  const names = Object.keys(entries).filter((path) => path.lastIndexOf("node_modules/") === 0);
  const dependencies = Object.fromEntries(names.map((path) => [path.slice("node_modules/".length), "1.0.0"]));
  const own = { name: "towpath-packages", version: "0.0.0" };
  const lock = JSON.stringify({
    ...own,
    lockfileVersion: 3,
    requires: true,
    packages: { "": { ...own, dependencies }, ...entries },
  });
  await mkdir(join(codeDir, "npm"));
  await writeFile(join(codeDir, "npm/package-lock.json"), lock);
  await writeFile(join(codeDir, "npm/package.json"), JSON.stringify({ ...own, dependencies }));
  const digest = createHash("sha256").update(lock).digest("hex");
  const packages: NodePackages = { folder: "npm", digest, scripts: [], ...more };
  return { packages, codeDir, signal: new AbortController().signal };
}

const faultOf = async (work: Promise<unknown>) => await work.catch((thrown: unknown) => thrown);

test("packages are installed once, from the worker's registry alone, and cannot be changed", async () => {
  const greeting = await registry.publish("greeting", { "index.js": 'module.exports = "hello";' });
  const deps = await open();
  const args = await locked({ "node_modules/greeting": greeting });
  const counts: number[] = [];
  const bring = () => bringPackages(deps, { ...args, onBuild: (count) => counts.push(count) });
  const [first, second] = await Promise.all([bring(), bring()]);
  expect(counts).toEqual([1]);
  expect(second.dir).toBe(first.dir);
  expect(await bring()).toMatchObject({ cached: true });
  expect(await readFile(join(first.dir, "node_modules/greeting/index.js"), "utf8")).toContain("hello");
  expect((await stat(join(first.dir, "node_modules/greeting"))).mode & 0o222).toBe(0);
  expect(registry.asked).toEqual(["/npm/greeting", "/npm/greeting/-/x-1.0.0.tgz"]);
});

test("only the named packages run their install scripts", async () => {
  const write = (name: string) => `node -e "require('fs').writeFileSync('built', '${name}')"`;
  const entries = {
    "node_modules/named": await registry.publish(
      "named",
      { "index.js": "" },
      {
        hasInstallScript: true,
        scripts: { install: write("named") },
      },
    ),
    "node_modules/other": await registry.publish(
      "other",
      { "index.js": "" },
      {
        hasInstallScript: true,
        scripts: { postinstall: write("other") },
      },
    ),
  };
  const deps = await open();
  const none = await bringPackages(deps, await locked(entries));
  const some = await bringPackages(deps, await locked(entries, { scripts: ["named"] }));
  expect(await readdir(join(none.dir, "node_modules/named"))).not.toContain("built");
  expect(some.dir).not.toBe(none.dir);
  expect(await readdir(join(some.dir, "node_modules/named"))).toContain("built");
  expect(await readdir(join(some.dir, "node_modules/other"))).not.toContain("built");
});

test("a worker that separates its runs runs no install script, which would be root's", async () => {
  const greeting = await registry.publish("greeting", { "index.js": "" });
  const args = await locked({ "node_modules/greeting": greeting }, { scripts: ["greeting"] });
  const deps = { ...(await open()), buildsSources: false };
  expect(await faultOf(bringPackages(deps, args))).toMatchObject({ code: "no-scripts", kind: "refused" });
  const plain = await locked({ "node_modules/greeting": greeting });
  expect(await bringPackages(deps, plain)).toMatchObject({ cached: false });
});

test("a registry gets the login of the configuration, and the installed tree has none of it", async () => {
  const greeting = await registry.publish("greeting", { "index.js": "" });
  const args = await locked({ "node_modules/greeting": greeting });
  registry.authorization = "Bearer npm-secret";
  const brought = await bringPackages(
    await open({ registry: registry.url, token: { env: "NPM_TOKEN" } }),
    args,
  );
  expect(spawnSync("grep", ["-r", "npm-secret", brought.dir]).status).toBe(1);
  await brought.release();
  const other = await locked({ "node_modules/greeting": greeting }, { scripts: ["greeting"] });
  registry.authorization = `Basic ${Buffer.from("me:npm-secret").toString("base64")}`;
  const login = { username: "me", password: { env: "NPM_TOKEN" } };
  expect(await bringPackages(await open({ registry: registry.url, login }), other)).toMatchObject({
    cached: false,
  });
  const unset = await open({ registry: registry.url, token: { env: "UNSET" } });
  const third = await locked({ "node_modules/greeting": { ...greeting, optional: true } });
  expect(await faultOf(bringPackages(unset, third))).toBeInstanceOf(SecretUnavailable);
});

test("a cache folder of npm installs without any registry", async () => {
  const greeting = await registry.publish("greeting", { "index.js": "" });
  const args = await locked({ "node_modules/greeting": greeting });
  const first = await open();
  await (await bringPackages(first, args)).release();
  const before = registry.asked.length;
  const again = await locked({ "node_modules/greeting": { ...greeting, optional: true } });
  const offline = await open({ registry: registry.url, cache: join(dir, "downloads/npm") });
  expect(await bringPackages(offline, again)).toMatchObject({ cached: false });
  expect(registry.asked.length).toBe(before);
  const empty = await open({ registry: registry.url, cache: join(dir, "empty") });
  const other = await locked({ "node_modules/greeting": { ...greeting, peer: true } });
  expect(await faultOf(bringPackages(empty, other))).toMatchObject({
    code: "missing-package",
    kind: "refused",
  });
});

test("what a registry changed, does not have, or does not answer is a typed error without an address", async () => {
  const greeting = await registry.publish("greeting", { "index.js": "" });
  const bring = async (entries: Readonly<Record<string, object>>, npm?: NpmConfig | null) =>
    await faultOf(bringPackages(await open(npm), await locked(entries)));
  const wrong = { ...greeting, integrity: `sha512-${Buffer.alloc(64).toString("base64")}` };
  expect(await bring({ "node_modules/greeting": wrong })).toMatchObject({
    code: "hash-mismatch",
    kind: "refused",
  });
  expect(await bring({ "node_modules/nothing": greeting })).toMatchObject({ code: "missing-package" });
  const down = await bring({ "node_modules/greeting": greeting }, { registry: "http://127.0.0.1:9/" });
  expect(down).toMatchObject({ code: "index-unreachable", kind: "unavailable" });
  expect(down).toMatchObject({ message: expect.not.stringContaining("127.0.0.1") });
  expect(await bring({ "node_modules/greeting": greeting }, null)).toMatchObject({ code: "no-npm-registry" });
}, 180_000);

test("a lock that could lead elsewhere is refused before npm reads it", async () => {
  const good = await registry.publish("greeting", { "index.js": "" });
  for (const entry of [
    { ...good, resolved: "http://127.0.0.1:9/evil.tgz" },
    { version: "1.0.0" },
    { ...good, integrity: "md5-xx" },
    { ...good, link: true },
    { resolved: "../../../etc", link: true },
  ]) {
    const refused = await faultOf(
      bringPackages(await open(), await locked({ "node_modules/greeting": entry })),
    );
    expect(refused).toMatchObject({ code: "bad-lock", kind: "refused" });
  }
  for (const path of ["../outside", "node_modules/../../outside", "packages/own"]) {
    const args = await locked({ "node_modules/greeting": good, [path]: good });
    expect(await faultOf(bringPackages(await open(), args))).toMatchObject({ code: "bad-lock" });
  }
  const unsigned = await locked({ "node_modules/greeting": good }, { digest: "0".repeat(64) });
  const refused = await faultOf(bringPackages(await open(), unsigned));
  expect(refused).toBeInstanceOf(EnvironmentError);
  expect(refused).toMatchObject({ message: expect.stringContaining("not the one that was signed") });
  expect(registry.asked).toEqual([]);
});

test("packages that were changed are installed again", async () => {
  const deps = await open();
  const args = await locked({
    "node_modules/greeting": await registry.publish("greeting", { "index.js": "" }),
  });
  const first = await bringPackages(deps, args);
  await chmod(join(first.dir, "node_modules/greeting"), 0o755);
  await writeFile(join(first.dir, "node_modules/greeting/planted.js"), "");
  const again = await bringPackages(deps, args);
  expect(again).toMatchObject({ cached: false });
  expect(await readdir(join(again.dir, "node_modules/greeting"))).not.toContain("planted.js");
});
