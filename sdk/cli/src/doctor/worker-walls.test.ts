import { spawnSync } from "node:child_process";
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { folderWith } from "../fixture.ts";
import { beginInvocation } from "../kernel/invocation.ts";
import { checkWalls } from "./worker-walls.ts";

const silent = { write: () => true };
const invocation = beginInvocation({ stdout: silent, stderr: silent }, {});
const isRoot = process.getuid?.() === 0 && process.platform === "linux";

const hasNamespaces = spawnSync("bwrap", ["--unshare-user", "--ro-bind", "/", "/", "true"]).status === 0;
if (!hasNamespaces && process.env.CI)
  throw new Error("This test needs bubblewrap and user namespaces in CI.");
if (!hasNamespaces)
  console.warn("SKIPPED: no namespaces can be made here, so the doctor's answer is not tested.");

const KEY = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", kid: "abc" };
const WHOLE = {
  url: "http://127.0.0.1:9",
  key: { file: "worker.key" },
  pool: "gpu",
  stateDir: "state",
  trustedKeys: [{ file: "signing.pub.jwk" }],
  store: { root: "store" },
};

async function checksOf(config: object, { open = true, files = {} } = {}) {
  await using folder = await folderWith({
    ...files,
    "worker.json": JSON.stringify({ ...WHOLE, ...config }),
    "signing.pub.jwk": JSON.stringify(KEY),
  });
  await chmod(folder.root, open ? 0o711 : 0o700);
  const environment = { PATH: process.env.PATH };
  const here = { ...invocation, config: { ...invocation.config, environment } };
  return await checkWalls(here, join(folder.root, "worker.json"));
}

test("a worker that has chosen no wall is one trust domain", async () => {
  expect(await checksOf({ runAs: "worker" })).toMatchObject([
    {
      name: "wall",
      ok: true,
      detail: expect.stringMatching(/^none: .*one trust domain.*"runAs" is "worker"/),
    },
  ]);
});

test("a private signing key that the worker could read is a fault", async () => {
  const files = { "signing.jwk": JSON.stringify({ ...KEY, d: "private-part" }) };
  const [, key] = await checksOf({ runAs: "worker" }, { files });
  expect(key).toMatchObject({ name: "signing key", ok: false });
  expect(key?.detail).toContain("signing.jwk");
  expect(JSON.stringify(key)).not.toContain("private-part");
});

test("a configuration with faults has an unknown wall", async () => {
  expect(await checksOf({ runAs: "nobody" })).toMatchObject([{ name: "wall", ok: false }]);
});

describe.skipIf(!isRoot)("on a machine where the worker is root", () => {
  test("each attempt gets a user of its own", async () => {
    expect(await checksOf({ runAs: "users", namespaces: false })).toMatchObject([
      {
        name: "wall",
        ok: true,
        detail: 'users: each attempt has a user of its own (no namespaces: "namespaces" is false)',
      },
    ]);
  });

  test("the folder that keeps attempts out is named, with the command that opens it", async () => {
    const [required] = await checksOf({ runAs: "users" }, { open: false });
    expect(required).toMatchObject({
      name: "wall",
      ok: false,
      detail: expect.stringContaining("chmod o+x "),
    });
    const [wanted] = await checksOf({ runAs: "auto", namespaces: false }, { open: false });
    expect(wanted).toMatchObject({
      name: "wall",
      ok: true,
      detail: expect.stringMatching(/^none: .* chmod o\+x /),
    });
  });

  test("a range that is too small is named", async () => {
    const [check] = await checksOf({ runAs: { uids: "200000-200003" } });
    expect(check?.detail).toContain("200000-200003");
  });
});

test.skipIf(!hasNamespaces)("each attempt sees only its own processes and files", async () => {
  const [alone] = await checksOf({ runAs: "worker", namespaces: "required" });
  expect(alone).toMatchObject({
    ok: true,
    detail: expect.stringMatching(/^namespaces: each attempt sees only its own .*no users: "runAs"/),
  });
  const both = {
    name: "wall",
    ok: true,
    detail: expect.stringMatching(/^both: .* its own processes and files$/),
  };
  if (isRoot) expect(await checksOf({ runAs: "users" })).toMatchObject([both]);
});

test("a program that is required and does not work is named, with what it said", async () => {
  const [missing] = await checksOf({ runAs: "worker", namespaces: { bwrap: "/bin/false" } });
  expect(missing).toMatchObject({
    ok: false,
    detail: expect.stringMatching(/^"namespaces" requires a wall .*bubblewrap cannot start a process here/),
  });
});
