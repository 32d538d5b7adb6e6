import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { claimDirectory, type OwnerLock } from "./owner-lock.ts";

let dir = "";

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "towpath-claim-"));
});

afterEach(() => rm(dir, { recursive: true, force: true }));

/** Claims the directory from many callers at once. @returns the locks of those that succeeded. */
async function race(callers: number): Promise<OwnerLock[]> {
  const outcomes = await Promise.allSettled(Array.from({ length: callers }, () => claimDirectory(dir)));
  return outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
}

test("of many that claim a free directory, one succeeds", async () => {
  expect(await race(20)).toHaveLength(1);
});

test.each([
  ["of a process that has ended", JSON.stringify({ pid: 2_147_483_646, start: "then" })],
  ["of an earlier process with our pid", JSON.stringify({ pid: process.pid, start: "before" })],
  ["that was cut short", '{"pid":'],
])("of many that find a claim %s, one succeeds", async (_, claim) => {
  for (let round = 1; round <= 40; round += 1) {
    await writeFile(join(dir, `owner.${round * 10}.json`), claim);
    const [lock, ...others] = await race(8);
    expect(lock).toBeDefined();
    expect(others).toEqual([]);
    await lock?.release();
  }
});

test("many that claim and release in turn never hold it at once, and leave one small file", async () => {
  let holders = 0;
  let claims = 0;
  const claimOnce = async () => {
    const lock = await claimDirectory(dir).catch(() => undefined);
    if (lock === undefined) return;
    holders += 1;
    claims += 1;
    expect(holders).toBe(1);
    await readdir(dir);
    holders -= 1;
    await lock.release();
  };
  for (let round = 0; round < 50; round += 1) await Promise.all(Array.from({ length: 6 }, claimOnce));
  expect(claims).toBeGreaterThanOrEqual(50);
  expect(await readdir(dir)).toHaveLength(1);
});
