import { appendFile, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sleep } from "../host/index.ts";
import { startTail, TAIL_LIMITS, type TailOptions } from "./tail.ts";

let dir: string;
let path: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "towpath-tail-"));
  path = join(dir, "stdout");
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const MIB = 1024 * 1024;
const SMALL = { backlogBytes: 4 * MIB, restBytes: 256 * 1024, giveBackBytes: MIB, fileBytes: 8 * MIB };

function tailOf(more: Partial<TailOptions> = {}) {
  const seen = { lines: [] as string[], skipped: 0, through: 0, tooLong: 0, order: [] as string[] };
  const tail = startTail(
    { sleep },
    {
      path,
      fromBytes: 0,
      lineBytes: 1_000,
      limits: TAIL_LIMITS,
      async take(lines, throughBytes) {
        expect(throughBytes).toBeGreaterThan(seen.through);
        seen.through = throughBytes;
        seen.lines.push(...lines.map(({ text }) => text));
        seen.order.push("take");
      },
      async skip(lines, throughBytes) {
        expect(throughBytes).toBeGreaterThan(seen.through);
        seen.through = throughBytes;
        seen.skipped += lines;
        seen.order.push("skip");
      },
      tooLong() {
        seen.tooLong += 1;
      },
      ...more,
    },
  );
  return { seen, tail };
}

test("when a process prints too fast, only the end is read, and every line is counted", async () => {
  const lines = Array.from({ length: 200_000 }, (_, index) => `line ${index} ${"x".repeat(40)}`);
  await writeFile(path, `${lines.join("\n")}\nlast`);
  const { seen, tail } = tailOf({ limits: SMALL });
  await tail.finish();
  expect(seen.skipped).toBeGreaterThan(100_000);
  expect(seen.skipped + seen.lines.length).toBe(lines.length + 1);
  expect(seen.lines).toEqual([...lines, "last"].slice(seen.skipped));
  expect(seen.through).toBe((await stat(path)).size);
});

test("a line longer than the unread limit is skipped as one line", async () => {
  await writeFile(path, `first\n${"y".repeat(12 * MIB)}\nlast\n`);
  const { seen, tail } = tailOf({ limits: SMALL });
  await tail.finish();
  expect(seen.skipped + seen.lines.length).toBe(3);
  expect(seen.lines.at(-1)).toBe("last");
});

test("the space of read lines is freed while the file grows, and no line is lost", async () => {
  const block = `${"z".repeat(999)}\n`.repeat(2_000);
  await writeFile(path, block);
  const { seen, tail } = tailOf({ limits: SMALL });
  for (let more = 0; more < 8; more++) {
    await expect.poll(() => seen.lines.length, { timeout: 60_000 }).toBe(2_000 * (more + 1));
    await appendFile(path, block);
  }
  await tail.finish();
  expect(seen.lines).toHaveLength(18_000);
  expect(new Set(seen.lines).size).toBe(1);
  const { size, blocks } = await stat(path);
  expect(size).toBe(18_000_000);
  expect(blocks * 512).toBeLessThan(6 * MIB);
});

test("where space cannot be given back, a file that becomes too long is reported once and read no further", async () => {
  await writeFile(path, `${"z".repeat(999)}\n`.repeat(12_000));
  const giveBack = async () => false;
  const { seen, tail } = tailOf({ limits: { ...SMALL, backlogBytes: 100 * MIB }, giveBack });
  await tail.finish();
  expect(seen.tooLong).toBe(1);
  expect(seen.lines.length).toBeLessThan(9_000);
});

test("after a restart, a hole in the file counts as one lost line", async () => {
  await writeFile(path, Buffer.concat([Buffer.alloc(3 * 64 * 1024), Buffer.from("\nafter\n")]));
  const { seen, tail } = tailOf({ limits: SMALL });
  await tail.finish();
  expect(seen.skipped).toBe(1);
  expect(seen.lines).toEqual(["", "after"]);
});
