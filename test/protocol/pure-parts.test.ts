import { mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { isRef, parseDuration } from "@towpath/contract/words";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { TaskCache } from "../../sdk/flow/src/cache/task-cache.ts";
import { drawOf, randomOf, uuidOf } from "../../sdk/flow/src/keep/alike.ts";
import { StoreFault, TaskIdentityUnknown } from "../../sdk/flow/src/problem.ts";
import { decode, encodeAs } from "../../sdk/flow/src/store/codec.ts";
import { fileStore } from "../../sdk/flow/src/store/file-store.ts";
import { PLAIN_HASHES } from "../../sdk/flow/src/store/hashes.ts";
import { findNamed } from "../../sdk/flow/src/store/named.ts";
import { encodeAt, pathOf, safePart } from "../../sdk/flow/src/store/store.ts";
import { fromTypedJson, toTypedJson } from "../../sdk/flow/src/store/typed-json.ts";
import { type CallKind, CallLedger, keptPath, mappedPath } from "../../sdk/flow/src/task/identity.ts";
import { hashInput } from "../../sdk/flow/src/task/input-hash.ts";
import { retryDelay } from "../../sdk/flow/src/task/retry.ts";
import { engineVectors } from "./vector.ts";

const Kind = z.enum(["task", "flow", "value", "wait", "run"] satisfies CallKind[]);
const hashOf = (value: unknown) => hashInput({ what: "t", hashes: PLAIN_HASHES }, [value]);

/** Expects a path, or a refusal where the vectors have null. */
function expectPath(made: () => string, path: string | null): void {
  if (path === null) expect(made).toThrow(TaskIdentityUnknown);
  else expect(made()).toBe(path);
}

const paths = engineVectors("paths", {
  calls: z.array(
    z.strictObject({
      name: z.string(),
      parent: z.string(),
      call: z.strictObject({ kind: Kind, name: z.string(), key: z.string().optional() }),
      path: z.string().nullable(),
    }),
  ),
  kept: z.array(z.strictObject({ parent: z.string(), name: z.string(), path: z.string().nullable() })),
  mapped: z.array(
    z.strictObject({
      map: z.string(),
      index: z.int(),
      key: z.string().nullable(),
      ordinal: z.int(),
      path: z.string().nullable(),
    }),
  ),
});

describe("paths", () => {
  test.each(paths.calls)("of a call: $name", ({ parent, call: { kind, name, key }, path }) => {
    const callKey = key === undefined ? ({ kind: "none" } as const) : ({ kind: "given", key } as const);
    expectPath(() => new CallLedger(parent).name(name, callKey, kind).path, path);
  });
  test.each(paths.kept)("of a kept value: $path", ({ parent, name, path }) =>
    expectPath(() => keptPath(parent, { name, hashes: PLAIN_HASHES }), path),
  );
  test.each(paths.mapped)("of a call of a map: $path", ({ map, path, ...child }) =>
    expectPath(() => mappedPath(map, { ...child, hashes: PLAIN_HASHES }), path),
  );
});

const draws = engineVectors("draws", {
  cases: z.array(
    z.strictObject({ origin: z.string(), path: z.string(), random: z.number(), uuid: z.string() }),
  ),
});

test.each(draws.cases)("the draws at $path", ({ origin, path, random, uuid }) => {
  const draw = drawOf(origin, path);
  expect([randomOf(draw), uuidOf(draw)]).toEqual([random, uuid]);
});

const delays = engineVectors("retry-delays", {
  cases: z.array(
    z.strictObject({
      name: z.string(),
      tries: z.int(),
      random: z.number(),
      delayMs: z.union([z.number(), z.array(z.number())]).optional(),
      jitter: z.number().optional(),
      ms: z.number(),
    }),
  ),
});

test.each(delays.cases)("the delay of a retry: $name", ({ tries, random, delayMs, jitter, ms }) => {
  const options = {
    ...(delayMs !== undefined && { retryDelayMs: delayMs }),
    ...(jitter !== undefined && { retryJitter: jitter }),
  };
  expect(retryDelay(options, { tries, error: new Error("any"), random: () => random })).toBe(ms);
});

const durations = engineVectors("durations", {
  cases: z.array(z.strictObject({ text: z.string(), ms: z.number().nullable() })),
});

test.each(durations.cases)('the duration "$text"', ({ text, ms }) => expect(parseDuration(text)).toBe(ms));

const refs = engineVectors("refs", {
  cases: z.array(z.strictObject({ name: z.string(), text: z.string(), isRef: z.boolean() })),
});

test.each(refs.cases)("what is a ref: $name", ({ text, isRef: is }) => {
  const value: unknown = JSON.parse(text);
  expect(typeof value === "object" && value !== null && isRef(value)).toBe(is);
});

const Place = z.strictObject({ runId: z.string(), attempt: z.int(), task: z.string(), name: z.string() });
const places = engineVectors("places", {
  parts: z.array(z.strictObject({ name: z.string(), part: z.string() })),
  values: z.array(z.strictObject({ place: Place, text: z.string(), path: z.string() })),
});

test.each(places.parts)("the part of a path for $name", ({ name, part }) =>
  expect(safePart(name)).toBe(part),
);
test.each(places.values)("the path of a value: $path", ({ place, text, path }) =>
  expect(pathOf(encodeAt(place, text, "exact"))).toBe(path),
);

const Text = { name: z.string(), text: z.string().optional(), textHex: z.string().optional() };
const typed = engineVectors("typed-json", {
  reads: z.array(
    z.strictObject({
      ...Text,
      bytes: z.string().optional(),
      hash: z.string().optional(),
      hashes: z.strictObject({ typescript: z.string().nullable(), python: z.string().nullable() }).optional(),
      codec: z.string().optional(),
    }),
  ),
  refused: z.array(z.strictObject({ ...Text, bytes: z.string().optional() })),
});

function bytesOf({ text = "", textHex, bytes }: (typeof typed.refused)[number]): Uint8Array {
  const head = textHex === undefined ? Buffer.from(text) : Buffer.from(textHex, "hex");
  return bytes === undefined ? head : Buffer.concat([head, new Uint8Array(1), Buffer.from(bytes, "hex")]);
}

describe("typed JSON", () => {
  test.each(typed.reads)("reads $name, and writes it so that it is read as the same", (one) => {
    const { hash = one.hashes?.typescript ?? null, codec } = one;
    if (hash === null) return expect(() => fromTypedJson(bytesOf(one))).toThrow(StoreFault);
    const value = fromTypedJson(bytesOf(one));
    expect(hashOf(value)).toBe(hash);
    expect(hashOf(fromTypedJson(toTypedJson(value, "v")))).toBe(hash);
    const encoded = encodeAs(value, { codec: "exact", name: "v" });
    if (codec !== undefined) expect(encoded.codec).toBe(codec);
    expect(hashOf(decode(encoded.bytes, { codec: encoded.codec, uri: "v" }))).toBe(hash);
  });

  test.each(typed.refused)("refuses $name", (one) => {
    expect(() => decode(bytesOf(one), { codec: "typed", uri: "v" })).toThrow(StoreFault);
  });
});

const packs = engineVectors("packs", {
  file: z.string(),
  bytes: z.string(),
  loads: z.array(
    z.strictObject({
      name: z.string(),
      uri: z.string(),
      codec: z.string(),
      sizeBytes: z.int(),
      sha256: z.string(),
      hash: z.string().nullable(),
    }),
  ),
});

test.each(packs.loads)("a value in a pack: $name", async ({ name: _name, hash, ...ref }) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "towpath-packs-"));
  const path = join(folder.path, packs.file);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, Buffer.from(packs.bytes, "hex"));
  const root = pathToFileURL(folder.path).href;
  const loading = fileStore(root).load({ ...ref, uri: `${root}/${ref.uri}` });
  if (hash === null) await expect(loading).rejects.toThrow(StoreFault);
  else expect(hashOf(await loading)).toBe(hash);
});

const cache = engineVectors("cache", {
  names: z.array(
    z.strictObject({
      name: z.string(),
      task: z.string(),
      deployment: z.string(),
      by: z.array(z.union([z.enum(["input", "code"]), z.strictObject({ key: z.string() })])),
      arguments: z.string(),
      codeVersion: z.string(),
      entry: z.string(),
    }),
  ),
  entries: z.array(z.strictObject({ name: z.string(), text: z.string(), isRead: z.boolean() })),
});

describe("the cache", () => {
  test.each(cache.names)("names the result of a call: $name", async (one) => {
    const asked: string[] = [];
    const find = async (name: string) => {
      asked.push(name);
      return null;
    };
    const host = { facts: { deployment: one.deployment }, store: { find, hashes: PLAIN_HASHES } };
    const by = one.by.map((part) => (typeof part === "string" ? part : () => part.key));
    const args = fromTypedJson(Buffer.from(one.arguments));
    const call: never = {
      options: { name: one.task, cache: { by } },
      args,
      scope: { run: { host } },
    } as never;
    await new TaskCache(call, () => one.codeVersion).find();
    expect(asked).toEqual([one.entry]);
  });

  test.each(cache.entries)("reads an entry: $name", async ({ text, isRead }) => {
    const objects: never = { uriOf: (path: string) => path, read: async () => Buffer.from(text) } as never;
    expect((await findNamed(objects, "name")) !== null).toBe(isRead);
  });
});
