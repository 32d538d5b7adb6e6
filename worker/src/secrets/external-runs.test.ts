import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FakeVault } from "../../../test/harness/index.ts";
import { WorkerTestEnv } from "../testing/test-env.fixture.ts";

let testEnv: WorkerTestEnv;
let vault: FakeVault;
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
  vault = await new FakeVault().start();
  await writeFile(join(testEnv.dir, "ca.pem"), vault.authority);
  await writeFile(join(testEnv.dir, "vault-token"), await vault.token(0));
});
afterEach(async () => {
  await testEnv.close();
  await vault[Symbol.asyncDispose]();
});

const auth = { method: "token" as const, token: { file: "vault-token" } };
const secretIn = (path: string) => ({ vault: { path, field: "value", cacheMs: 1_000 } });

test("the worker's key, a secret of a Vault and a secret of a command reach a run, and no log line has a value", async () => {
  await vault.put("secret", "db", { value: "from-the-vault" });
  await vault.put("secret", "worker", { value: testEnv.plane.key });
  const command = [process.execPath, "-p", '"from-the-command"'];
  await testEnv.start({
    vaults: { default: { address: vault.address, ca: "ca.pem", auth } },
    key: secretIn("worker"),
    secrets: { db: secretIn("db"), token: { exec: { command } } },
  });
  const code = "for (const one of Object.values(context.secrets)) await gateway.log(one.length + ':' + one);";
  const spec = await testEnv.deployFlow(code, { secrets: [{ name: "db" }, { name: "token" }] });
  const attempt = testEnv.plane.submit(spec);
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  const logged = JSON.stringify(attempt.bulk);
  expect(logged).toContain("14:[secret:db]");
  expect(logged).toContain("16:[secret:token]");
  for (const value of [
    "from-the-vault",
    "from-the-command",
    await readFile(join(testEnv.dir, "vault-token"), "utf8"),
  ])
    expect(testEnv.plane.received + testEnv.logged.join("")).not.toContain(value);
});

test("while a Vault is down, its runs are given back without a verdict, other runs go on, and it stays reported", async () => {
  await vault.put("secret", "db", { value: "from-the-vault" });
  const { port } = vault;
  await vault[Symbol.asyncDispose]();
  await testEnv.start({
    vaults: { default: { address: `https://127.0.0.1:${port}`, ca: "ca.pem", auth } },
    secrets: { db: secretIn("db") },
    breakerFailures: 2,
  });
  const needing = await testEnv.deployFlow("", { secrets: [{ name: "db" }] });
  for (const _ of [1, 2, 3]) {
    const attempt = testEnv.plane.submit(needing);
    await testEnv.plane.until("it was given back", () => attempt.control.length > 0);
    const reason = expect.stringMatching(
      /^The secret "db" cannot be read: the Vault "default" did not answer/,
    );
    expect(attempt.control).toMatchObject([{ type: "released", reason }]);
    expect(attempt.control[0]).not.toHaveProperty("code");
    expect(JSON.stringify(attempt.control)).not.toContain(String(port));
  }
  const other = testEnv.plane.submit(await testEnv.deployFlow(""));
  expect(await testEnv.plane.untilEnded(other)).toMatchObject({ outcome: "completed" });
  expect(testEnv.plane.sessions.at(-1)?.secrets).toEqual(["db"]);
});

test("a field that a Vault does not have is a missing secret", async () => {
  await testEnv.start({
    vaults: { default: { address: vault.address, ca: "ca.pem", auth } },
    secrets: { db: secretIn("nothing") },
  });
  const attempt = testEnv.plane.submit(await testEnv.deployFlow("", { secrets: [{ name: "db" }] }));
  await testEnv.plane.until("it was given back", () => attempt.control.length > 0);
  expect(attempt.control).toMatchObject([{ type: "released", code: "secret-missing" }]);
  expect(testEnv.plane.sessions.at(-1)?.secrets).toEqual([]);
});

test("a worker whose key is in a Vault that is down waits for it", async () => {
  await vault.put("secret", "worker", { value: testEnv.plane.key });
  const token = await readFile(join(testEnv.dir, "vault-token"), "utf8");
  await rm(join(testEnv.dir, "vault-token"));
  const worker = await testEnv.begin({
    vaults: { default: { address: vault.address, ca: "ca.pem", auth } },
    key: secretIn("worker"),
    logLevel: "warn",
  });
  await expect
    .poll(() => testEnv.logged.join(""))
    .toContain("The worker's key cannot be read: the worker cannot log in to the Vault");
  await writeFile(join(testEnv.dir, "vault-token"), token);
  await worker.ready;
  expect(testEnv.plane.sessions).toHaveLength(1);
});
