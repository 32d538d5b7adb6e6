import { spawnSync } from "node:child_process";
import { mkdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { folderWith } from "../fixture.ts";
import { prunedText } from "./prune.ts";

const MAIN = new URL("../main.ts", import.meta.url).pathname;

test("what was removed is a sentence", () => {
  expect(prunedText({ runs: 0, objects: 0, sizeBytes: 0 }, false)).toBe("There is nothing to remove.");
  const some = { runs: 1, objects: 2, sizeBytes: 5 * 1024 * 1024 };
  expect(prunedText(some, false)).toBe("Removed 2 objects of 1 run and of what runs share, 5.0 MiB.");
  expect(prunedText({ ...some, runs: 2, objects: 1 }, true)).toMatch(/^Would remove 1 object of 2 runs/);
});

test("a worker's configuration says where the store is; an age and a run are checked", async () => {
  await using folder = await folderWith({
    "worker.json": JSON.stringify({ store: { root: "store" } }),
    "store/runs/r1/attempt-1/a.json": "1234567890",
  });
  const long = new Date(Date.now() - 90 * 24 * 3_600_000);
  await mkdir(join(folder.root, "store/runs/r2"), { recursive: true });
  await writeFile(join(folder.root, "store/runs/r2/b.json"), "1");
  await utimes(join(folder.root, "store/runs/r1/attempt-1/a.json"), long, long);
  const towpath = (...args: string[]) => {
    const command = [MAIN, "store", "prune", "--config", join(folder.root, "worker.json"), ...args];
    const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: "utf8" });
    return { status, said: stdout + stderr };
  };
  expect(towpath("--older-than", "30d")).toMatchObject({
    status: 0,
    said: expect.stringContaining("Removed 1 object of 1 run"),
  });
  expect(towpath("--older-than", "30d").said).toContain("nothing to remove");
  expect(towpath("--older-than", "soon")).toMatchObject({
    status: 64,
    said: expect.stringContaining("is no age"),
  });
  expect(towpath("--older-than", "1d", "--run", "r1").said).toContain("is not a run's id");
});
