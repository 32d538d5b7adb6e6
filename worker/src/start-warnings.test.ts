import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startWarnings } from "./start-warnings.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";
import { WorkerProcesses } from "./testing/worker-process.fixture.ts";

const processes = new WorkerProcesses();
let testEnv: WorkerTestEnv;
beforeAll(async () => {
  testEnv = await WorkerTestEnv.open();
});
afterAll(async () => {
  await processes.end();
  await testEnv.close();
});

const LOCAL = { url: "http://127.0.0.1:4200", key: { env: "KEY" } };
const NOTHING = { secrets: {}, registries: {}, stores: {}, environment: {} };

test.each([
  ["http://towpath.example.com", 1],
  ["http://10.1.2.3:4200/", 1],
  ["http://127.0.0.1.example.com", 1],
  ["https://towpath.example.com", 0],
  ["http://127.0.0.1:4200", 0],
  ["http://localhost:4200", 0],
  ["http://[::1]:4200", 0],
])("an address that is not encrypted is warned of beyond this machine: %s", async (url, count) => {
  const store = { root: pathToFileURL(testEnv.dir).href, s3: null };
  const warnings = await startWarnings({ ...NOTHING, store, url, key: { env: "KEY" } });
  expect(warnings.filter((text) => text.includes(`${url} is not encrypted`))).toHaveLength(count);
});

test.each([
  [0o644, 1],
  [0o640, 1],
  [0o620, 1],
  [0o600, 0],
  [0o400, 0],
])("a key file that others can read or change is warned of: mode %o", async (mode, count) => {
  const file = join(testEnv.dir, `mode-${mode}.key`);
  await writeFile(file, "twp_wkr_x");
  await chmod(file, mode);
  const store = { root: pathToFileURL(testEnv.dir).href, s3: null };
  const warnings = await startWarnings({ ...NOTHING, ...LOCAL, store, key: { file } });
  expect(warnings.filter((text) => text.includes(`chmod 600 ${file}`))).toHaveLength(count);
});

test("a worker sends nothing of a secret that is no worker key", async () => {
  await writeFile(join(testEnv.dir, "id.pem"), "-----BEGIN PRIVATE KEY-----");
  const before = testEnv.plane.sessions.length;
  const worker = await processes.start(testEnv, { key: { file: "id.pem" } });
  expect(await worker.exited).toBe(1);
  expect(worker.output()).toContain("does not contain a worker key");
  expect(testEnv.plane.sessions).toHaveLength(before);
});

const git = {
  kind: "git",
  url: "https://git.example.com/flows.git",
  username: undefined,
  password: undefined,
};

test("everything configured but missing is reported at once", async () => {
  await writeFile(join(testEnv.dir, "no-folder"), "");
  const warnings = await startWarnings({
    ...LOCAL,
    secrets: {
      db: { env: "DB_PASSWORD" },
      token: { file: "/nowhere/token" },
      there: { env: "THERE" },
      pin: { env: "PIN" },
    },
    registries: {
      code: { kind: "oci-layout", path: join(testEnv.dir, "unmounted") },
      flows: { ...git, kind: "git" as const },
    },
    store: { root: pathToFileURL(join(testEnv.dir, "no-folder", "store")).href, s3: null },
    stores: {},
    environment: { THERE: "long enough", PIN: "123", PATH: testEnv.dir },
  });
  expect(warnings).toEqual([
    expect.stringMatching(/secret "db" .*DB_PASSWORD/),
    expect.stringMatching(/secret "token" .*\/nowhere\/token/),
    expect.stringMatching(/secret "pin" is shorter than 4 characters.*longer value/),
    expect.stringMatching(/registry "code" does not exist yet: .*unmounted/),
    expect.stringMatching(/registry "flows" needs git/),
    expect.stringMatching(/store .* cannot be written/),
  ]);
});

test("a login of a code registry that others on the network can read is warned of", async () => {
  const password = { env: "NAME" };
  const oci = { kind: "oci", username: "me", password } as const;
  const registries = {
    open: { ...oci, url: "http://registry.internal/flows" },
    here: { ...oci, url: "http://127.0.0.1:5000/flows" },
    closed: { ...oci, url: "https://registry.internal/flows" },
    anonymous: { kind: "archive", url: "http://files.internal/flows" },
  } as const;
  const store = { root: pathToFileURL(join(testEnv.dir, "store")).href, s3: null };
  const rest = { ...LOCAL, secrets: {}, stores: {}, environment: {} };
  expect(await startWarnings({ ...rest, registries, store })).toEqual([
    expect.stringMatching(/registry "open" is not encrypted.*https:/),
  ]);
});

test("what exists causes no warning, nor a store that will be made", async () => {
  const root = pathToFileURL(join(testEnv.dir, "later", "store")).href;
  const registries = { here: { kind: "oci-layout", path: testEnv.dir } } as const;
  const rest = { ...LOCAL, secrets: {}, stores: {}, environment: {} };
  expect(await startWarnings({ ...rest, registries, store: { root, s3: null } })).toEqual([]);
});

test("a key of a store that is missing or too short is warned of, with its setting", async () => {
  const short = join(testEnv.dir, "short.key");
  await writeFile(short, "short");
  const good = join(testEnv.dir, "good.key");
  await writeFile(good, "g".repeat(32));
  const storeWith = (...files: string[]) => ({
    root: pathToFileURL(testEnv.dir).href,
    s3: null,
    keys: files.map((file) => ({ file })),
  });
  const missing = join(testEnv.dir, "missing.key");
  const stores = { lake: storeWith(short) };
  const warnings = await startWarnings({ ...NOTHING, ...LOCAL, stores, store: storeWith(good, missing) });
  expect(warnings).toEqual([
    expect.stringMatching(
      /missing\.key.* It is in "store\.keys"\. Runs that use this store wait until then\.$/,
    ),
    expect.stringMatching(/shorter than 32 bytes.* It is in "stores\.lake\.keys"\./),
  ]);
  expect(await startWarnings({ ...NOTHING, ...LOCAL, store: storeWith(good) })).toEqual([]);
});

test("a worker warns before its first claim, and serves all the same", async () => {
  const worker = await processes.start(testEnv, { secrets: { db: { env: "NO_SUCH_VARIABLE" } } });
  await testEnv.plane.until("it polls", () => testEnv.plane.claims.length > 0);
  const lines = worker.output().split("\n");
  const at = (text: string) => lines.findIndex((line) => line.includes(text));
  expect(at("NO_SUCH_VARIABLE")).toBeGreaterThanOrEqual(0);
  expect(at("NO_SUCH_VARIABLE")).toBeLessThan(at("ready: polling for work"));
  worker.child.kill("SIGTERM");
  expect(await worker.exited).toBe(0);
});

test("why a worker ends is one sentence with the next step, and one line for programs", async () => {
  await writeFile(join(testEnv.dir, "other.key"), "twp_wkr_wrong");
  const worker = await processes.start(testEnv, { key: { file: "other.key" }, logLevel: "info" });
  expect(await worker.exited).toBe(1);
  const said = worker.output();
  expect(said.match(/refuses this worker/g)).toHaveLength(2);
  expect(said).toMatch(/^towpath: .*towpath key create NAME --worker --pool local/m);
  expect(said).toContain('{"fatal":{"code":"unauthenticated"');
  expect(said).not.toMatch(/^ +at /m);
});

test("a private signing key beside the trusted keys or in the home folder is warned of, and a public one is not", async () => {
  const dir = join(testEnv.dir, "signing");
  const home = join(testEnv.dir, "home");
  await mkdir(join(home, ".towpath", "keys"), { recursive: true });
  await mkdir(dir);
  const jwk = { kty: "OKP", crv: "Ed25519", x: "x", kid: "k" };
  const store = { root: pathToFileURL(testEnv.dir).href, s3: null };
  const warned = async (more: object = {}) => {
    const trustSources = [{ file: join(dir, "signing.pub.jwk") }];
    const warnings = await startWarnings({
      ...NOTHING,
      ...LOCAL,
      store,
      trustSources,
      environment: { HOME: home },
      ...more,
    });
    return warnings.filter((text) => text.includes("private signing key"));
  };
  await writeFile(join(dir, "signing.jwk"), JSON.stringify(jwk));
  expect(await warned()).toEqual([]);
  await writeFile(join(dir, "signing.jwk"), JSON.stringify({ ...jwk, d: "secret-part" }));
  await writeFile(
    join(home, ".towpath", "keys", "signing.jwk"),
    JSON.stringify({ ...jwk, d: "secret-part" }),
  );
  const found = await warned();
  expect(found).toHaveLength(2);
  expect(found.join()).toContain(join(dir, "signing.jwk"));
  expect(found.join()).toContain("Move it to the machine that deploys.");
  expect(found.join()).not.toContain("secret-part");
  expect(await warned({ startedBy: "towpath dev" })).toEqual([]);
});
