import { mkdtemp, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fileObjects } from "./file-store.ts";
import type { Objects } from "./objects.ts";
import { pruneStore } from "./prune.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "towpath-prune-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const NOW_MS = Date.UTC(2026, 5, 1);
const DAY_MS = 24 * 3_600_000;

/** Writes an object as if that many days ago. */
async function kept(objects: Objects, path: string, daysAgo: number): Promise<void> {
  const file = fileURLToPath(await objects.write(path, new Uint8Array(10)));
  const at = new Date(NOW_MS - daysAgo * DAY_MS);
  await utimes(file, at, at);
}

async function pathsIn(objects: Objects): Promise<string[]> {
  const paths: string[] = [];
  for await (const { path } of objects.list("")) paths.push(path);
  return paths.sort();
}

async function storeWith(name: string) {
  const root = join(folder, name);
  const objects = fileObjects(pathToFileURL(root).href);
  await kept(objects, "runs/old/attempt-1/a.json", 50);
  await kept(objects, "runs/old/attempt-1/packs/b.pack", 40);
  await kept(objects, "runs/resumed/attempt-1/a.json", 50);
  await kept(objects, "runs/resumed/attempt-2/a.json", 1);
  await kept(objects, "runs/new/attempt-1/a.json", 2);
  await kept(objects, "cache/double/old.json", 50);
  await kept(objects, "cache/double/new.json", 2);
  await writeFile(join(root, "note.txt"), "not ours");
  return { root, objects };
}

const beforeMs = NOW_MS - 30 * DAY_MS;

test("runs of which nothing was written lately go as a whole, and shared results by their own age", async () => {
  const { root, objects } = await storeWith("aged");
  expect(await pruneStore(objects, { beforeMs, dryRun: true })).toEqual({
    runs: 1,
    objects: 3,
    sizeBytes: 30,
  });
  expect(await pathsIn(objects)).toHaveLength(8);
  expect(await pruneStore(objects, { beforeMs, dryRun: false })).toEqual({
    runs: 1,
    objects: 3,
    sizeBytes: 30,
  });
  expect(await pathsIn(objects)).toEqual([
    "cache/double/new.json",
    "note.txt",
    "runs/new/attempt-1/a.json",
    "runs/resumed/attempt-1/a.json",
    "runs/resumed/attempt-2/a.json",
  ]);
  await expect(stat(join(root, "runs/old"))).rejects.toMatchObject({ code: "ENOENT" });
});

test("of one run, nothing else is touched", async () => {
  const { objects } = await storeWith("one");
  const pruned = await pruneStore(objects, { beforeMs: NOW_MS, runId: "resumed", dryRun: false });
  expect(pruned).toEqual({ runs: 1, objects: 2, sizeBytes: 20 });
  expect((await pathsIn(objects)).filter((path) => path.startsWith("runs/"))).toHaveLength(3);
  expect(await pruneStore(objects, { beforeMs: NOW_MS, runId: "none", dryRun: false })).toMatchObject({
    runs: 0,
  });
});

test("what is not released stays, and nothing is removed when asking fails", async () => {
  const { objects } = await storeWith("released");
  const asked: string[] = [];
  const release = async (runIds: readonly string[]) => {
    asked.push(...runIds);
    return new Set(runIds.filter((runId) => runId !== "new"));
  };
  const all = { beforeMs: NOW_MS, dryRun: false };
  expect(await pruneStore(objects, { ...all, release })).toMatchObject({ runs: 2, objects: 6 });
  expect(asked.sort()).toEqual(["new", "old", "resumed"]);
  expect(await pathsIn(objects)).toEqual(["note.txt", "runs/new/attempt-1/a.json"]);
  const refuse = () => Promise.reject(new Error("nobody answers"));
  await expect(pruneStore(objects, { ...all, release: refuse })).rejects.toThrow("nobody answers");
  expect(await pathsIn(objects)).toHaveLength(2);
});
