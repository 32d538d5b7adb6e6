import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { openReserve } from "./reserve.ts";

const FILLER = fileURLToPath(new URL("./full-disk.fixture.ts", import.meta.url));
// In user and mount namespaces of its own, any user can mount a tiny disk. It goes with the process.
const NAMESPACE = ["--user", "--map-root-user", "--mount"];
const SCRIPT = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" "$3" "$1"';
const mayMount =
  spawnSync("unshare", [...NAMESPACE, "sh", "-c", 'mount -t tmpfs tmpfs "$1"', "sh", tmpdir()]).status === 0;

test.runIf(mayMount)(
  "on a full disk control lanes go on in the reserve while bulk drops",
  { timeout: 60_000 },
  async () => {
    const disk = await mkdtemp(join(tmpdir(), "towpath-disk-"));
    try {
      const { stdout } = await promisify(execFile)("unshare", [
        ...NAMESPACE,
        "sh",
        "-c",
        SCRIPT,
        "sh",
        disk,
        process.execPath,
        FILLER,
      ]);
      const seen = JSON.parse(stdout);
      expect(seen).toMatchObject({
        heldAtFirst: true,
        heldAfterBulk: true,
        bulkDroppedAfterRelease: 1,
        failure: "no-space",
        restoredWhileFull: false,
        restored: true,
        bulkDroppedAfterRestore: 0,
      });
      expect(seen.bulkKept).toBeGreaterThan(100);
      // The reserve of 256 KiB has room for about 250 records of a thousand bytes.
      expect(seen.controlInReserve - seen.controlBeforeRelease).toBeGreaterThan(200);
      expect(seen.recovered).toBe(seen.controlInReserve - 3);
      expect(seen.controlSeqAfterRestore).toBe(seen.controlInReserve + 1);
    } finally {
      await rm(disk, { recursive: true, force: true });
    }
  },
);

test("a reserve is taken once, released once, and found again by the next start", async () => {
  const dir = await mkdtemp(join(tmpdir(), "towpath-reserve-"));
  const path = join(dir, "reserve");
  const reserve = await openReserve({ path, sizeBytes: 300_000 });
  expect(reserve.held).toBe(true);
  expect((await openReserve({ path, sizeBytes: 300_000 })).held).toBe(true);
  expect(await Promise.all([reserve.release(), reserve.release()])).toEqual([true, false]);
  expect(reserve.held).toBe(false);
  expect(await reserve.restore()).toBe(true);
  await rm(dir, { recursive: true });
});
