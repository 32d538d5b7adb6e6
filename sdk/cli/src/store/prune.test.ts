import { spawnSync } from "node:child_process";
import { mkdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { folderWith } from "../fixture.ts";
import { prunedText, toldLines } from "./prune.ts";
import { StoreSettings, storeOf } from "./worker-store.ts";

const MAIN = new URL("../main.ts", import.meta.url).pathname;

test("a sentence counts the deleted objects", () => {
  expect(prunedText({ runs: 0, objects: 0, sizeBytes: 0 }, false)).toBe("There is nothing to delete.");
  const some = { runs: 1, objects: 2, sizeBytes: 5 * 1024 * 1024 };
  expect(prunedText(some, false)).toBe("Deleted 2 objects of 1 run and of shared results, 5.0 MiB.");
  expect(prunedText({ ...some, runs: 2, objects: 1 }, true)).toMatch(/^Would delete 1 object of 2 runs and/);
  expect(prunedText(some, true, true)).toBe("Would delete 2 objects of 1 run, 5.0 MiB.");
});

test("the output reports the refs that the control plane deleted, and the kept values", () => {
  const told = { url: "http://here", refs: 3, runs: 1, live: [] };
  expect(toldLines(told, null)).toEqual(["http://here: deleted 3 refs of 1 run."]);
  expect(toldLines({ ...told, live: ["a"] }, null)[1]).toBe(
    "Kept the values of 1 run that has not ended (a).",
  );
  const many = ["a", "b", "c", "d", "e", "f"];
  expect(toldLines({ ...told, live: many }, null)[1]).toContain("6 runs that have not ended");
  expect(toldLines(null, "there is no key")[0]).toMatch(
    /^The refs on the control plane were not deleted: there is no key\./,
  );
  expect(toldLines(null, null)).toEqual([]);
});

test("the store comes from a worker's configuration; an age and a run are checked", async () => {
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
    const { status, stdout, stderr } = spawnSync(process.execPath, command, {
      encoding: "utf8",
      cwd: folder.root,
      env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE, HOME: folder.root },
    });
    return { status, said: stdout + stderr };
  };
  expect(towpath("--older-than", "30d")).toMatchObject({
    status: 0,
    said: expect.stringMatching(
      /Deleted 1 object of 1 run[\s\S]*were not deleted: No control plane is configured/,
    ),
  });
  expect(towpath("--older-than", "30d").said).toContain("nothing to delete");
  expect(towpath("--older-than", "soon")).toMatchObject({
    status: 64,
    said: expect.stringContaining("is not an age"),
  });
  expect(towpath("--older-than", "1d", "--run", "r1").said).toContain("is not a run's id");
  expect(towpath("--only", "refs").said).toContain("TOWPATH_CHECKPOINT_RETENTION_MS");
});

test("a store that cannot be used is reported with the next step", async () => {
  await using folder = await folderWith({
    "bucket.json": JSON.stringify({ store: { root: "gs://bucket" } }),
  });
  const command = [MAIN, "store", "prune", "--older-than", "1d", "--config", "bucket.json"];
  const { status, stderr } = spawnSync(process.execPath, command, {
    encoding: "utf8",
    cwd: folder.root,
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE, HOME: folder.root },
  });
  expect(status).toBe(78);
  expect(stderr).toMatch(
    /gs:\/\/bucket is not a kind of store that this release supports\.\n→ Give the worker a folder/,
  );
  const settings = StoreSettings.parse({ root: "file:/srv/store" });
  await expect(
    storeOf({ environment: {}, folder: folder.root, external: new Map() }, settings),
  ).rejects.toThrow("file:///srv/store, or write the path alone, /srv/store");
});
