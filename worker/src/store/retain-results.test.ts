import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { retainResults } from "./retain-results.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "twp-retain-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const NOW_MS = Date.UTC(2026, 5, 1);
const DAY_MS = 24 * 3_600_000;
const clock = { nowMs: () => NOW_MS };

/** Writes a file, and sets the times of it and its folders to some days ago. */
async function kept(path: string, daysAgo: number): Promise<void> {
  const file = join(root, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, "x");
  const at = new Date(NOW_MS - daysAgo * DAY_MS);
  for (let place = file; place !== root; place = dirname(place)) await utimes(place, at, at);
}

test("runs that were idle for a time are removed as a whole, and nothing else", async () => {
  await kept("runs/resumed/attempt-1/a.json", 50);
  await kept("runs/resumed/attempt-2/b.json", 1);
  const long = new Date(NOW_MS - 50 * DAY_MS);
  await utimes(join(root, "runs/resumed"), long, long);
  await kept("runs/new/attempt-1/a.json", 2);
  await kept("runs/old/attempt-1/a.json", 50);
  await kept("runs/old/attempt-1/packs/a.pack", 40);
  await kept("mine/old.json", 50);
  const policy = { root, maxAgeMs: 30 * DAY_MS };
  expect(await retainResults({ clock }, policy)).toEqual(["old"]);
  expect((await readdir(join(root, "runs"))).sort()).toEqual(["new", "resumed"]);
  expect((await readdir(join(root, "runs/resumed"))).sort()).toEqual(["attempt-1", "attempt-2"]);
  expect(await readdir(join(root, "mine"))).toEqual(["old.json"]);
  expect(await retainResults({ clock }, { ...policy, root: join(root, "none") })).toEqual([]);
});
