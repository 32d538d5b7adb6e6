import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ExternalSources } from "../../worker/src/secrets/external.ts";
import { readSecret } from "../../worker/src/secrets/providers.ts";
import { SecretUnavailable } from "../../worker/src/secrets/secret-unavailable.ts";
import { SecretSourceShape, type ShapedVault, VaultShape } from "../../worker/src/secrets/shapes.ts";
import { secretSource } from "../../worker/src/secrets/sources.ts";
import type { TestVault } from "./fake-vault.ts";

/** Reads secrets of a Vault as the worker does, with a clock in hand. */
export class VaultReader {
  nowMs = 1_000_000;
  readonly #folder: string;
  readonly #environment: Record<string, string>;
  readonly #vault: ShapedVault;
  readonly #external: ExternalSources;

  constructor(args: { folder: string; vault: object; environment?: Record<string, string> }) {
    this.#folder = args.folder;
    this.#environment = args.environment ?? {};
    this.#vault = VaultShape.parse(args.vault);
    const clock = { nowMs: () => this.nowMs };
    this.#external = new ExternalSources({ environment: this.#environment, clock });
  }

  async read(at: object, name = 'the secret "db"'): Promise<string> {
    const vault = { field: "password", cacheMs: 1_000, ...at };
    const ground = { folder: this.#folder, vaults: { default: this.#vault } };
    const source = secretSource(SecretSourceShape.parse({ vault }), ground);
    return await readSecret({ environment: this.#environment, external: this.#external }, { name, source });
  }

  async fault(at: object): Promise<SecretUnavailable> {
    const thrown: unknown = await this.read(at).catch((error: unknown) => error);
    if (thrown instanceof SecretUnavailable) return thrown;
    throw new TypeError(`It gave ${typeof thrown} instead of a fault.`, { cause: thrown });
  }
}

/** What a Vault must do for the worker. The fake and a real one pass it. */
export function vaultConformance(title: string, open: () => Promise<TestVault>): void {
  let folder: string;
  let vault: TestVault;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "twp-vault-"));
    vault = await open();
    if (vault.authority !== null) await writeFile(join(folder, "ca.pem"), vault.authority);
    await vault.put("secret", "team/db one", { password: "p4ss-two", port: 5432, empty: "", more: { a: 1 } });
    await vault.put("kv", "team/db", { password: "p4ss-one" });
    await vault.put("secret", "closed/db", { password: "unreachable" });
  });
  afterAll(async () => {
    await vault?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  const reader = (auth: object, environment: Record<string, string> = {}) => {
    const ca = vault.authority === null ? {} : { ca: "ca.pem" };
    return new VaultReader({ folder, vault: { address: vault.address, auth, ...ca }, environment });
  };
  const byToken = async (ttl = 3_600) => {
    const token = await vault.token(ttl);
    return { token, reader: reader({ method: "token", token: { env: "T" } }, { T: token }) };
  };
  const DB = { path: "team/db one" };

  test(`${title}: fields of KV versions 1 and 2 are read, and values that are no text come as JSON`, async () => {
    const { reader } = await byToken();
    expect(await reader.read(DB)).toBe("p4ss-two");
    expect(await reader.read({ ...DB, field: "port" })).toBe("5432");
    expect(await reader.read({ ...DB, field: "more" })).toBe('{"a":1}');
    expect(await reader.read({ path: "team/db", mount: "kv", kv: 1 })).toBe("p4ss-one");
  });

  test(`${title}: a secret, version or field that does not exist is missing`, async () => {
    await vault.put("secret", "gone", { password: "deleted" });
    await vault.remove("gone");
    const { reader } = await byToken();
    for (const at of [
      { path: "nothing" },
      { path: "gone" },
      { ...DB, field: "nothing" },
      { ...DB, field: "toString" },
      { ...DB, field: "empty" },
      { path: "nothing", mount: "kv", kv: 1 },
    ]) {
      const fault = await reader.fault(at);
      expect(fault).toMatchObject({ isMissing: true, isPassing: false });
      expect(fault.message).toMatch(/^The secret "db" is missing: the Vault "default" does not have the/);
    }
  });

  test(`${title}: a path that the policy closes is refused, and may pass`, async () => {
    const { reader } = await byToken();
    const fault = await reader.fault({ path: "closed/db" });
    expect(fault).toMatchObject({ isMissing: false, isPassing: true });
    expect(fault.message).toContain("does not let the worker read it (status 403). Give the worker's policy");
  });

  test(`${title}: an unknown token is refused, and is in no message`, async () => {
    const unknown = reader({ method: "token", token: { env: "T" } }, { T: "hvs.unknown" });
    const fault = await unknown.fault(DB);
    expect(fault.message).toContain("refused the login of the worker (method token, status 403)");
    expect(fault.message).not.toContain("hvs.unknown");
    expect(fault).toMatchObject({ isMissing: false, isPassing: true });
  });

  test(`${title}: a token file that is written anew replaces a token that was revoked`, async () => {
    const file = join(folder, "token");
    const first = await vault.token(3_600);
    await writeFile(file, `${first}\n`);
    const ofFile = reader({ method: "token", token: { file: "token" } });
    expect(await ofFile.read(DB)).toBe("p4ss-two");
    await vault.revoke(first);
    ofFile.nowMs += 10_000;
    expect((await ofFile.fault(DB)).message).toContain("status 403");
    await writeFile(file, await vault.token(3_600));
    ofFile.nowMs += 10_000;
    expect(await ofFile.read(DB)).toBe("p4ss-two");
  });

  test(`${title}: AppRole logs in, and again when its token was revoked`, async () => {
    const { roleId, secretId } = await vault.appRole();
    const auth = { method: "approle", roleId: { env: "ROLE" }, secretId: { env: "SECRET" } };
    const role = reader(auth, { ROLE: roleId, SECRET: secretId });
    expect(await role.read(DB)).toBe("p4ss-two");
    await vault.rotateSecretIds();
    role.nowMs += 2_000;
    // Its token goes on.
    expect(await role.read(DB)).toBe("p4ss-two");
    const stranger = reader(auth, { ROLE: roleId, SECRET: "secret-of-nobody" });
    const fault = await stranger.fault(DB);
    expect(fault.message).toContain("refused the login of the worker (method approle");
    expect(fault.message).not.toContain("secret-of-nobody");
    expect(fault).toMatchObject({ isMissing: false, isPassing: true });
  });

  test(`${title}: a token is renewed before its time ends`, async () => {
    const { token, reader } = await byToken(600);
    expect(await reader.read(DB)).toBe("p4ss-two");
    reader.nowMs += 590_000;
    expect(await reader.read(DB)).toBe("p4ss-two");
    expect(await vault.wasRenewed(token)).toBe(true);
    reader.nowMs += 590_000;
    expect(await reader.read(DB)).toBe("p4ss-two");
  });

  test(`${title}: a service account of Kubernetes logs in`, async () => {
    await writeFile(join(folder, "service-account"), vault.serviceAccountToken);
    const token = { file: "service-account" };
    const account = reader({ method: "kubernetes", role: "worker", token });
    expect(await account.read(DB)).toBe("p4ss-two");
    const stranger = reader({ method: "kubernetes", role: "other", token });
    expect((await stranger.fault(DB)).message).toContain(
      "refused the login of the worker (method kubernetes",
    );
  });
}
