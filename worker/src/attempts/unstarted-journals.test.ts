import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LIMITS } from "@towpath/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { UnstartedJournals } from "./unstarted-journals.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "towpath-unstarted-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const MORE = 3;
const NAMES = Array.from({ length: LIMITS.unstartedJournals + MORE }, (_, index) => `claim-${index}`);

/** Ends all attempts, and says which journals are gone. */
async function goneAfter(
  facts: { assignment: object | null; launchedAtMs: number | null },
  isInUse: (name: string) => boolean = () => false,
): Promise<string[]> {
  await Promise.all(NAMES.map((name) => mkdir(join(root, name), { recursive: true })));
  const journals = new UnstartedJournals(root);
  const { assignment, launchedAtMs } = facts;
  for (const name of NAMES)
    await journals.ended(
      { name, assignment, stored: launchedAtMs === null ? null : { launchedAtMs } },
      isInUse,
    );
  const kept = new Set(await readdir(root));
  return NAMES.filter((name) => !kept.has(name));
}

test("of assignments that never ran, the newest journals are kept", async () => {
  expect(await goneAfter({ assignment: {}, launchedAtMs: null })).toEqual(NAMES.slice(0, MORE));
});

test("journals of runs, of claims that are only reported, and those in use stay", async () => {
  expect(await goneAfter({ assignment: {}, launchedAtMs: 1 })).toEqual([]);
  expect(await goneAfter({ assignment: null, launchedAtMs: null })).toEqual([]);
  expect(await goneAfter({ assignment: {}, launchedAtMs: null }, (name) => name === "claim-0")).toEqual(
    NAMES.slice(1, MORE + 1),
  );
});
