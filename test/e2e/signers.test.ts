import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from "jose";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startProcess, startStack, type TestProcess } from "../harness/index.ts";
import { CLI, cleanEnv } from "../harness/stack.ts";
import { deployProject } from "./fixture.ts";

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
export default defineConfig({
  project: "signers",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment({ name: "echo", command: ["true"] })],
});
`;
const LEDGER = "towpath.ledger.jsonl";
const SIGN = `
import { createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";
const key = createPrivateKey({ key: JSON.parse(readFileSync(process.argv[2], "utf8")), format: "jwk" });
process.stdout.write(sign(null, readFileSync(0), key).toString("base64"));
`;

let stack: Stack;
let home: string;
let worker: TestProcess;
let first: string;

const trustFile = () => join(stack.folder, "keys/signing.trust.json");
const signing = (...args: string[]) => stack.towpath(["key", "signing", ...args]);
const kidNow = async () =>
  JSON.parse(await readFile(join(stack.folder, "keys/signing.jwk"), "utf8")).kid as string;
const echo = async () => await stack.waitForRun(await stack.run("echo"));
const latest = async () => (await stack.client.getDeployment({ params: { name: "echo" } })).latest;

beforeAll(async () => {
  stack = await startStack();
  home = await deployProject(stack, { "towpath.config.ts": CONFIG });
  first = await kidNow();
  expect((await signing("rotate")).code).toBe(0);
  worker = await stack.startWorker({ settings: { trustedKeys: [{ file: trustFile() }], ledger: home } });
});
afterAll(() => stack?.[Symbol.asyncDispose]());

test("A version expires after 90 days, and a renewal in time signs the same code again", async () => {
  const { version, expiresAt, code } = await latest();
  expect((Date.parse(expiresAt ?? "") - Date.now()) / 86_400_000).toBeCloseTo(90, 0);
  const early = await stack.towpath(["deploy", "--renew", "--project", home]);
  expect(early.output).toContain("Nothing expires soon.");
  const planned = await stack.towpath(["deploy", "--renew", "91", "--plan", "--project", home]);
  expect(planned.output).toContain("would register");
  expect((await latest()).version).toBe(version);
  const renewed = await stack.towpath(["deploy", "--renew", "91", "--project", home]);
  expect(renewed.code, renewed.output).toBe(0);
  const now = await latest();
  expect(now).toMatchObject({ version: version + 1, code });
  expect(Date.parse(now.expiresAt ?? "")).toBeGreaterThan(Date.parse(expiresAt ?? ""));
  expect((await echo()).state).toBe("completed");
  const unchanged = await stack.towpath(["deploy", "--project", home]);
  expect(unchanged.output).toMatch(/echo +2 +unchanged/);
});

test("A rotation in two steps interrupts nothing, and a renewal signs with the new key", async () => {
  const finished = await signing("rotate", "--finish");
  expect(finished.code, finished.output).toBe(0);
  const second = await kidNow();
  expect(second).not.toBe(first);
  expect((await echo()).state).toBe("completed");
  const renewed = await stack.towpath(["deploy", "--renew", "--project", home]);
  expect(renewed.code, renewed.output).toBe(0);
  expect(await latest()).toMatchObject({ version: 3, keyId: second });
  expect((await echo()).state).toBe("completed");
  expect((await signing("rotate", "--finish")).output).toContain("No rotation has begun");
});

test("A revoked key ends on a running worker", async () => {
  const revoked = await signing("revoke", first.slice(0, 10));
  expect(revoked.code, revoked.output).toBe(0);
  expect((await signing("show")).output).toMatch(new RegExp(`${first} +revoked`));
  const sql = postgres(stack.databaseUrl, { max: 1 });
  try {
    await sql`update deployment set latest_version = 2`;
    const run = await echo();
    expect(run).toMatchObject({ version: 2, cause: "refused" });
    expect(run.error?.message).toContain("has been revoked");
  } finally {
    await sql`update deployment set latest_version = 3`;
    await sql.end();
  }
  expect((await echo()).state).toBe("completed");
});

test("A signed spec without a line in the ledger waits for it", async () => {
  const other = await stack.project({
    "towpath.config.ts": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))).replace(
      '"true"',
      '"echo"',
    ),
  });
  const deployed = await stack.towpath(["deploy", "--project", other]);
  expect(deployed.code, deployed.output).toBe(0);
  const waiting = await stack.run("echo");
  const why = async () => (await stack.towpath(["why", waiting])).output.replaceAll(/\s+/g, " ");
  await expect.poll(why, { timeout: 60_000 }).toContain('Version 4 of "echo" waits for its line');
  expect(await why()).toContain("Commit towpath.ledger.jsonl");
  expect((await stack.towpath(["runs", "cancel", waiting])).code).toBe(0);
  expect(await stack.waitForRun(waiting)).toMatchObject({ version: 4, state: "cancelled" });
  const behind = await stack.towpath(["deploy", "--project", home]);
  expect(behind.output).toContain("git pull");
  const accepted = await stack.towpath(["deploy", "--accept-gap", "--project", home]);
  expect(accepted.code, accepted.output).toBe(0);
  expect(await echo()).toMatchObject({ version: 5, state: "completed" });
});

test("A deployment that two people sign runs with the second signature, which a key service may make", async () => {
  worker.kill("SIGTERM");
  await worker.exited;
  const { privateKey, publicKey } = await generateKeyPair("EdDSA", { extractable: true });
  const open = await exportJWK(publicKey);
  const jwk = { ...open, kid: await calculateJwkThumbprint(open) };
  const at = (name: string) => join(stack.folder, name);
  await writeFile(at("second.jwk"), JSON.stringify(await exportJWK(privateKey)));
  await writeFile(at("sign.mjs"), SIGN);
  const command = [process.execPath, at("sign.mjs"), at("second.jwk")];
  await writeFile(at("service.jwk"), JSON.stringify({ ...jwk, command }));
  const trust = JSON.parse(await readFile(trustFile(), "utf8"));
  await writeFile(trustFile(), JSON.stringify({ keys: [...trust.keys, jwk] }));
  const settings = {
    trustedKeys: [{ file: trustFile() }],
    ledger: join(home, LEDGER),
    signatures: { echo: 2 },
  };
  await using strict = await stack.startWorker({ name: "strict", settings });
  const waiting = await stack.run("echo");
  const why = async () => (await stack.towpath(["why", waiting])).output.replaceAll(/\s+/g, " ");
  await expect.poll(why, { timeout: 60_000 }).toContain('Version 5 of "echo" waits for a further signature');
  expect(await why()).toContain("towpath deployments sign echo 5");
  const sign = async (env: NodeJS.ProcessEnv) => {
    const token = (await readFile(at("control/admin.key"), "utf8")).trim();
    const args = ["deployments", "sign", "echo", "5", "--yes", "--project", home];
    await using cli = startProcess({
      command: process.execPath,
      args: [CLI, ...args, "--state", stack.folder, "--url", stack.url, "--key", token],
      cwd: stack.folder,
      env: cleanEnv(env),
    });
    return { code: await cli.exited, output: cli.output() };
  };
  expect((await sign({})).output).toContain("has signed v5");
  const signed = await sign({ TOWPATH_SIGNING_KEY_FILE: at("service.jwk") });
  expect(signed.code, signed.output).toBe(0);
  expect((await sign({ TOWPATH_SIGNING_KEY_FILE: at("service.jwk") })).output).toContain(
    "Nothing was changed",
  );
  const cli =
    (env: NodeJS.ProcessEnv) =>
    async (...args: string[]) => {
      await using rotate = startProcess({
        command: process.execPath,
        args: [CLI, "key", "signing", "rotate", ...args, "--state", stack.folder],
        cwd: stack.folder,
        env: cleanEnv(env),
      });
      return { code: await rotate.exited, output: rotate.output() };
    };
  const rotate = cli({ TOWPATH_SIGNING_KEY_FILE: at("service.jwk") });
  expect((await rotate()).output).toContain("rotate --next FILE");
  expect((await rotate("--next", "service.jwk")).output).toContain("signs already");
  const began = await rotate("--next", "third.jwk");
  expect(began.code, began.output).toBe(0);
  const third = JSON.parse(await readFile(at("third.jwk"), "utf8"));
  expect(began.output).toContain(`the next signing key is ${third.kid}`);
  const finished = await rotate("--finish", "--overlap", "30", "--next", "third.jwk");
  expect(finished.output).toContain(`let TOWPATH_SIGNING_KEY_FILE name ${at("third.jwk")}`);
  const { keys }: { keys: { kid: string; notAfter?: string }[] } = JSON.parse(
    await readFile(trustFile(), "utf8"),
  );
  const ends = keys.find(({ kid }) => kid === jwk.kid)?.notAfter ?? "";
  expect((Date.parse(ends) - Date.now()) / 86_400_000).toBeCloseTo(30, 0);
  expect(keys.find(({ kid }) => kid === third.kid)).not.toHaveProperty("notAfter");

  expect(await echo()).toMatchObject({ version: 5, state: "completed" });
  expect(await stack.waitForRun(waiting)).toMatchObject({ version: 5, state: "completed" });
  expect((await stack.towpath(["ledger", "verify", "--project", home])).code).toBe(0);
  strict.kill("SIGTERM");
  await strict.exited;
});
