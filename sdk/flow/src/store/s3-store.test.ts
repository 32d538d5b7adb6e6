import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findVersitygw, type S3Server, startS3 } from "../../../../test/harness/index.ts";
import { StoreFault } from "../problem.ts";
import { s3Objects } from "./s3-store.ts";
import { encodeAt, storeOver, type ValueLocation } from "./store.ts";

const program = findVersitygw();
const place: ValueLocation = {
  runId: "r1",
  attempt: 1,
  task: "clean:aa#2/odd + name%/~'(x)*",
  name: "mödel",
};

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of items) found.push(item);
  return found;
}

describe.skipIf(program === undefined)("a store in a bucket", () => {
  let server: S3Server;
  beforeAll(async () => {
    server = await startS3(program ?? "");
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  const objects = (over: Partial<S3Server["access"]> = {}) =>
    s3Objects(server.root, { ...server.access, ...over });

  test("answers what was saved, under names of any kind, and nothing that was changed", async () => {
    const store = storeOver(objects());
    const ref = await store.save(place, { a: [1, "ü"] });
    expect(ref.uri).toMatch(/^s3:\/\/values\/of\/tests\/runs\/r1\/attempt-1\//);
    expect(await store.load(ref)).toEqual({ a: [1, "ü"] });
    expect(await store.save(place, { a: [1, "ü"] })).toEqual(ref);
    await expect(store.load({ ...ref, sha256: "0".repeat(64) })).rejects.toBeInstanceOf(StoreFault);
    expect(await store.has(ref)).toBe(true);
    expect(await store.has({ ...ref, sizeBytes: 3 })).toBe(false);
    expect(await store.has({ ...ref, uri: `${ref.uri}x` })).toBe(false);
    await expect(store.has({ ...ref, uri: "s3://other/x" })).rejects.toThrow(/outside/);
    await expect(store.load({ ...ref, sizeBytes: 3 })).rejects.toThrow(/larger/);
    await expect(store.load({ ...ref, uri: `${ref.uri}x` })).rejects.toThrow(/no value at/);
  });

  test("keeps many values in one object, and takes them from it", async () => {
    const store = storeOver(objects());
    const values = Array.from({ length: 500 }, (_, n) => encodeAt({ ...place, task: `n:${n}` }, { n }));
    const refs = await store.saveTogether(values);
    expect(new Set(refs.map(({ uri }) => uri.split("#")[0])).size).toBe(1);
    expect(await Promise.all(refs.slice(0, 20).map((ref) => store.load(ref)))).toEqual(
      Array.from({ length: 20 }, (_, n) => ({ n })),
    );
  });

  test("carries bytes of some megabytes", async () => {
    const bytes = new Uint8Array(9_000_000).map((_, index) => index % 251);
    const store = storeOver(objects());
    expect(await store.load(await store.save(place, bytes))).toEqual(bytes);
  });

  test("lists and removes what is in a folder, page by page", async () => {
    const paths = Array.from({ length: 1_020 }, (_, n) => `runs/many/part-${n}.txt`);
    const here = objects();
    for (let at = 0; at < paths.length; at += 50)
      await Promise.all(paths.slice(at, at + 50).map((path) => here.write(path, new Uint8Array([1]))));
    await here.write("runs/many-others/x & y.txt", new Uint8Array([1, 2]));
    const listed = await all(here.list("runs/many"));
    expect(listed.map(({ path }) => path).sort()).toEqual([...paths].sort());
    const others = await all(here.list("runs/many-others"));
    expect(others).toEqual([
      { path: "runs/many-others/x & y.txt", sizeBytes: 2, modifiedAtMs: expect.any(Number) },
    ]);
    await here.remove(paths);
    expect(await all(here.list("runs/many"))).toEqual([]);
    expect(await all(here.list("runs/many-others"))).toHaveLength(1);
  });

  test("loads nothing from outside of its prefix, whatever the address says", async () => {
    const elsewhere = storeOver(s3Objects("s3://values/other", server.access));
    const ref = await elsewhere.save(place, "secret");
    const here = storeOver(objects());
    const path = ref.uri.slice("s3://values/other/".length);
    for (const uri of [
      ref.uri,
      `s3://values/of/tests/../../other/${path}`,
      `file:///etc/passwd`,
      "https://example.org/",
    ])
      await expect(here.load({ ...ref, uri })).rejects.toThrow(/outside of the store/);
  });

  test("a wrong key, a missing bucket and a server that does not answer are reported with the next step", async () => {
    const save = (made: ReturnType<typeof objects>) => storeOver(made).save(place, 1);
    await expect(save(objects({ secretAccessKey: "wrong" }))).rejects.toThrow(
      /refused PUT.*Check the credentials/s,
    );
    await expect(save(s3Objects("s3://no-such-bucket/x", server.access))).rejects.toThrow(
      /no bucket "no-such-bucket"/,
    );
    await expect(save(objects({ endpoint: "http://127.0.0.1:1" }))).rejects.toThrow(
      /does not answer.*Check its endpoint/s,
    );
  });
});
