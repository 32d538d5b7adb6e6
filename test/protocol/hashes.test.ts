import { createHash } from "node:crypto";
import { Ref } from "@towpath/contract";
import { roundedSize } from "@towpath/contract/words";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { type Content, hashesOf, PLAIN_HASHES } from "../../sdk/flow/src/store/hashes.ts";
import { memoryObjects } from "../../sdk/flow/src/store/memory-store.ts";
import { padded, unpadded } from "../../sdk/flow/src/store/padding.ts";
import { storeOver } from "../../sdk/flow/src/store/store.ts";
import { hashInput } from "../../sdk/flow/src/task/input-hash.ts";
import { derivedKey, keyId } from "../../worker/src/store/keyring.ts";
import { RefSigner } from "../../worker/src/store/sign-refs.ts";
import { engineVectors } from "./vector.ts";

const hashed = { keyed: z.string(), older: z.string(), plain: z.string() };
const told = engineVectors("hashes", {
  keys: z.array(z.string()),
  inputs: z.array(z.strictObject({ arguments: z.string(), ...hashed })),
  names: z.array(z.strictObject({ text: z.string(), ...hashed })),
  contents: z.array(
    z.strictObject({
      codec: z.string(),
      text: z.string(),
      sizeBytes: z.int(),
      isPadded: z.boolean(),
      ...hashed,
    }),
  ),
  sizes: z.array(z.strictObject({ bytes: z.int(), rounded: z.int() })),
});

const [first = "", second = ""] = told.keys;
const kinds = { keyed: hashesOf(told.keys), older: hashesOf([second]), plain: PLAIN_HASHES };
const KINDS = ["keyed", "older", "plain"] as const;
const sha256 = (content: string | Uint8Array) => createHash("sha256").update(content).digest("hex");

describe("hashes with keys", () => {
  test.each(told.inputs)("of an input: $arguments", ({ arguments: text, ...hashes }) => {
    const args = z.array(z.unknown()).parse(JSON.parse(text));
    for (const kind of KINDS) expect(hashInput({ what: "t", hashes: kinds[kind] }, args)).toBe(hashes[kind]);
  });

  test.each(told.names)("of a name: $text", ({ text, ...hashes }) => {
    for (const kind of KINDS) expect(kinds[kind].name(text)).toBe(hashes[kind]);
  });

  test.each(told.contents)("of a content: $codec $text", (one) => {
    const { codec, sizeBytes, isPadded, text } = one;
    const content: Content = { codec, sizeBytes, isPadded, sha256: sha256(text) };
    for (const kind of KINDS) expect(kinds[kind].content(content)).toBe(one[kind]);
    const ref = (hash: string) => ({ uri: "s3://b/x", codec, sizeBytes, sha256: hash });
    expect(kinds.keyed.isContent(ref(one.keyed), content)).toBe(true);
    expect(kinds.keyed.isContent(ref(one.older), content), "by an older key").toBe(true);
    expect(kinds.older.isContent(ref(one.keyed), content), "by a key that is gone").toBe(false);
    expect(kinds.keyed.isContent(ref(one.plain), content), "without a key").toBe(false);
    expect(kinds.keyed.isContent({ ...ref(one.keyed), codec: "bytes" }, content)).toBe(false);
    expect(kinds.keyed.isContent({ ...ref(one.keyed), sizeBytes: 1 + sizeBytes }, content)).toBe(false);
    expect(kinds.keyed.isContent(ref(one.keyed), { ...content, isPadded: !isPadded })).toBe(false);
  });

  test.each(told.sizes)("round $bytes bytes up", ({ bytes, rounded }) => {
    expect(roundedSize(bytes)).toBe(rounded);
    expect(roundedSize(rounded)).toBe(rounded);
  });
});

const derived = engineVectors("store-keys", {
  secret: z.string(),
  workspaceId: z.string(),
  id: z.string(),
  hashKey: z.string(),
  refKey: z.string(),
  refs: z.array(z.strictObject({ owner: z.array(z.string().nullable()), ...Ref.shape, signed: z.string() })),
  plain: z.strictObject({ codec: z.string(), sizeBytes: z.int(), sha256: z.string(), content: z.string() }),
});

describe("a worker's keys", () => {
  const { workspaceId } = derived;
  const key = { id: derived.id, secret: Buffer.from(derived.secret), sinceMs: 0 };
  const refs = new RefSigner([key], { workspaceId });

  test("are derived from the store's key", () => {
    expect(keyId(key.secret)).toBe(derived.id);
    expect(derivedKey(key, "hash", workspaceId).toString("base64url")).toBe(derived.hashKey);
    expect(derivedKey(key, "ref", workspaceId).toString("base64url")).toBe(derived.refKey);
  });

  test.each(derived.refs)("sign a ref of $owner", ({ owner, signed, ...ref }) => {
    expect(refs.signed(ref, owner as never)).toEqual({ ...ref, sha256: signed });
    expect(refs.checked({ ...ref, sha256: signed }, owner as never)).toEqual(ref);
  });

  test("hash what a client without keys has hashed", () => {
    const { content, ...plain } = derived.plain;
    const [own] = [hashesOf([derived.hashKey])];
    expect(refs.signed({ uri: "s3://x/y", ...plain }, ["run", "r"]).sha256.slice(0, 32)).toBe(content);
    expect(own.content({ ...plain, isPadded: false }).slice(0, 32)).toBe(content);
  });
});

describe("a store with keys", () => {
  const place = { runId: "r1", attempt: 1, task: "load:a", name: "result" };
  const objects = memoryObjects();
  const storeOf = (keys: readonly string[], roundSizes = false) =>
    storeOver(objects, { hashes: hashesOf(keys), roundSizes });

  test("has no hash of a value alone in a ref, in a pack or under a name", async () => {
    const store = storeOf(told.keys);
    const saved = [
      await store.save(place, 42),
      await store.saveAs({ name: "cache/a/b", value: 42, savedAt: "", runId: "" }),
    ];
    const all = await Promise.all([41, 42].map((n) => store.save({ ...place, name: `n${n}` }, n)));
    for (const ref of [...saved, ...all])
      for (const guess of [41, 42])
        expect(JSON.stringify(ref)).not.toContain(sha256(String(guess)).slice(0, 8));
    expect(await store.load(saved[0] as never)).toBe(42);
  });

  test("reads values of older keys, and none of a key that is gone or of no key", async () => {
    const ref = await storeOf([second]).save(place, "x");
    expect(await storeOf([first, second]).load(ref)).toBe("x");
    await expect(storeOf([first]).load(ref)).rejects.toThrow("not the saved one");
    await expect(storeOf([]).load(ref)).rejects.toThrow("not the saved one");
    const plain = await storeOf([]).save(place, "x");
    await expect(storeOf([first, second]).load(plain)).rejects.toThrow("not the saved one");
  });

  test("tells little by rounded sizes, and reads both forms", async () => {
    for (const value of ["", "x", "y".repeat(1015), "z".repeat(5_000), padded(Buffer.from("inner"))]) {
      const refs = await Promise.all(
        [true, false].map((rounds) => storeOf(told.keys, rounds).save(place, value)),
      );
      expect(refs[0]?.sizeBytes).toBe(roundedSize(value.length + 8));
      for (const ref of refs)
        for (const rounds of [true, false])
          expect(await storeOf(told.keys, rounds).load(ref)).toEqual(
            typeof value === "string" ? value : new Uint8Array(value),
          );
    }
  });

  test("cuts a pack that padding makes too large", async () => {
    const store = storeOf(told.keys, true);
    const bytes = new Uint8Array(1_180_000);
    const values = Array.from({ length: 7 }, (_, n) => ({
      bytes,
      codec: "bytes" as const,
      sha256: sha256(bytes),
      folder: "runs/r1/attempt-1",
      stem: `runs/r1/attempt-1/v${n}`,
    }));
    const refs = await store.saveTogether(values);
    expect(new Set(refs.map(({ uri }) => uri.split("#")[0])).size).toBeGreaterThan(1);
    for (const ref of refs) expect(Buffer.compare((await store.load(ref)) as Uint8Array, bytes)).toBe(0);
  });
});

test("padding is undone only where it was made", () => {
  const made = padded(Buffer.from("a"));
  expect(unpadded(made)).toEqual(Uint8Array.of(97));
  const others = [new Uint8Array(), new Uint8Array(7), new Uint8Array(1024).fill(255), made.subarray(1)];
  for (const bytes of others) expect(unpadded(bytes)).toBeNull();
});
