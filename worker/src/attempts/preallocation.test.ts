import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { uuidv7 } from "@towpath/contract";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openReserve, type Reserve } from "../journal/index.ts";
import { readFence, readRunId } from "./journal-lanes.ts";
import {
  createPreallocation,
  type PreallocatedJournal,
  type Preallocation,
  placeFolder,
} from "./preallocation.ts";
import { Spool } from "./spool.ts";

const at = "2026-01-01T00:00:00.000Z";
const fence = { attemptId: uuidv7(0), epoch: 1, nonce: "0123456789abcdef" };
const log = pino({ level: "silent" });
let dir: string;
let reserve: Reserve;
let preallocation: Preallocation;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "twp-preallocation-"));
  await mkdir(join(dir, "preallocation"));
  reserve = await openReserve({ path: join(dir, "reserve"), sizeBytes: 1024 });
  preallocation = createPreallocation({ log, reserve }, join(dir, "preallocation"));
});
afterEach(async () => {
  await preallocation.close();
  await rm(dir, { recursive: true, force: true });
});

/** Waits until a journal is ready, and provides it to the next spool. */
async function readyJournal(): Promise<{ journal(): PreallocatedJournal | null }> {
  const ready: (PreallocatedJournal | null)[] = [];
  const look = () => ready.push(preallocation.journal()) > 0 && ready.at(-1) !== null;
  await expect.poll(look, { timeout: 60_000 }).toBe(true);
  return { journal: () => ready.at(-1) ?? null };
}

test("a folder appears under a claim's name with its file in it, and replaces what an earlier process left there", async () => {
  const to = join(dir, "claim");
  await mkdir(to);
  await writeFile(join(to, "taken"), "");
  const preallocated = await preallocation.folder();
  await placeFolder(preallocated, { to, text: "the attempt" });
  expect((await readdir(to)).sort()).toEqual(["attempt.json", "token", "work"]);
  expect(await readFile(join(to, "attempt.json"), "utf8")).toBe("the attempt");
  expect(await readFile(join(to, "token"), "utf8")).toBe(preallocated.token);
});

test("no two folders have the same token", async () => {
  const [one, other] = [await preallocation.folder(), await preallocation.folder()];
  for (const preallocated of [one, other]) await preallocated.file.close();
  expect(one.token).not.toBe(other.token);
  expect(one.dir).not.toBe(other.dir);
});

test("a preallocated journal belongs to a claim once its owner is written, and is found again", async () => {
  const owned = { dir: join(dir, "journal"), fence };
  const spool = await Spool.open(
    { reserve, preallocation: await readyJournal() },
    { ...owned, runId: "the-run" },
  );
  await spool.control({ type: "started", at, launcher: "warm" });
  await spool.say({ at, level: "info", stream: "worker", text: "hello" });
  await spool.close();
  expect(await readFence(owned.dir)).toEqual(fence);
  expect(await readRunId(owned.dir)).toBe("the-run");
  const again = await Spool.open({ reserve }, owned);
  expect(again.started).toBe(1);
  expect(again.lastBulkSeq).toBe(1);
  await again.close();
});

test("a claim that has a journal goes on with it, not with a preallocated one", async () => {
  const owned = { dir: join(dir, "journal"), fence, runId: "the-run" };
  const before = await Spool.open({ reserve }, owned);
  await before.control({ type: "started", at, launcher: "warm" });
  await before.close();
  const spool = await Spool.open({ reserve, preallocation: await readyJournal() }, owned);
  expect(spool.started).toBe(1);
  await spool.close();
});

test("without preallocation, a claim makes its own files", async () => {
  const nowhere = createPreallocation({ log, reserve }, join(dir, "missing"));
  await expect(nowhere.folder()).rejects.toThrow("ENOENT");
  expect(nowhere.journal()).toBeNull();
  const spool = await Spool.open(
    { reserve, preallocation: nowhere },
    { dir: join(dir, "journal"), fence, runId: "the-run" },
  );
  expect(await spool.control({ type: "started", at, launcher: "warm" })).toBe(1);
  await spool.close();
  await nowhere.close();
});
