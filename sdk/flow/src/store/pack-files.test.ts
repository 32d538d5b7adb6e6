import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fileObjects } from "./file-store.ts";
import { PACK_BYTES_MAX } from "./packs.ts";
import { encodeAt, storeOver } from "./store.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "towpath-packs-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const encodedOf = (n: number | string, attempt = 1) =>
  encodeAt({ runId: "r", attempt, task: `t:${n}`, name: "result" }, { n });

async function packsOf(root: string, attempt = 1): Promise<string[]> {
  return await readdir(join(root, `runs/r/attempt-${attempt}/packs`));
}

test("small values that come one by one go into one growing file, and each can be loaded at once", async () => {
  const root = join(folder, "series");
  const store = storeOver(fileObjects(pathToFileURL(root).href));
  for (let n = 0; n < 50; n++) {
    const [ref] = await store.saveTogether([encodedOf(n)]);
    expect(ref && (await store.load(ref))).toEqual({ n });
  }
  expect(await packsOf(root)).toHaveLength(1);
  const other = storeOver(fileObjects(pathToFileURL(root).href));
  const [ref] = await other.saveTogether([encodedOf("from another process")]);
  expect(ref && (await store.load(ref))).toEqual({ n: "from another process" });
  expect(await packsOf(root)).toHaveLength(2);
});

test("appends that overlap keep apart; attempts and full packs have files of their own", async () => {
  const root = join(folder, "overlap");
  const store = storeOver(fileObjects(pathToFileURL(root).href));
  const saved = await Promise.all(
    Array.from({ length: 40 }, (_, n) => store.saveTogether([encodedOf(n, 1 + (n % 2))])),
  );
  await Promise.all([store.sync(), store.sync()]);
  const loaded = await Promise.all(saved.map(([ref]) => ref && store.load(ref)));
  expect(loaded).toEqual(Array.from({ length: 40 }, (_, n) => ({ n })));
  const large = "x".repeat(200_000);
  for (let n = 0; n * large.length < PACK_BYTES_MAX * 1.5; n++)
    await store.saveTogether([encodedOf(large + n, 3)]);
  expect(await packsOf(root, 3)).toHaveLength(2);
});
