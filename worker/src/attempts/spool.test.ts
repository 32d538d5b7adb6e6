import { cp, mkdtemp, rm, stat, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BulkRecord, ControlRecord, LIMITS, type LogLine, uuidv7 } from "@towpath/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openReserve, type Reserve } from "../journal/index.ts";
import { readFence, readRunId } from "./journal-lanes.ts";
import { Spool } from "./spool.ts";

const at = "2026-01-01T00:00:00.000Z";
const fence = { attemptId: uuidv7(0), epoch: 1, nonce: "0123456789abcdef" };
const BUDGET = { records: LIMITS.laneRecords, bytes: LIMITS.reportBytes };
let dir: string;
let reserve: Reserve;
const open: Spool[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "twp-spool-"));
  reserve = await openReserve({ path: join(dir, "reserve"), sizeBytes: 1024 });
});
afterEach(async () => {
  for (const spool of open.splice(0)) await spool.close();
  await rm(dir, { recursive: true, force: true });
});

async function openSpool(): Promise<Spool> {
  const spool = await Spool.open({ reserve }, { dir: join(dir, "journal"), fence });
  open.push(spool);
  return spool;
}

const line = (text: string): LogLine => ({ at, level: "info", stream: "log", text });
const task = (path: string) => ({ type: "task", at, path, name: path, move: "queue", tries: 0 }) as const;

test("pages fit the contract, with records numbered by lane and lines numbered in order", async () => {
  const spool = await openSpool();
  await spool.control({ type: "started", at, launcher: "cold" });
  await spool.flow({
    control: [{ seq: 2, record: task("a") }],
    bulk: [
      { seq: 1, item: line("one") },
      { seq: 3, item: line("two") },
    ],
    throughSeq: 3,
  });
  await spool.output({ stream: "stdout", lines: [line("three")], throughBytes: 6 });
  const page = await spool.page(BUDGET);
  expect(page.control.map((record) => ControlRecord.parse(record).seq)).toEqual([1, 2]);
  const bulk = page.bulk.map((record) => BulkRecord.parse(record));
  expect(bulk).toMatchObject([
    { seq: 1, firstLine: 0, lines: [{ text: "one" }, { text: "two" }] },
    { seq: 2, firstLine: 2, lines: [{ text: "three" }] },
  ]);
});

test("a batch that a flow repeats after a restart is taken once, in each lane", async () => {
  const batch = (first: number) => ({
    control: [{ seq: first, record: task(`t${first}`) }],
    bulk: [{ seq: first + 1, item: line(`l${first}`) }],
    throughSeq: first + 1,
  });
  const before = await openSpool();
  await before.flow(batch(1));
  await before.flow(batch(3));
  await before.output({ stream: "stderr", lines: [line("err")], throughBytes: 4 });
  await before.close();

  const after = await openSpool();
  expect(after.isBehind({ control: 0, bulk: 0 })).toBe(false);
  after.noteAnswered();
  expect(after.flowTaken).toBe(2);
  expect(after.outputTaken("stderr")).toBe(4);
  await after.flow(batch(3));
  await after.flow(batch(5));
  const page = await after.page(BUDGET);
  expect(page.control.map(({ path }) => path)).toEqual(["t1", "t3", "t5"]);
  const bulk = page.bulk.map((record) => BulkRecord.parse(record));
  expect(
    bulk.flatMap((record) => (record.type === "log" ? record.lines.map(({ text }) => text) : [])),
  ).toEqual(["l1", "l3", "err", "l5"]);
  expect(bulk.map((record) => (record.type === "log" ? record.firstLine : -1))).toEqual([0, 1, 2, 3]);
});

test("a spool is settled only when the end and everything before it are acknowledged", async () => {
  const spool = await openSpool();
  await spool.say(line("hello"));
  const ended = {
    type: "ended",
    at,
    outcome: "completed",
    cause: null,
    exitCode: 0,
    lastBulkSeq: 1,
  } as const;
  const seq = await spool.control(ended);
  expect(spool.terminated).toBe(true);
  await spool.acknowledge({ control: seq, bulk: 0 });
  expect(spool.settled).toBe(false);
  expect(await spool.acknowledge({ control: seq, bulk: 99 })).toBe(true);
  expect(spool.settled).toBe(true);
  expect(spool.pending).toBe(false);
});

test("records that the control plane has forgotten are sent again, and settled again", async () => {
  const spool = await openSpool();
  await spool.control({ type: "started", at, launcher: "warm" });
  await spool.say(line("hello"));
  await spool.control({ type: "released", at, reason: "no" });
  await spool.acknowledge({ control: 2, bulk: 1 });
  expect(await spool.acknowledge({ control: 0, bulk: 0 })).toBe(true);
  expect(spool.pending).toBe(true);
  expect(spool.settled).toBe(false);
  // It still has none of it, so the next report waits.
  expect(await spool.acknowledge({ control: 0, bulk: 0 })).toBe(false);
  const page = await spool.page(BUDGET);
  expect([page.control.length, page.bulk.length]).toEqual([2, 1]);
  await spool.acknowledge({ control: 1, bulk: 1 });
  expect((await spool.page(BUDGET)).control.map(({ seq }) => seq)).toEqual([2]);
  await spool.acknowledge({ control: 2, bulk: 1 });
  expect(spool.settled).toBe(true);
});

test("many long lines are spread over records that the journal and the wire take", async () => {
  const spool = await openSpool();
  const nasty = "\u0001".repeat(LIMITS.logLineBytes);
  const lines = Array.from({ length: 40 }, () => line(nasty));
  await spool.output({ stream: "stdout", lines, throughBytes: 1 });
  let seen = 0;
  while (spool.pending) {
    const page = await spool.page({ ...BUDGET, bytes: 1024 * 1024 });
    for (const record of page.bulk) {
      const parsed = BulkRecord.parse(record);
      if (parsed.type === "log") seen += parsed.lines.length;
    }
    await spool.acknowledge({ control: 0, bulk: page.bulk.at(-1)?.seq ?? 0 });
  }
  expect(seen).toBe(40);
});

test("lines without room leave a gap with their numbers", async () => {
  const spool = await openSpool();
  await spool.say(line("kept"));
  // With the reserve spent, the remaining space belongs to the control lane.
  await reserve.release();
  await spool.output({ stream: "stdout", lines: [line("lost"), line("lost too")], throughBytes: 14 });
  await spool.say(line("lost as well"));
  await reserve.restore();
  await spool.say(line("kept again"));
  await spool.flushGaps();
  const bulk = (await spool.page(BUDGET)).bulk.map((record) => BulkRecord.parse(record));
  expect(bulk).toMatchObject([
    { type: "log", firstLine: 0 },
    { type: "gap", firstLine: 1, lines: 3 },
    { type: "log", firstLine: 4, lines: [{ text: "kept again" }] },
  ]);
});

test("a lost artifact becomes a gap, and gaps are journaled at the end although the disk is full", async () => {
  const spool = await openSpool();
  await spool.say(line("kept"));
  await reserve.release();
  const body = { kind: "markdown", text: "# lost" } as const;
  const item = { type: "artifact", at, key: "k", title: "", task: null, body } as const;
  await spool.flow({ control: [], bulk: [{ seq: 1, item }], throughSeq: 1 });
  await spool.flushGaps();
  const bulk = (await spool.page(BUDGET)).bulk.map((record) => BulkRecord.parse(record));
  expect(bulk).toMatchObject([
    { type: "log", firstLine: 0 },
    { type: "gap", firstLine: 1, lines: 1, reason: expect.stringContaining("artifact") },
  ]);
});

test("a full control lane refuses a batch whole, and takes it whole once there is room", async () => {
  const spool = await openSpool();
  const error = { name: "E", message: "m", stack: "s".repeat(16_000) };
  const task = { type: "task", at, path: "p", name: "n", move: "fail", tries: 1, error } as const;
  let seq = 0;
  const batch = () => {
    const control = Array.from({ length: 400 }, () => ({ seq: ++seq, record: task }));
    return { control, bulk: [{ seq, item: line(`after ${seq}`) }], throughSeq: seq };
  };
  let last = batch();
  let refused: unknown;
  for (let tried = 0; tried < 20 && refused === undefined; tried++) {
    await spool.flow(last).catch((error: unknown) => {
      refused = error;
    });
    if (refused === undefined) last = batch();
  }
  expect(refused).toMatchObject({ code: "journal-full", retryable: true });
  expect(spool.flowTaken).toBeLessThan(last.throughSeq);
  await spool.acknowledge({ control: spool.flowTaken, bulk: 0 });
  await spool.flow(last);
  expect(spool.flowTaken).toBe(last.throughSeq);
  const texts = (await spool.page({ records: 1000, bytes: 2 ** 24 })).bulk
    .map((record) => BulkRecord.parse(record))
    .flatMap((record) => (record.type === "log" ? record.lines.map(({ text }) => text) : []));
  expect(texts.filter((text) => text === `after ${last.throughSeq}`)).toHaveLength(1);
});

/** Reports and acknowledges everything pending. */
async function reportAll(spool: Spool): Promise<void> {
  const { control, bulk } = await spool.page(BUDGET);
  await spool.acknowledge({ control: control.at(-1)?.seq ?? 0, bulk: bulk.at(-1)?.seq ?? 0 });
}

test("a journal that lost acknowledged records goes on after them: no line number is used twice", async () => {
  const before = await openSpool();
  await before.output({ stream: "stdout", lines: [line("one")], throughBytes: 4 });
  const kept = (await stat(join(dir, "journal", "bulk.journal"))).size;
  await before.flow({ control: [], bulk: [{ seq: 1, item: line("two") }], throughSeq: 1 });
  await before.output({ stream: "stdout", lines: [line("three"), line("four")], throughBytes: 15 });
  await reportAll(before);
  await before.output({ stream: "stdout", lines: [line("five")], throughBytes: 20 });
  await before.close();
  await truncate(join(dir, "journal", "bulk.journal"), kept);

  const after = await openSpool();
  expect(after.outputTaken("stdout")).toBe(15);
  expect(after.isBehind({ control: 0, bulk: 3 })).toBe(false);
  after.noteAnswered();
  // It was lost before it was acknowledged. The output file still has it, and it is read again.
  await after.output({ stream: "stdout", lines: [line("five")], throughBytes: 20 });
  await after.flow({ control: [], bulk: [{ seq: 1, item: line("two") }], throughSeq: 1 });
  expect((await after.page(BUDGET)).bulk).toMatchObject([
    { seq: 4, firstLine: 4, lines: [{ text: "five" }] },
  ]);
});

test("a journal also goes on after an acknowledgement of part of a page", async () => {
  const before = await openSpool();
  for (const text of ["one", "two", "three"]) await before.say(line(text));
  await before.page(BUDGET);
  await before.acknowledge({ control: 0, bulk: 2 });
  await before.close();
  await truncate(join(dir, "journal", "bulk.journal"), 40);

  const after = await openSpool();
  expect(after.isBehind({ control: 0, bulk: 2 })).toBe(false);
  after.noteAnswered();
  await after.say(line("four"));
  expect((await after.page(BUDGET)).bulk).toMatchObject([{ seq: 3, firstLine: 2 }]);
});

test("an existing journal asks first, and notices when the control plane has more than it", async () => {
  const before = await openSpool();
  await before.control({ type: "started", at, launcher: "cold" });
  await before.say(line("one"));
  await reportAll(before);
  await cp(join(dir, "journal"), join(dir, "backup"), { recursive: true });
  await before.say(line("two"));
  await reportAll(before);
  await before.close();
  await rm(join(dir, "journal"), { recursive: true });
  await cp(join(dir, "backup"), join(dir, "journal"), { recursive: true });

  const after = await openSpool();
  // New records would get the numbers of the lost ones.
  await after.say(line("other"));
  await after.say(line("another"));
  expect(after.pending).toBe(true);
  expect(await after.page(BUDGET)).toEqual({ control: [], bulk: [], bytes: 0, acked: expect.anything() });
  expect(after.isBehind({ control: 1, bulk: 2 })).toBe(true);
});

test("the fence is kept beside the records", async () => {
  await openSpool();
  expect(await readFence(join(dir, "journal"))).toEqual(fence);
});

test("the run is kept beside the lanes, also when a later opening does not know it", async () => {
  const owned = { dir: join(dir, "journal"), fence };
  expect(await readRunId(owned.dir)).toBe(null);
  await (await Spool.open({ reserve }, { ...owned, runId: "the-run" })).close();
  await (await Spool.open({ reserve }, owned)).close();
  expect(await readRunId(owned.dir)).toBe("the-run");
});
