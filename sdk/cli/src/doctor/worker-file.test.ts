import { execFileSync } from "node:child_process";
import { chown, mkdir, readdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { nextLine, parseLedger } from "@towpath/contract/ledger";
import { describe, expect, test } from "vitest";
import { FakeVault, findVersitygw, startS3 } from "../../../../test/harness/index.ts";
import { caught, folderWith } from "../fixture.ts";
import { beginInvocation } from "../kernel/invocation.ts";
import type { Check } from "./checks.ts";
import { checkWorkerFile } from "./worker-file.ts";
import { checkLedgerFile } from "./worker-ledger.ts";

const silent = { write: () => true };
const invocation = beginInvocation({ stdout: silent, stderr: silent }, {});
const versitygw = findVersitygw();

const WHOLE = {
  url: "http://127.0.0.1:9",
  key: { file: "worker.key" },
  pool: "gpu",
  stateDir: "state",
  trustedKeys: [{ file: "signing.pub.jwk" }],
  store: { root: "store" },
};

const PUBLIC_KEY = {
  kty: "OKP",
  crv: "Ed25519",
  x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
  kid: "abc",
};

async function workerFolder(
  config: Readonly<Record<string, unknown>>,
  files: Readonly<Record<string, string>> = {},
) {
  return await folderWith({
    ...files,
    "worker.json": JSON.stringify({ ...WHOLE, ...config }),
    "worker.key": "twp_wkr_x",
    "signing.pub.jwk": JSON.stringify(PUBLIC_KEY),
  });
}

/** What is found in a folder with a worker's configuration, by name. */
async function look(folder: { root: string }, more: Readonly<Record<string, string>> = {}) {
  const { PATH } = process.env;
  const config = { ...invocation.config, environment: { PATH, ...more } };
  const checks = await checkWorkerFile({ ...invocation, config }, join(folder.root, "worker.json"));
  return (name: string): Check | undefined => checks.find((check) => check.name === name);
}

async function finds(
  config: Readonly<Record<string, unknown>>,
  more?: Readonly<Record<string, string>>,
  files?: Readonly<Record<string, string>>,
) {
  await using folder = await workerFolder(config, files);
  return await look(folder, more);
}

test("Paths in a worker's configuration are relative to its folder, and each fault is named", async () => {
  const config = {
    registries: { local: { kind: "oci-layout", path: "missing" } },
    secrets: { token: { file: "token" } },
  };
  await using folder = await workerFolder(config);
  const checks = await checkWorkerFile(invocation, join(folder.root, "worker.json"));
  const faulty = checks.filter(({ ok }) => !ok).map(({ name }) => name);
  expect(faulty).toEqual(["server", "registry local", "secret token"]);
});

test("Each key of a store is checked, and a store without one needs none", async () => {
  const good = "k".repeat(32);
  const keys = (...names: string[]) => ({ store: { ...WHOLE.store, keys: names.map((env) => ({ env })) } });
  expect((await finds({}))("store key")).toBeUndefined();
  expect((await finds(keys("A", "B"), { A: good, B: good }))("store key")).toMatchObject({ ok: true });
  expect((await finds(keys("A", "B"), { A: good }))("store key")).toMatchObject({
    ok: false,
    detail: "the variable B is missing or empty",
  });
  const short = (await finds({ stores: { other: keys("A").store } }, { A: good.slice(1) }))(
    "store other key",
  );
  expect(short).toMatchObject({ ok: false, detail: "the variable A has fewer than 32 bytes" });
  expect(short?.fix).toContain("stores.other.keys");
});

test("The ledger is checked: the chain of a file, or whether its address can be read", async () => {
  const line = nextLine(parseLedger(""), {
    ...{ deployment: "train", workspace: "01980000-0000-7000-8000-00000000000a", version: 1 },
    ...{ floor: 1, floorBy: "runs", expiresAt: null, expiresBy: "project" },
    ...{ spec: "a".repeat(64), code: "c", keyId: "k", at: "2026-01-01T00:00:00.000Z" },
  });
  await using folder = await workerFolder({ ledger: "flows" });
  const home = join(folder.root, "flows");
  await mkdir(home);
  const file = join(home, "towpath.ledger.jsonl");
  expect((await look(folder))("ledger")).toMatchObject({ ok: false, detail: `${file}: it cannot be read` });
  await writeFile(file, `${line}\n`);
  expect(await checkLedgerFile(home)).toMatchObject({
    ok: true,
    detail: expect.stringContaining("1 lines, head "),
  });
  await writeFile(file, `${line}\n${line}\n`);
  expect(await checkLedgerFile(file)).toMatchObject({ ok: false, detail: expect.stringContaining("Line 2") });

  const git = (...args: string[]) =>
    execFileSync("git", ["-C", home, "-c", "user.name=t", "-c", "user.email=t@example.com", ...args]);
  git("init", "--quiet", "--initial-branch=main");
  git("add", ".");
  git("commit", "--quiet", "--message", "broken");
  const from = { kind: "git", url: pathToFileURL(home).href };
  const inGit = async (more: object) => (await finds({ ledger: { from, ...more } }))("ledger");
  expect((await inGit({}))?.detail).toContain(`Line 2 of the ledger`);
  await writeFile(file, `${line}\n`);
  git("commit", "--quiet", "--all", "--message", "whole");
  expect(await inGit({ branch: "main" })).toMatchObject({
    ok: true,
    detail: `${from.url}: towpath.ledger.jsonl in the branch main`,
  });
  expect((await inGit({ file: "x.jsonl" }))?.detail).toContain("its newest commit does not have this file");
  expect((await inGit({ branch: "other" }))?.detail).toContain("Remote branch other not found");
});

test("The ledger on a web server is read with its login", async () => {
  const server = createServer((request, response) => {
    if (request.headers.authorization !== "Bearer t") response.writeHead(403).end();
    else response.writeHead(request.url === "/flows/own.jsonl" ? 200 : 404).end("");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/flows`;
  const ledger = { from: { kind: "archive", url, token: { env: "T" } }, file: "own.jsonl" };
  expect((await finds({ ledger }, { T: "t" }))("ledger")).toMatchObject({
    ok: true,
    detail: `${url}, with its login: own.jsonl`,
  });
  expect((await finds({ ledger }, { T: "wrong" }))("ledger")?.detail).toContain("refuses access");
  expect((await finds({ ledger: { ...ledger, file: "no.jsonl" } }, { T: "t" }))("ledger")).toMatchObject({
    ok: false,
    detail: expect.stringContaining("does not have the file no.jsonl"),
  });
  await new Promise((resolve) => server.close(resolve));
});

test("A file that is not a worker's configuration is refused", async () => {
  await using folder = await folderWith({ "worker.json": "{}" });
  const failure = await caught(checkWorkerFile(invocation, join(folder.root, "worker.json")));
  expect(failure).toMatchObject({ exit: "configuration" });
});

describe("Stores in folders", () => {
  test("each named store is checked, and so is the store without a name", async () => {
    await using folder = await workerFolder({
      stores: { archive: { root: "blocked" }, shared: { root: "shared" } },
    });
    await writeFile(join(folder.root, "blocked"), "a file, not a folder");
    const found = await look(folder);
    expect(found("store")).toMatchObject({ ok: true, detail: join(folder.root, "store") });
    expect(found("store shared")).toMatchObject({ ok: true });
    expect(found("store archive")).toMatchObject({
      ok: false,
      detail: `${join(folder.root, "blocked")} cannot be written`,
      fix: "make it a folder that this user can write to",
    });
  });

  test("an address that is neither a folder nor a bucket is reported with its setting", async () => {
    const found = await finds({ stores: { far: { root: "gs://values/x" } } });
    expect(found("store far")).toMatchObject({
      ok: false,
      fix: "give the worker a folder, or s3://bucket/prefix, as its stores.far.root",
    });
  });
});

describe("Stores in buckets", () => {
  const keys = { AWS_ACCESS_KEY_ID: "sample", AWS_SECRET_ACCESS_KEY: "lock-keeper" };

  test("a store that does not answer and missing credentials are reported; no folder is created", async () => {
    await using folder = await workerFolder({
      // Not 9: fetch itself refuses the ports of some old services.
      store: { root: "s3://no-such-bucket/prefix", endpoint: "http://127.0.0.1:2" },
      stores: { archive: { root: "s3://values/x", secretAccessKey: { env: "ARCHIVE_KEY" } } },
    });
    const found = await look(folder, keys);
    expect(found("store")).toMatchObject({
      ok: false,
      detail: expect.stringMatching(/^s3:\/\/no-such-bucket\/prefix: .*does not answer: .*ECONNREFUSED/),
      fix: "check store.endpoint in the worker's configuration, and the network",
    });
    expect(found("store archive")).toMatchObject({
      ok: false,
      detail: expect.stringContaining("the variable ARCHIVE_KEY"),
      fix: "set them there, and run this command as the worker's user in the worker's environment",
    });
    expect((await readdir(folder.root)).sort()).toEqual([
      "signing.pub.jwk",
      "state",
      "worker.json",
      "worker.key",
    ]);
  });

  test.skipIf(versitygw === undefined)(
    "an existing bucket passes and keeps no object; a missing bucket and wrong keys are reported",
    async () => {
      await using server = await startS3(versitygw ?? "");
      const { endpoint, region } = server.access;
      const wrong = { endpoint, region, secretAccessKey: { env: "WRONG" } };
      const found = await finds(
        {
          store: { root: server.root, endpoint, region },
          stores: {
            gone: { root: "s3://no-such-bucket/prefix", endpoint, region },
            locked: { root: server.root, ...wrong },
          },
        },
        { ...keys, WRONG: "lock-picker" },
      );
      expect(found("store")).toMatchObject({ ok: true, detail: server.root });
      expect(found("store gone")).toMatchObject({
        ok: false,
        detail: 's3://no-such-bucket/prefix: There is no bucket "no-such-bucket".',
        fix: "create it, or correct stores.gone.root in the worker's configuration",
      });
      expect(found("store locked")).toMatchObject({
        ok: false,
        fix: expect.stringMatching(/^check the credentials in the worker's configuration/),
      });
    },
  );
});

describe("Code registries in git", () => {
  const ours = (url: string) => ({
    code: { kind: "git", url, username: "towpath", password: { file: "git-token" } },
  });

  test("a registry that does not answer is reported without its password", async () => {
    await using folder = await workerFolder({ registries: ours("http://127.0.0.1:9/flows.git") });
    await writeFile(join(folder.root, "git-token"), "hunter2\n");
    const check = (await look(folder))("registry code");
    expect(check).toMatchObject({
      ok: false,
      detail: expect.stringMatching(/^http:\/\/127\.0\.0\.1:9\/flows\.git cannot be reached \(fatal: /),
      fix: "check the address, the network and HTTPS_PROXY, and the username and password",
    });
    expect(JSON.stringify(check)).not.toContain("hunter2");
  });

  test("the check uses the registry's login, and reports a wrong one", async () => {
    await using server = await startGitServer("towpath:hunter2");
    await using folder = await workerFolder({ registries: ours(server.url) });
    await writeFile(join(folder.root, "git-token"), "hunter2\n");
    expect((await look(folder))("registry code")).toMatchObject({ ok: true });
    await writeFile(join(folder.root, "git-token"), "hunter3\n");
    expect((await look(folder))("registry code")).toMatchObject({
      ok: false,
      fix: expect.stringContaining("the username and password"),
    });
  });

  test("a missing password is reported, and so is a password in the address", async () => {
    const away = await finds({ registries: ours("http://127.0.0.1:9/flows.git") });
    expect(away("registry code")).toMatchObject({
      ok: false,
      detail: expect.stringContaining("git-token"),
      fix: "set it there",
    });
    const open = await finds({
      registries: { code: { kind: "git", url: "http://a:hunter2@127.0.0.1:9/x" } },
    });
    expect(open("registry code")).toMatchObject({
      ok: false,
      detail: "http://a:***@127.0.0.1:9/x contains a login, which the worker refuses",
      fix: "move it to the registry's username and password",
    });
  });

  test("a registry in a folder passes", async () => {
    await using folder = await workerFolder({});
    const bare = join(folder.root, "flows.git");
    for (const path of ["objects", "refs"]) await mkdir(join(bare, path), { recursive: true });
    await writeFile(join(bare, "HEAD"), "ref: refs/heads/main\n");
    const registries = { code: { kind: "git", url: `file://${bare}` } };
    const config = join(folder.root, "worker.json");
    await writeFile(config, JSON.stringify({ ...WHOLE, registries }));
    expect((await look(folder))("registry code")).toMatchObject({ ok: true, detail: registries.code.url });
  });
});

test("a path instead of an address is refused as the worker refuses it, with the address to write", async () => {
  const check = await finds({ registries: { code: { kind: "git", url: "/srv/flows.git" } } });
  expect(check("registry code")).toMatchObject({
    ok: false,
    detail: "/srv/flows.git is not an https://, ssh://, http:// or file:// address, so the worker refuses it",
    fix: "write file:///srv/flows.git",
  });
});

// Only root can give a folder to another user.
test.runIf(process.getuid?.() === 0)("a repository of another user is named, with what to do", async () => {
  await using folder = await workerFolder({});
  const bare = join(folder.root, "flows.git");
  execFileSync("git", ["init", "--quiet", "--bare", bare]);
  await chown(bare, 65534, 65534);
  await using given = await workerFolder({ registries: { code: { kind: "git", url: `file://${bare}` } } });
  expect((await look(given))("registry code")).toMatchObject({
    ok: false,
    detail: expect.stringContaining("belongs to another user, so git does not read it (dubious ownership)"),
    fix: expect.stringContaining("`chown -R`"),
  });
});

/** An empty repository behind a login, as git asks a server of plain files. */
async function startGitServer(login: string) {
  const server = createServer((request, response) => {
    const given = Buffer.from((request.headers.authorization ?? "").replace("Basic ", ""), "base64");
    if (given.toString() !== login)
      return response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end();
    const isHead = request.url?.endsWith("/HEAD");
    return response
      .writeHead(200, { "content-type": "text/plain" })
      .end(isHead ? "ref: refs/heads/main\n" : "");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/flows.git`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test("Commands and Vaults are read as the worker reads them, and no check has a value", async () => {
  await using vault = await new FakeVault().start();
  await vault.put("secret", "towpath", { key: "twp_wkr_from-vault", db: "the-value" });
  const auth = { method: "token", token: { env: "T" } };
  const at = (field: string, more: object = {}) => ({ vault: { path: "towpath", field, ...more } });
  const look = finds(
    {
      key: at("key"),
      vaults: { default: { address: vault.address, ca: "ca.pem", auth } },
      secrets: {
        db: at("db"),
        gone: at("nothing"),
        typo: at("db", { name: "prod" }),
        said: { exec: { command: [process.execPath, "-p", "1"] } },
        fails: { exec: { command: [process.execPath, "-e", "process.exit(4)"] } },
      },
      python: { indexes: { own: { url: "http://127.0.0.1:9", password: at("nothing") } } },
    },
    { T: await vault.token(0) },
    { "ca.pem": vault.authority },
  );
  const found = await look;
  expect(found("key")).toMatchObject({ ok: true, detail: expect.stringContaining('the Vault "default"') });
  expect(found("secret db")).toMatchObject({ ok: true, detail: 'the Vault "default"' });
  expect(found("secret gone")?.detail).toContain("does not have the field");
  expect(found("secret typo")?.detail).toBe('there is no Vault called "prod"; add it under "vaults"');
  expect(found("secret said")).toMatchObject({ ok: true, detail: `the command ${process.execPath}` });
  expect(found("secret fails")?.detail).toContain("ended with code 4");
  expect(found("package index own")?.detail).toContain("its password: It is missing");
  expect(JSON.stringify(await found("secret db"))).not.toContain("the-value");
});

test("The npm registry of a worker must answer, and its login must be there", async () => {
  expect((await finds({}))("npm registry")).toBeUndefined();
  const at = (npm: object) => finds({ npm });
  const down = await at({ registry: "http://127.0.0.1:9/" });
  expect(down("npm registry")).toMatchObject({ ok: false, detail: expect.stringContaining("127.0.0.1:9") });
  const noToken = (await at({ registry: "http://127.0.0.1:9/", token: { env: "UNSET" } }))("npm registry");
  expect(noToken).toMatchObject({ ok: false, fix: "correct npm.token" });
  const server = createServer((_, answer) => answer.end("{}"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const registry = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const found = await at({ registry });
  server.close();
  expect(found("npm registry")).toMatchObject({ ok: true, detail: registry });
  expect(found("npm")).toMatchObject({ ok: true, detail: expect.stringMatching(/^\d+\./) });
  const cached = await at({ registry: "http://127.0.0.1:9/", cache: "npm-cache" });
  expect(cached("npm cache")).toMatchObject({ ok: true });
  expect(cached("npm registry")).toBeUndefined();
});

test("what of a log line leaves the machine is said, and stored lines need a key", async () => {
  const keys = { workspaceKeys: [{ file: "workspace.key" }] };
  const detailOf = async (config: object) => (await finds({ ...config }))("log lines");
  expect(await detailOf({})).toMatchObject({ ok: true, detail: expect.stringContaining("plain text") });
  expect(await detailOf(keys)).toMatchObject({ ok: true, detail: expect.stringContaining("sealed") });
  expect(await detailOf({ ...keys, logs: "stored" })).toMatchObject({
    ok: true,
    detail: expect.stringContaining("stay in the store"),
  });
  expect(await detailOf({ logs: "stored" })).toMatchObject({
    ok: false,
    fix: expect.stringContaining("towpath workspace new-key"),
  });
});
