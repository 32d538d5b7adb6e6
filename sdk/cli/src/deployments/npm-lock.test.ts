import { createHash } from "node:crypto";
import { join } from "node:path";
import { expect, test } from "vitest";
import { caught, folderWith } from "../fixture.ts";
import { loadProject } from "./load-project.ts";
import { readNpmLock } from "./npm-lock.ts";

const hash = (of: string) => ({ integrity: `sha512-${of}`, resolved: `https://example.com/${of}.tgz` });
const LOCK = {
  name: "project",
  lockfileVersion: 3,
  packages: {
    "": { dependencies: { native: "^1.0.0", plain: "^1.0.0" } },
    "node_modules/native": {
      version: "1.2.0",
      ...hash("native"),
      license: "MIT",
      dependencies: { shared: "^2.0.0" },
      optionalDependencies: { "@native/linux": "1.2.0", "@native/none": "1.2.0" },
    },
    "node_modules/@native/linux": { version: "1.2.0", ...hash("linux"), os: ["linux"], optional: true },
    "node_modules/native/node_modules/shared": { version: "2.0.0", ...hash("shared-2") },
    "node_modules/shared": { version: "1.0.0", ...hash("shared-1") },
    "node_modules/plain": { version: "1.0.0", ...hash("plain") },
    "node_modules/beside": { link: true, resolved: "../beside" },
    "node_modules/no-hash": { version: "1.0.0", resolved: "git+ssh://example.com/x.git#abc" },
    "node_modules/stale": { version: "1.0.0", ...hash("stale"), dependencies: { nothing: "1" } },
  },
};

const project = (files: Record<string, string> = {}) =>
  folderWith({ "package-lock.json": JSON.stringify(LOCK), "package.json": "{}", ...files });

test("npm.packages in a project of commands alone is refused", async () => {
  const config = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
export default defineConfig({
  project: "p",
  pool: "local",
  registry: ociLayout("registry"),
  npm: { packages: ["native"] },
  deployments: [deployment({ name: "echo", command: ["true"] })],
});
`;
  await using folder = await project({ "towpath.config.ts": config, "package.json": '{ "type": "module" }' });
  const state = { root: join(folder.root, ".towpath") } as never;
  const failure = await caught(loadProject(folder.root, { folder: state }));
  expect(failure).toMatchObject({
    code: "bad-config",
    message: expect.stringContaining("`npm.packages` in towpath.config.ts serves no deployment"),
  });
});

test("commands that Node runs have the packages in their spec, and others do not", async () => {
  const config = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
export default defineConfig({
  project: "p",
  pool: "local",
  registry: ociLayout("registry"),
  npm: { packages: ["native"] },
  deployments: [
    deployment({ name: "script", command: ["node", "script.js"] }),
    deployment({ name: "echo", command: ["true"] }),
  ],
});
`;
  await using folder = await project({ "towpath.config.ts": config, "package.json": '{ "type": "module" }' });
  const state = { root: join(folder.root, ".towpath") } as never;
  const { deployments, packages } = await loadProject(folder.root, { folder: state });
  expect(deployments.map(({ entry }) => entry)).toEqual([
    { kind: "command", argv: ["node", "script.js"], packages: packages?.packages },
    { kind: "command", argv: ["true"] },
  ]);
});

test("the code gets the part of the lock that the packages need, without addresses", async () => {
  await using folder = await project();
  const found = await readNpmLock(folder.root, { packages: ["native"], scripts: ["shared"] });
  const [manifest, lock] = found.files.map(({ bytes }) => JSON.parse(new TextDecoder().decode(bytes)));
  expect(found.files.map(({ path }) => path)).toEqual([
    "towpath.npm/package.json",
    "towpath.npm/package-lock.json",
  ]);
  expect(manifest).toMatchObject({ private: true, dependencies: { native: "1.2.0" } });
  expect(Object.keys(lock.packages)).toEqual([
    "",
    "node_modules/@native/linux",
    "node_modules/native",
    "node_modules/native/node_modules/shared",
  ]);
  expect(lock.packages["node_modules/@native/linux"]).toEqual({
    version: "1.2.0",
    integrity: "sha512-linux",
    os: ["linux"],
    optional: true,
  });
  expect(lock.packages["node_modules/native"]).not.toHaveProperty("optional");
  expect(JSON.stringify(lock)).not.toContain("example.com");
  const digest = createHash("sha256")
    .update(found.files[1]?.bytes ?? "")
    .digest("hex");
  expect(found.packages).toEqual({ folder: "towpath.npm", digest, scripts: ["shared"] });
});

test("the digest changes with a version, and not with what else the project has", async () => {
  const digestOf = async (change: (lock: typeof LOCK) => void) => {
    const lock = structuredClone(LOCK);
    change(lock);
    await using folder = await project({ "package-lock.json": JSON.stringify(lock) });
    return (await readNpmLock(folder.root, { packages: ["native"] })).packages.digest;
  };
  const before = await digestOf(() => {});
  const plain = await digestOf(({ packages }) => {
    packages["node_modules/plain"].version = "1.1.0";
  });
  const shared = await digestOf(({ packages }) => {
    packages["node_modules/native/node_modules/shared"].version = "2.1.0";
  });
  expect([plain === before, shared === before]).toEqual([true, false]);
});

test("overrides of the project go with the lock that they made", async () => {
  const overrides = { shared: "2.0.0", native: "1.2.0" };
  await using folder = await project({ "package.json": JSON.stringify({ overrides }) });
  const { files } = await readNpmLock(folder.root, { packages: ["native"] });
  expect(JSON.parse(new TextDecoder().decode(files[0]?.bytes))).toMatchObject({
    overrides: { shared: "2.0.0" },
  });
});

test.each([
  ["package-not-locked", { packages: ["missing"] }, {}],
  ["package-not-in-registry", { packages: ["beside"] }, {}],
  ["package-not-in-registry", { packages: ["no-hash"] }, {}],
  ["stale-npm-lock", { packages: ["stale"] }, {}],
  ["script-of-no-package", { packages: ["native"], scripts: ["plain"] }, {}],
  ["bad-npm-lock", { packages: ["native"] }, { "package-lock.json": '{ "lockfileVersion": 1 }' }],
  ["bad-npm-lock", { packages: ["native"] }, { "package-lock.json": "{" }],
])("%s is a failure with the next step: %j", async (code, options, files) => {
  await using folder = await project(files);
  const failure = await caught(readNpmLock(folder.root, options));
  expect(failure).toMatchObject({ exit: "configuration", code });
  expect(Reflect.get(Object(failure), "next")).toHaveLength(1);
});

test("the failure for a project without a lock says how to get one", async () => {
  await using folder = await folderWith({ "package.json": "{}" });
  expect(await caught(readNpmLock(folder.root, { packages: ["native"] }))).toMatchObject({
    code: "no-npm-lock",
    next: ["run `npm install` there"],
  });
});
