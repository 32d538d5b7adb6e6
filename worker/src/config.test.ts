import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { exportJWK, generateKeyPair } from "jose";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ConfigError, loadConfig } from "./config.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "twp-config-"));
});
afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

async function write(settings: object): Promise<string> {
  const file = join(dir, "worker.json");
  await writeFile(file, JSON.stringify(settings));
  return file;
}

async function keyFile(name: string, half: "public" | "private"): Promise<string> {
  const pair = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const jwk = await exportJWK(half === "public" ? pair.publicKey : pair.privateKey);
  await writeFile(join(dir, name), JSON.stringify({ ...jwk, kid: name }));
  return name;
}

async function faultsOf(settings: object): Promise<readonly string[]> {
  try {
    await loadConfig({ file: await write(settings) });
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
}

async function good(): Promise<Record<string, unknown>> {
  return {
    url: "http://127.0.0.1:4200",
    key: { file: "worker.key" },
    pool: "local",
    stateDir: "state",
    trustedKeys: [{ file: await keyFile("signing.pub.jwk", "public") }],
    registries: { local: { kind: "oci-layout", path: "registry" } },
    store: { root: "store" },
  };
}

test("a worker that names no interpreter takes the one of TOWPATH_PYTHON, and its own settings win", async () => {
  const environment = { TOWPATH_PYTHON: "/venv/bin/python" };
  const interpretersOf = async (python: object) => {
    const config = await loadConfig({ file: await write({ ...(await good()), python }), environment });
    return config.python.interpreters;
  };
  expect(await interpretersOf({})).toEqual({ default: "/venv/bin/python" });
  const named = { default: "own/python", conda: "/opt/conda/bin/python" };
  expect(await interpretersOf({ interpreters: named })).toEqual({
    ...named,
    default: join(dir, "own/python"),
  });
});

test("relative paths start at the file's folder, and missing settings have defaults", async () => {
  const config = await loadConfig({ file: await write(await good()), environment: { A: "b" } });
  expect(config).toMatchObject({
    key: { file: join(dir, "worker.key") },
    stateDir: join(dir, "state"),
    registries: { local: { kind: "oci-layout", path: join(dir, "registry") } },
    store: { root: pathToFileURL(join(dir, "store")).href, s3: null },
    verify: "require",
    capacity: 4,
    warm: 1,
    loadAhead: 2,
    environment: { A: "b" },
  });
  expect(config.trustedKeys[0]).toMatchObject({ kid: "signing.pub.jwk", crv: "Ed25519" });
});

test("overrides come before the file", async () => {
  const file = await write(await good());
  expect(await loadConfig({ file, overrides: { capacity: 9 } })).toMatchObject({ capacity: 9 });
});

test("every fault is reported at once, with its setting", async () => {
  const faults = await faultsOf({
    ...(await good()),
    url: "ftp://example",
    capcity: 2,
    key: { file: "a", env: "B" },
    verify: "never",
  });
  expect(faults).toHaveLength(4);
  expect(faults.join("\n")).toContain('capcity is not a setting; did you mean "capacity"?');
  expect(faults.join("\n")).toMatch(/^url: /m);
  expect(faults.join("\n")).toMatch(/^key: give one of/m);
  expect(faults.join("\n")).toMatch(/^verify: /m);
});

test("a private key, a missing key file and no key at all are refused", async () => {
  const trusted = async (trustedKeys: unknown) =>
    (await faultsOf({ ...(await good()), trustedKeys })).join("\n");
  expect(await trusted([{ file: await keyFile("private.jwk", "private") }])).toContain("private key");
  expect(await trusted([{ file: "missing.jwk" }])).toContain("missing.jwk");
  expect(await trusted([])).toContain("at least one public key");
  const twice = await keyFile("twice.jwk", "public");
  expect(await trusted([{ file: twice }, { file: twice }])).toContain("a kid of its own");
});

test("the error for a store's address with wrong slashes shows the right form", async () => {
  const stores = { other: { root: "file:///srv/other" }, cold: { root: "s3:/bucket" } };
  const faults = await faultsOf({ ...(await good()), store: { root: "file:/srv/store" }, stores });
  expect(faults).toEqual([
    'store.root: "file:/srv/store" is not the address of a folder; write it with three slashes, file:///srv/store, or write the path alone, /srv/store.',
    'stores.cold.root: "s3:/bucket" names no bucket; write s3://bucket/prefix.',
  ]);
});

test("the error for a missing file or invalid JSON is a sentence", async () => {
  await expect(loadConfig({ file: join(dir, "none.json") })).rejects.toThrow("cannot be read");
  const file = join(dir, "worker.json");
  await writeFile(file, "{");
  await expect(loadConfig({ file })).rejects.toThrow("not a JSON object");
});

test("a start first checks what it needs: the key, a registry's password, an address for git", async () => {
  const git = (url: string) => ({ kind: "git", url, password: { env: "GIT_TOKEN" } });
  expect(await faultsOf({ ...(await good()), registries: { code: git("/path") } })).toEqual([
    "registries.code.url: the repository's address, https://, ssh://, http:// or file://.",
  ]);
  const file = await write({ ...(await good()), registries: { code: git("https://example.com/code.git") } });
  const refused = await loadConfig({ file, toServe: true, environment: {} }).catch((error: unknown) => error);
  expect(refused instanceof ConfigError && refused.faults).toEqual([
    `key: ${join(dir, "worker.key")} cannot be read; check the path and its permissions.`,
    "registries.code.password: the variable GIT_TOKEN is not set; set it where the worker is started.",
  ]);
  await expect(loadConfig({ file, environment: {} })).resolves.toMatchObject({ pool: "local" });
});

test("commands and Vaults are sources everywhere, with absolute paths, and a Vault that is not configured is named", async () => {
  const vault = (field: string) => ({ vault: { path: "towpath", field } });
  const exec = { exec: { command: ["./read-secret", "a b"] } };
  const settings = {
    ...(await good()),
    key: vault("key"),
    registries: { code: { kind: "git", url: "https://example.com/code.git", password: vault("git") } },
    store: {
      root: "s3://bucket/x",
      accessKeyId: vault("id"),
      secretAccessKey: exec,
      keys: [vault("pickle")],
    },
    python: { indexes: { own: { url: "https://example.com/simple", password: vault("index") } } },
    secrets: { db: vault("db"), vault: exec },
  };
  const at = ["key", "registries.code.password", "store.accessKeyId", "store.keys.0", "secrets.db"];
  expect(await faultsOf(settings)).toEqual(
    [...at, "python.indexes.own.password"].map(
      (path) => `${path}: there is no Vault called "default"; add it under "vaults".`,
    ),
  );
  const auth = { method: "approle", roleId: { file: "role-id" }, secretId: exec };
  const vaults = { default: { address: "https://vault.internal:8200/", ca: "ca.pem", auth } };
  const config = await loadConfig({
    file: await write({ ...settings, vaults }),
    toServe: true,
    environment: {},
  });
  const ran = { exec: { command: [join(dir, "read-secret"), "a b"], folder: dir, timeoutMs: 10_000 } };
  expect(config.secrets).toMatchObject({
    vault: ran,
    db: { vault: { mount: "secret", path: "towpath", kv: 2 } },
  });
  expect(config.key).toMatchObject({
    vault: {
      field: "key",
      server: {
        name: "default",
        address: "https://vault.internal:8200",
        ca: join(dir, "ca.pem"),
        auth: { mount: "approle", roleId: { file: join(dir, "role-id") }, secretId: ran },
      },
    },
  });
});

test("a Vault beyond this machine needs https, and its own credentials come from no Vault", async () => {
  const auth = { method: "token", token: { vault: { path: "a", field: "b" } } };
  const faults = await faultsOf({
    ...(await good()),
    vaults: {
      far: { address: "http://vault.internal:8200", auth: { method: "token", token: { env: "T" } } },
      near: { address: "http://127.0.0.1:8200", auth: { method: "token", token: { env: "T" } } },
      ring: { address: "https://vault.internal", auth },
    },
  });
  expect(faults).toEqual([
    "vaults.far.address: use https://, because the worker's token and the secrets travel there.",
    "vaults.ring.auth.token.vault is not a setting; remove it.",
    'vaults.ring.auth.token: give one of {"file": PATH}, {"env": NAME} and {"exec": {"command": [...]}}.',
  ]);
});

test("a git registry over SSH has a key and host keys, and no other has them", async () => {
  const faults = async (registry: object) =>
    await faultsOf({ ...(await good()), registries: { code: { kind: "git", ...registry } } });
  const url = "ssh://git@git.internal/flows.git";
  const [key, knownHosts] = [{ file: "key" }, { file: "hosts" }];
  expect(await faults({ url, key, knownHosts })).toEqual([]);
  expect(await faults({ url, username: "git" })).toEqual([
    "registries.code.key: an ssh:// address needs it.",
    "registries.code.knownHosts: an ssh:// address needs it.",
    "registries.code.username: an ssh:// address has its user in the url and a key; remove it.",
  ]);
  expect(await faults({ url: "https://git.internal/flows.git", key })).toEqual([
    "registries.code.key: only an ssh:// address has it; remove it.",
  ]);
});

test("a registry's secrets come from its own sources, and those of a bucket by default from AWS's variables", async () => {
  const registries = {
    own: { kind: "s3", url: "s3://code", accessKeyId: { file: "id" }, secretAccessKey: { env: "SECRET" } },
    usual: { kind: "s3", url: "s3://code/flows" },
    npm: { kind: "npm", url: "https://npm.internal", package: "@data/flows", token: { file: "token" } },
  };
  const environment = { AWS_SESSION_TOKEN: "t" };
  const config = await loadConfig({ file: await write({ ...(await good()), registries }), environment });
  expect(config.registries).toEqual({
    own: { ...registries.own, accessKeyId: { file: join(dir, "id") } },
    usual: {
      ...registries.usual,
      accessKeyId: { env: "AWS_ACCESS_KEY_ID" },
      secretAccessKey: { env: "AWS_SECRET_ACCESS_KEY" },
      sessionToken: { env: "AWS_SESSION_TOKEN" },
    },
    npm: { ...registries.npm, token: { file: join(dir, "token") } },
  });
});

test.each([
  ["oci", "https://registry.internal/Data/Flows", "lower case"],
  ["oci", "https://registry.internal", "repository's name"],
  ["oci", "https://me:secret@registry.internal/flows", "login"],
  ["oci", "file:///flows", "https://"],
  ["archive", "https://files.internal/flows?signature=1", "query"],
  ["s3", "s3://Bucket", "lower case"],
  ["npm", "npm.internal", "https://"],
])("a registry of kind %s at %s is refused with what is wrong", async (kind, url, why) => {
  const code = { kind, url, ...(kind === "npm" && { package: "@data/flows" }) };
  const faults = (await faultsOf({ ...(await good()), registries: { code } })).join("\n");
  expect(faults).toContain("registries.code.url: ");
  expect(faults).toContain(why);
});

test("a ledger over the network has its address, its login and its limits, and each fault is named", async () => {
  const password = { env: "LEDGER_PASSWORD" };
  const from = { kind: "git", url: "https://git.internal/flows.git", username: "worker", password };
  const ledgerOf = async (ledger: unknown) =>
    (await loadConfig({ file: await write({ ...(await good()), ledger }) })).ledger;
  expect(await ledgerOf("flows")).toBe(join(dir, "flows"));
  expect(await ledgerOf({ from, branch: "main" })).toEqual({
    ...{ from, branch: "main", file: "towpath.ledger.jsonl", refreshMs: 30_000, maxAgeMs: 86_400_000 },
  });
  const faults = async (ledger: unknown) => await faultsOf({ ...(await good()), ledger });
  for (const file of ["/etc/passwd", "../x", "a/../../x", "a\u0000", "HEAD:x", ".", ""])
    expect((await faults({ from, file })).join(), file).toContain("ledger.file: ");
  for (const branch of ["--upload-pack=x", "-x", "a b", ""])
    expect((await faults({ from, branch })).join(), branch).toContain("ledger.branch: the name of a branch");
  expect(await faults({ from: { kind: "archive", url: "https://files.internal" }, branch: "main" })).toEqual([
    "ledger.branch: only a ledger in git has one; remove it.",
  ]);
  expect(await faults({ from, refreshMs: 600_000, maxAgeMs: 60_000 })).toEqual([
    "ledger.maxAgeMs: must not be shorter than refreshMs.",
  ]);
  expect((await faults({ from, refreshMs: 1 })).join()).toContain("ledger.refreshMs: ");
  expect((await faults({ from, every: 1 })).join()).toContain("ledger.every is not a setting");
  expect((await faults({ from: { ...from, url: "git.internal" } })).join()).toContain("ledger.from.url: ");
  expect((await faults({ from: { kind: "oci", url: "https://x/y" } })).join()).toContain("ledger.from");
  expect(await faults({ from: { ...from, password: { vault: { path: "x", field: "y" } } } })).toEqual([
    'ledger.from.password: there is no Vault called "default"; add it under "vaults".',
  ]);
});
