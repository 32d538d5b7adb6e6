import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Assignment, SPEC_TYP, Spec, uuidv7 } from "@towpath/contract";
import { CheckPool } from "@towpath/contract/bounded";
import { nextLine, parseLedger, payloadHash } from "@towpath/contract/ledger";
import fc from "fast-check";
import { CompactSign, type CryptoKey, exportJWK, generateKeyPair } from "jose";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  openFloors,
  openLedger,
  openTrustedKeys,
  Refusal,
  type RefusalCode,
  type Trust,
  verifyAssignment,
} from "./index.ts";

const NOW = Date.parse("2026-06-01T00:00:00.000Z");
const workspaceId = uuidv7(NOW);
const log = { error: () => {}, info: () => {} };
let dir: string;
let key: CryptoKey;
let trust: Trust;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "twp-trust-"));
  const pair = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  key = pair.privateKey;
  const { x = "" } = await exportJWK(pair.publicKey);
  trust = {
    keys: await openTrustedKeys([{ kty: "OKP", crv: "Ed25519", x, kid: "mine" }], { log, changed: () => {} }),
    signatures: {},
    ledger: null,
    pool: "local",
    registries: { code: { kind: "oci-layout", path: "/nowhere" } },
    floors: await openFloors(join(dir, "floors.json")),
    workspace: undefined,
    leastVersions: {},
    clock: { nowMs: () => NOW },
    verified: new Map(),
    keyring: null,
    checks: new CheckPool(),
  };
});
afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

function specOf(more: object = {}) {
  return {
    format: 1,
    workspaceId,
    deployment: "train",
    version: 3,
    floor: 1,
    issuedAt: new Date(NOW).toISOString(),
    expiresAt: null,
    code: { kind: "oci-layout", registry: "code", digest: `sha256:${"a".repeat(64)}` },
    entry: { kind: "command", argv: ["true"] },
    pools: ["local"],
    parameters: { type: "object", properties: { depth: { type: "integer" } }, additionalProperties: false },
    ...more,
  };
}

async function sign(payload: string, header: object = {}, by = key): Promise<string> {
  return await new CompactSign(new TextEncoder().encode(payload))
    .setProtectedHeader({ alg: "EdDSA", typ: SPEC_TYP, kid: "mine", ...header })
    .sign(by);
}

function assignmentOf(spec: string, more: Partial<Assignment> = {}): Assignment {
  return {
    attemptId: uuidv7(NOW),
    epoch: 1,
    nonce: "0123456789abcdef",
    runId: uuidv7(NOW),
    ordinal: 1,
    deployment: "train",
    version: 3,
    spec,
    parameters: { depth: 4 },
    trigger: { kind: "person", name: "me" },
    scheduledAt: new Date(NOW).toISOString(),
    leaseMs: 15_000,
    endsInMs: null,
    ...more,
  };
}

async function refusalOf(spec: string, more: Partial<Assignment> = {}): Promise<RefusalCode | "verified"> {
  try {
    await verifyAssignment(trust, { assignment: assignmentOf(spec, more), workspaceId });
    return "verified";
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

test("the result is the signed payload, with its defaults", async () => {
  const spec = await sign(JSON.stringify(specOf()));
  const verified = await verifyAssignment(trust, { assignment: assignmentOf(spec), workspaceId });
  expect(verified).toEqual(Spec.parse(specOf()));
});

test("code that was signed for one stage never runs as another, or as the deployment without a stage", async () => {
  const signed = async (stage: string | null) => await sign(JSON.stringify(specOf({ stage })));
  expect(await refusalOf(await signed("test"), { deployment: "train@prod" })).toBe("wrong-deployment");
  expect(await refusalOf(await signed("test"), { deployment: "train" })).toBe("wrong-deployment");
  expect(await refusalOf(await signed(null), { deployment: "train@prod" })).toBe("wrong-deployment");
  expect(await refusalOf(await signed("prod"), { deployment: "train@prod" })).toBe("verified");
  expect(await refusalOf(await sign(JSON.stringify(specOf({ deployment: "train@prod" }))))).toBe(
    "invalid-spec",
  );
});

test("each stage has a floor of its own", async () => {
  const signed = async (stage: string, floor: number) => await sign(JSON.stringify(specOf({ stage, floor })));
  expect(await refusalOf(await signed("test", 3), { deployment: "train@test" })).toBe("verified");
  const old = await sign(JSON.stringify(specOf({ stage: "test", version: 2 })));
  expect(await refusalOf(old, { deployment: "train@test", version: 2 })).toBe("below-floor");
  const prod = await sign(JSON.stringify(specOf({ stage: "prod", version: 2 })));
  expect(await refusalOf(prod, { deployment: "train@prod", version: 2 })).toBe("verified");
});

test("the worker's own configuration names its workspace, whatever the control plane says", async () => {
  const spec = await sign(JSON.stringify(specOf()));
  trust = { ...trust, workspace: workspaceId };
  expect(await refusalOf(spec)).toBe("verified");
  trust = { ...trust, workspace: uuidv7(NOW + 1) };
  expect(await refusalOf(spec)).toBe("wrong-workspace");
});

test("a floor of the worker's own configuration holds in a new state directory", async () => {
  const spec = await sign(JSON.stringify(specOf()));
  trust = { ...trust, leastVersions: { train: 4, other: 9 } };
  expect(await refusalOf(spec)).toBe("below-floor");
  trust = { ...trust, leastVersions: { train: 3 } };
  expect(await refusalOf(spec)).toBe("verified");
});

test("each disagreement is refused with its own code", async () => {
  const refused = async (more: object) => await refusalOf(await sign(JSON.stringify(specOf(more))));
  expect(await refused({ workspaceId: uuidv7(NOW) })).toBe("wrong-workspace");
  expect(await refused({ deployment: "other" })).toBe("wrong-deployment");
  expect(await refused({ version: 4 })).toBe("wrong-version");
  expect(await refused({ pools: ["gpu"] })).toBe("wrong-pool");
  expect(await refused({ expiresAt: new Date(NOW).toISOString() })).toBe("expired-spec");
  expect(await refused({ floor: 4 })).toBe("below-floor");
  expect(await refused({ code: { kind: "git", registry: "code", digest: "a".repeat(40) } })).toBe(
    "registry-not-allowed",
  );
  expect(
    await refused({
      code: { kind: "oci-layout", registry: "constructor", digest: `sha256:${"a".repeat(64)}` },
    }),
  ).toBe("registry-not-allowed");
  expect(await refused({ surprise: 1 })).toBe("invalid-spec");
  expect(await refusalOf(await sign("not json"))).toBe("invalid-spec");
});

test("one task of a run is taken where the signed spec lets that task run, and needs no parameters", async () => {
  const sha256 = "b".repeat(64);
  const input = { uri: "file:///store/input", codec: "typed", sizeBytes: 1, sha256 } as const;
  const of = (name: string): Partial<Assignment> => ({
    parameters: { any: "thing" },
    trigger: { kind: "run", runId: uuidv7(NOW), path: name, task: { name, input, retries: 0 } },
  });
  const signed = async (more: object) => await sign(JSON.stringify(specOf(more)));
  const elsewhere = await signed({
    pools: ["main"],
    remoteTasks: { train: { pools: ["local"] }, score: { pools: ["gpu"] } },
  });
  const taken = await verifyAssignment(trust, {
    assignment: assignmentOf(elsewhere, of("train")),
    workspaceId,
  });
  expect(taken.remoteTasks.train?.pools).toEqual(["local"]);
  expect(await refusalOf(elsewhere)).toBe("wrong-pool");
  expect(await refusalOf(elsewhere, of("score"))).toBe("wrong-pool");
  expect(await refusalOf(elsewhere, of("constructor"))).toBe("wrong-task");
  expect(await refusalOf(await signed({}), of("train"))).toBe("wrong-task");
});

test("parameters are checked against the signed schema, and a refusal does not quote them", async () => {
  const spec = await sign(JSON.stringify(specOf()));
  expect(await refusalOf(spec, { parameters: { depth: "deep" } })).toBe("invalid-parameters");
  const assignment = assignmentOf(spec, { parameters: { dept: "hush" } });
  await expect(verifyAssignment(trust, { assignment, workspaceId })).rejects.toThrow(/did you mean "depth"/);
  await expect(verifyAssignment(trust, { assignment, workspaceId })).rejects.not.toThrow(/hush/);
});

test("another key, another algorithm, another type and no signature are all refused", async () => {
  const payload = JSON.stringify(specOf());
  const other = await generateKeyPair("EdDSA", { crv: "Ed25519" });
  expect(await refusalOf(await sign(payload, {}, other.privateKey))).toBe("bad-signature");
  expect(await refusalOf(await sign(payload, { kid: "theirs" }))).toBe("untrusted-key");
  expect(await refusalOf(await sign(payload, { typ: "JWT" }))).toBe("bad-signature");
  const header = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const body = Buffer.from(payload).toString("base64url");
  const none = `${header({ alg: "none", typ: SPEC_TYP, kid: "mine" })}.${body}.AA`;
  expect(await refusalOf(none)).toBe("bad-signature");
  const hmac = `${header({ alg: "HS256", typ: SPEC_TYP, kid: "mine" })}.${body}.AA`;
  expect(await refusalOf(hmac)).toBe("bad-signature");
});

test("no changed byte of a signed spec passes", async () => {
  const spec = await sign(JSON.stringify(specOf()));
  await fc.assert(
    fc.asyncProperty(fc.nat(spec.length - 1), fc.constantFrom("A", "b", "_", "9"), async (at, char) => {
      const changed = spec.slice(0, at) + char + spec.slice(at + 1);
      // The last character of the signature has bits that are not read.
      fc.pre(changed !== spec && at !== spec.length - 1);
      expect(await refusalOf(changed)).not.toBe("verified");
    }),
    { numRuns: 150 },
  );
});

test("the highest floor seen is remembered, also by the next process", async () => {
  expect(await refusalOf(await sign(JSON.stringify(specOf({ version: 5, floor: 4 }))), { version: 5 })).toBe(
    "verified",
  );
  const old = await sign(JSON.stringify(specOf()));
  expect(await refusalOf(old)).toBe("below-floor");
  trust = { ...trust, floors: await openFloors(join(dir, "floors.json")) };
  expect(await refusalOf(old)).toBe("below-floor");
});

test("a floor that could not be written is written with the next one", async () => {
  const [path, workspace] = [join(dir, "floors.json"), { workspaceId, deployment: "example" }];
  await mkdir(`${path}.next`);
  await expect(trust.floors.raise({ ...workspace, floor: 7 })).rejects.toThrow();
  await rm(`${path}.next`, { recursive: true });
  await trust.floors.raise({ ...workspace, floor: 2 });
  expect((await openFloors(path)).current(workspaceId, "example")).toBe(7);
});

test("a spec that was not verified raises no floor", async () => {
  const other = await generateKeyPair("EdDSA", { crv: "Ed25519" });
  await refusalOf(await sign(JSON.stringify(specOf({ version: 9, floor: 9 })), {}, other.privateKey), {
    version: 9,
  });
  expect(await refusalOf(await sign(JSON.stringify(specOf())))).toBe("verified");
});

test("a damaged file of floors does not count as an empty one", async () => {
  await writeFile(join(dir, "floors.json"), "{");
  await expect(openFloors(join(dir, "floors.json"))).rejects.toThrow("is damaged");
});

/** A key with a name, as JWKs. */
async function keyPair(kid: string) {
  const pair = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const { x = "" } = await exportJWK(pair.publicKey);
  return { key: pair.privateKey, jwk: { kty: "OKP", crv: "Ed25519", x, kid } as const };
}

test("a trust file with several keys is read again when it changes: a revoked key ends, also for verified specs", async () => {
  const [old, fresh] = [await keyPair("old"), await keyPair("fresh")];
  const file = join(dir, "trust.json");
  const write = async (...keys: object[]) => await writeFile(file, JSON.stringify({ keys }));
  const verified: Trust["verified"] = new Map();
  await write(old.jwk, fresh.jwk);
  const keys = await openTrustedKeys([{ file }], { log, changed: () => verified.clear() });
  trust = { ...trust, keys, verified };
  const bySpec = async (by: typeof old) => await sign(JSON.stringify(specOf()), { kid: by.jwk.kid }, by.key);
  const [first, second] = [await bySpec(old), await bySpec(fresh)];
  expect(await refusalOf(first)).toBe("verified");
  expect(await refusalOf(second)).toBe("verified");
  await write({ ...old.jwk, revokedAt: new Date(NOW).toISOString() }, fresh.jwk);
  expect(await refusalOf(first)).toBe("revoked-key");
  expect(await refusalOf(second)).toBe("verified");
  await write({ ...old.jwk, notAfter: new Date(NOW).toISOString() }, fresh.jwk);
  expect(await refusalOf(first)).toBe("key-not-valid");
  await write({ ...old.jwk, notBefore: new Date(NOW + 1).toISOString() }, fresh.jwk);
  expect(await refusalOf(first)).toBe("key-not-valid");
  await write(fresh.jwk);
  expect(await refusalOf(first)).toBe("untrusted-key");
  // A file that cannot be used does not bring the revoked key back, and does not end the others.
  await writeFile(file, "{");
  expect(await refusalOf(first)).toBe("untrusted-key");
  expect(await refusalOf(second)).toBe("verified");
  // The same name for another key: what was verified before is verified again.
  await write({ ...old.jwk, kid: "fresh" });
  expect(await refusalOf(second)).toBe("bad-signature");
});

const detached = (jws: string) => jws.replace(/\.[^.]*\./, "..");

/** A ledger with the line of a spec and further signatures. */
async function ledgerWith(jws: string, ...signatures: string[]) {
  const file = join(dir, "towpath.ledger.jsonl");
  const spec = payloadHash(jws) ?? "";
  const shared = { deployment: "train", workspace: workspaceId, version: 3, spec, keyId: "any" };
  const at = new Date(NOW).toISOString();
  const lines = [
    { ...shared, floor: 1, floorBy: "runs", expiresAt: null, expiresBy: "project", code: "c", at } as const,
    ...signatures.map((signature) => ({ ...shared, kind: "signature", signature, at }) as const),
  ];
  const text = lines.reduce((before, one) => `${before}${nextLine(parseLedger(before), one)}\n`, "");
  await writeFile(file, text);
  return { file, text };
}

const open = async () => await openLedger({ path: dir, heads: join(dir, "heads.json"), log });

test("a worker with the ledger runs only what stands in it, and reads new lines without a restart", async () => {
  const [known, stranger] = [
    await sign(JSON.stringify(specOf())),
    await sign(JSON.stringify(specOf({ env: { A: "1" } }))),
  ];
  const { file, text } = await ledgerWith(known);
  trust = { ...trust, ledger: await open() };
  expect(await refusalOf(known)).toBe("verified");
  expect(await refusalOf(stranger)).toBe("other-in-ledger");
  const entry = { ...parseLedger(text).lines[0]?.entry, spec: payloadHash(stranger) ?? "" };
  await writeFile(file, `${text}${nextLine(parseLedger(text), entry as never)}\n`);
  expect(await refusalOf(stranger)).toBe("verified");
});

test("a version without a line waits for it; a version whose line has another spec is refused", async () => {
  await ledgerWith(await sign(JSON.stringify(specOf())));
  trust = { ...trust, ledger: await open() };
  const refusal = async (more: { version?: number; env?: object }) => {
    const assignment = assignmentOf(await sign(JSON.stringify(specOf(more))), { version: more.version ?? 3 });
    return await verifyAssignment(trust, { assignment, workspaceId }).catch((error: unknown) => error);
  };
  expect(await refusal({ version: 4 })).toMatchObject({ code: "not-in-ledger", mayPass: true });
  expect(await refusal({ env: { A: "1" } })).toMatchObject({ code: "other-in-ledger", mayPass: false });
});

test("a ledger that lost lines is not used: neither by a running worker nor by the next start", async () => {
  const spec = await sign(JSON.stringify(specOf()));
  const { file, text } = await ledgerWith(spec, detached(spec));
  trust = { ...trust, ledger: await open() };
  const [first = ""] = text.split("\n");
  await writeFile(file, `${first}\n`);
  expect(await refusalOf(spec)).toBe("verified");
  await expect(open()).rejects.toThrow("lacks the line");
  await writeFile(file, text.replace("train", "trian"));
  await expect(open()).rejects.toThrow("cannot be used: Line 2");
  await rm(file);
  await expect(open()).rejects.toThrow("It cannot be read");
});

test("a deployment that two people must sign needs two keys, and one key does not count twice", async () => {
  const [other, third] = [await keyPair("other"), await keyPair("third")];
  const { x = "" } = await exportJWK(key);
  const mine = { kty: "OKP", crv: "Ed25519", x, kid: "mine" } as const;
  const keys = await openTrustedKeys([mine, other.jwk, { ...mine, kid: "mine-again" }], {
    log,
    changed: () => {},
  });
  trust = { ...trust, keys, signatures: { train: 2, lonely: 1 } };
  const payload = JSON.stringify(specOf());
  const spec = await sign(payload);
  const by = async (kid: string, signer: CryptoKey) => detached(await sign(payload, { kid }, signer));
  const refusedWith = async (...signatures: string[]) => {
    await rm(join(dir, "heads.json"), { force: true });
    await ledgerWith(spec, ...signatures);
    trust = { ...trust, ledger: await open() };
    return await refusalOf(spec);
  };
  expect(await refusalOf(spec)).toBe("missing-signature");
  expect(await refusedWith()).toBe("missing-signature");
  expect(await refusedWith(await by("mine", key))).toBe("missing-signature");
  expect(await refusedWith(await by("mine-again", key))).toBe("missing-signature");
  expect(await refusedWith(await by("third", third.key))).toBe("missing-signature");
  expect(await refusedWith(await by("other", third.key))).toBe("missing-signature");
  const elsewhere = detached(
    await sign(JSON.stringify(specOf({ env: { A: "1" } })), { kid: "other" }, other.key),
  );
  expect(await refusedWith(elsewhere)).toBe("missing-signature");
  expect(await refusedWith(await by("other", other.key))).toBe("verified");
});
