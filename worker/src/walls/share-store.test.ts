import { chmod, mkdir, mkdtempDisposable, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { closeValues, openValues } from "./share-store.ts";

const isRoot = process.getuid?.() === 0 && process.platform === "linux";
const [GROUP, FLOW, NEXT] = [2_000_000_900, 2_000_000_901, 2_000_000_902];
const isOfAttempts = (uid: number) => uid === FLOW || uid === NEXT;

/** Who owns a path, its group, and what its mode allows. */
async function ownership(path: string): Promise<{ uid: number; gid: number; mode: string }> {
  const { uid, gid, mode } = await stat(path);
  return { uid, gid, mode: (mode & 0o7777).toString(8) };
}

const SHARED = { gid: GROUP, mode: "2750" };

test.skipIf(!isRoot).each([undefined, "job"])(
  "folders that a dying worker has left closed open again for the next one (job: %s)",
  async (job) => {
    await using home = await mkdtempDisposable(join(tmpdir(), "twp-share-store-"));
    const run = join(home.path, "runs", "run");
    const attempt = join(run, "attempt-1");
    const own = job === undefined ? attempt : join(attempt, job);
    // The worker made these folders, and died before it shared them.
    await mkdir(own, { recursive: true });
    for (const path of [run, attempt, own]) await chmod(path, 0o700);
    const values = { root: home.path, runId: "run", ordinal: 1, group: GROUP, isOfAttempts };
    await openValues({ ...values, uid: FLOW, ...(job !== undefined && { job }) });
    expect(await ownership(run)).toEqual({ uid: 0, ...SHARED });
    if (job !== undefined) expect(await ownership(attempt)).toEqual({ uid: 0, ...SHARED });
    expect(await ownership(own)).toEqual({ uid: FLOW, ...SHARED });
  },
);

test.skipIf(!isRoot)(
  "values of an ended attempt are root's, and belong to its next claim while that runs",
  async () => {
    await using home = await mkdtempDisposable(join(tmpdir(), "twp-share-store-"));
    await mkdir(join(home.path, "runs"));
    const values = { root: home.path, runId: "run", ordinal: 1, group: GROUP, isOfAttempts };
    await openValues({ ...values, uid: FLOW });
    const own = join(home.path, "runs", "run", "attempt-1");
    const file = join(own, "value.json");
    await writeFile(file, "1");
    await closeValues({ ...values, uid: FLOW });
    expect(await ownership(own)).toEqual({ uid: 0, ...SHARED });
    await openValues({ ...values, uid: NEXT });
    expect(await ownership(own)).toEqual({ uid: NEXT, ...SHARED });
    expect((await stat(file)).uid).toBe(NEXT);
    await closeValues({ ...values, uid: NEXT });
    expect((await stat(file)).uid).toBe(0);
  },
);
