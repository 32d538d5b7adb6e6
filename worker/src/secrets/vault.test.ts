import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeVault, startConnectProxy } from "../../../test/harness/index.ts";
import { VaultReader, vaultConformance } from "../../../test/harness/vault-conformance.ts";

vaultConformance("the fake", async () => await new FakeVault().start());

const DB = { path: "db" };
let folder: string;
let vault: FakeVault;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "twp-vault-"));
  vault = await new FakeVault().start();
  await writeFile(join(folder, "ca.pem"), vault.authority);
  await vault.put("secret", "db", { password: "p4ssword" });
});
afterEach(async () => {
  await vault[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function reader(more: object = {}, environment: Record<string, string> = {}): Promise<VaultReader> {
  const auth = { method: "token", token: { env: "T" } };
  const settings = { address: vault.address, auth, ca: "ca.pem", ...more };
  const given = { T: await vault.token(0), ...environment };
  return new VaultReader({ folder, vault: settings, environment: given });
}

describe("a Vault that gives nothing now is a fault that may pass", () => {
  test.each([
    [503, "is sealed or not ready (status 503). Unseal it."],
    [500, "answered with status 500"],
    [429, "answered with status 429"],
    [307, "redirects to another address, which the worker does not follow"],
    [200, "gave no secret (status 200)"],
  ])("status %i", async (status, said) => {
    const one = await reader();
    expect(await one.read(DB)).toBe("p4ssword");
    vault.instead = (_, answer) =>
      answer.writeHead(status, { location: "https://127.0.0.1:9/v1/secret/data/db" }).end("no JSON");
    one.nowMs += 2_000;
    const fault = await one.fault(DB);
    expect(fault).toMatchObject({ isPassing: true, isMissing: false });
    expect(fault.message).toContain(said);
    expect(fault.message).not.toContain("127.0.0.1");
  });

  test("it is down, and is asked again a few seconds later", async () => {
    const one = await reader();
    const { port } = vault;
    expect(await one.read(DB)).toBe("p4ssword");
    await vault[Symbol.asyncDispose]();
    one.nowMs += 2_000;
    const fault = await one.fault(DB);
    expect(fault).toMatchObject({ isPassing: true, isMissing: false });
    expect(fault.message).toContain(
      'The secret "db" cannot be read: the Vault "default" did not answer (ECONNREFUSED)',
    );
    const again = await new FakeVault().start(port);
    await writeFile(join(folder, "ca.pem"), again.authority);
    await again.put("secret", "other", { password: "other" });
    again.tokens.set("hvs.fake-1", { ttl: 0, renewals: 0 });
    // Another secret of a Vault that is down is not tried.
    expect((await one.fault({ path: "other" })).message).toContain("ECONNREFUSED");
    expect(again.asked).toEqual([]);
    one.nowMs += 10_000;
    expect(await one.read({ path: "other" })).toBe("other");
    await again[Symbol.asyncDispose]();
  });

  test("it does not answer in time", async () => {
    const one = await reader({ timeoutMs: 100 });
    vault.instead = () => {};
    expect((await one.fault(DB)).message).toContain("did not answer within 100 ms");
  });

  test("its answer is too long", async () => {
    const one = await reader();
    vault.instead = (_, answer) => void answer.end("x".repeat(2 * 1024 * 1024 + 1));
    expect((await one.fault(DB)).message).toContain("longer than");
  });
});

test("an unknown authority is named, and so is one that cannot be read", async () => {
  const unknown = (await (await reader({ ca: undefined })).fault(DB)).message;
  expect(unknown).toContain("does not trust the authority");
  expect(unknown).toContain("Set vaults.default.ca to its authority's certificate");
  expect((await (await reader({ ca: "nothing.pem" })).fault(DB)).message).toContain(
    "Check the path in vaults.default.ca",
  );
});

test("requests name the namespace", async () => {
  vault.namespace = "team-a";
  expect(await (await reader({ namespace: "team-a" })).read(DB)).toBe("p4ssword");
});

test("a Vault is reached through the worker's proxy", async () => {
  await using proxy = await startConnectProxy(() => vault.port);
  const one = await reader({ address: "https://127.0.0.1:1" }, { HTTPS_PROXY: proxy.url });
  // This machine is never reached through a proxy.
  expect((await one.fault(DB)).message).toContain("ECONNREFUSED");
  const far = await reader({ address: "https://vault.example" }, { HTTPS_PROXY: proxy.url });
  expect((await far.fault(DB)).message).toContain("its certificate is for another host name");
  expect(proxy.asked).toEqual(["vault.example:443"]);
});

test("a value is kept for its time and asked for once by callers at once", async () => {
  const one = await reader();
  const reads = () => vault.asked.filter((call) => call.includes("/secret/data/")).length;
  expect(await Promise.all([one.read(DB), one.read(DB)])).toEqual(["p4ssword", "p4ssword"]);
  await vault.put("secret", "db", { password: "rotated" });
  one.nowMs += 999;
  expect([await one.read(DB), reads()]).toEqual(["p4ssword", 1]);
  one.nowMs += 1;
  expect([await one.read(DB), reads()]).toEqual(["rotated", 2]);
});

test("a missing credential of the Vault is no missing secret", async () => {
  const one = new VaultReader({
    folder,
    vault: { address: vault.address, ca: "ca.pem", auth: { method: "token", token: { env: "UNSET" } } },
  });
  const fault = await one.fault(DB);
  expect(fault).toMatchObject({ isMissing: false, isPassing: true });
  expect(fault.message).toContain("set the variable UNSET");
});
