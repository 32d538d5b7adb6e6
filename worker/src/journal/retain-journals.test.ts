import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { retainJournals } from "./retain-journals.ts";

const NOW_MS = 1_800_000_000_000;
const clock = { nowMs: () => NOW_MS };
let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "towpath-retain-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function writeJournal(name: string, args: { ageMs: number; sizeBytes: number }): Promise<void> {
  await mkdir(join(root, name));
  const path = join(root, name, "bulk.journal");
  await writeFile(path, Buffer.alloc(args.sizeBytes));
  await utimes(path, new Date(NOW_MS - args.ageMs), new Date(NOW_MS - args.ageMs));
}

test("old journals are removed, active ones stay at any age", async () => {
  await writeJournal("old", { ageMs: 2_000, sizeBytes: 1 });
  await writeJournal("active", { ageMs: 9_000, sizeBytes: 1 });
  await writeJournal("recent", { ageMs: 500, sizeBytes: 1 });
  const removed = await retainJournals(
    { clock },
    { root, keep: new Set(["active"]), policy: { maxAgeMs: 1_000 } },
  );
  expect(removed).toEqual(["old"]);
  expect((await readdir(root)).sort()).toEqual(["active", "recent"]);
});

test("above the size limit the oldest are removed first", async () => {
  for (const [index, name] of ["a", "b", "c", "d"].entries()) {
    await writeJournal(name, { ageMs: index * 100, sizeBytes: 1_000 });
  }
  // Each takes a block of the disk for its folder, and one for its file, however small that is.
  const removed = await retainJournals({ clock }, { root, keep: new Set(), policy: { maxBytes: 20_000 } });
  expect(removed).toEqual(["c", "d"]);
});

test("a root that does not exist yet holds nothing", async () => {
  expect(await retainJournals({ clock }, { root: join(root, "none"), keep: new Set() })).toEqual([]);
});
