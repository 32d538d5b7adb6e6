import { existsSync } from "node:fs";
import { appendFile, mkdtemp, readFile, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Journal, journalPath, type OpenJournalOptions, openJournal } from "./journal.ts";
import { readJournal } from "./read-journal.ts";

let root: string;
let made = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "towpath-journal-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const freshDir = () => join(root, `attempt-${made++}`);
const bytes = (text: string) => Buffer.from(text);
const PAGE = { maxRecords: 1_000, maxBytes: 1_000_000 };

function open(dir: string, more: Partial<OpenJournalOptions> = {}): Promise<Journal> {
  return openJournal({ dir, lane: "bulk", ...more });
}

async function texts(journal: Journal, afterSeq = 0): Promise<string[]> {
  return (await journal.pending({ ...PAGE, afterSeq })).map(({ seq, payload }) => `${seq}:${payload}`);
}

test("pending records are whole and in order, from memory or from the file", async () => {
  const journal = await open(freshDir());
  const large = (n: number) => Buffer.alloc(100_000, String(n));
  for (let n = 1; n <= 6; n++) await journal.append([large(n)]);
  const seqs = async (afterSeq: number) => {
    const page = await journal.pending({ ...PAGE, afterSeq });
    for (const { seq, payload } of page) expect(payload.equals(large(seq))).toBe(true);
    return page.map(({ seq }) => seq);
  };
  expect(await seqs(0)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(await seqs(4)).toEqual([5, 6]);
  await journal.acknowledge(5);
  expect(await seqs(0)).toEqual([6]);
  await journal.acknowledge(6);
  await journal.append([large(7)]);
  expect(await seqs(0)).toEqual([7]);
  await journal.close();
});

test("an append is settled even if it comes while the one before is being answered", async () => {
  // A lane without room answers without the disk, so the number of steps between two appends decides where the
  // second one comes.
  const journal = await open(freshDir(), { limits: { maxBytes: 64 } });
  for (let steps = 0; steps <= 16; steps++) {
    const first = journal.append([bytes("x".repeat(100))]);
    for (let step = 0; step < steps; step++) await null;
    const second = journal.append([bytes("y".repeat(100))]);
    const settled = Promise.all([first, second]).then((both) => both.map(({ dropped }) => dropped));
    const nextTurn = new Promise((resolve) => setImmediate(resolve, "never answered"));
    expect([steps, await Promise.race([settled, nextTurn])]).toEqual([steps, [1, 1]]);
  }
  await journal.close();
});

test("appended records are pending, in order, numbered from one", async () => {
  const journal = await open(freshDir());
  expect(journal.lastSeq).toBe(0);
  expect(await journal.append([bytes("a"), bytes("b")])).toEqual({
    firstSeq: 1,
    lastSeq: 2,
    dropped: 0,
    droppedBytes: 0,
  });
  await journal.append([bytes(""), bytes("d")]);
  expect(await texts(journal)).toEqual(["1:a", "2:b", "3:", "4:d"]);
  expect(await texts(journal, 2)).toEqual(["3:", "4:d"]);
  expect(journal.lastSeq).toBe(4);
  await journal.close();
});

test("an empty append writes nothing", async () => {
  const journal = await open(freshDir());
  expect((await journal.append([])).lastSeq).toBeUndefined();
  expect(journal.lastSeq).toBe(0);
  await journal.close();
});

test("acknowledged records are not pending, also after opening again", async () => {
  const dir = freshDir();
  const journal = await open(dir);
  await journal.append(["a", "b", "c"].map(bytes));
  await journal.acknowledge(2);
  await journal.acknowledge(1);
  expect(await texts(journal)).toEqual(["3:c"]);
  await journal.close();

  const reopened = await open(dir);
  expect(reopened.acknowledgedSeq).toBe(2);
  expect(reopened.recovery).toEqual({ records: 3, droppedBytes: 0, damagedCopy: undefined });
  expect(await texts(reopened)).toEqual(["3:c"]);
  await reopened.append([bytes("d")]);
  expect(await texts(reopened)).toEqual(["3:c", "4:d"]);
  await reopened.close();
});

test("numbers go on above the last acknowledgement, even if the records are lost", async () => {
  const dir = freshDir();
  const journal = await open(dir);
  await journal.append(["a", "b"].map(bytes));
  await journal.acknowledge(7);
  await journal.close();
  await truncate(journalPath(dir, "bulk"), 50);

  const reopened = await open(dir);
  expect(reopened.lastSeq).toBe(7);
  expect((await reopened.append([bytes("h")])).firstSeq).toBe(8);
  expect(await texts(reopened)).toEqual(["8:h"]);
  await reopened.close();
});

test("a lost or torn acknowledgement offers records again", async () => {
  const dir = freshDir();
  const journal = await open(dir);
  await journal.append([bytes("a")]);
  await journal.acknowledge(1);
  await journal.close();
  await writeFile(join(dir, "bulk.ack"), "torn");
  const reopened = await open(dir);
  expect(await texts(reopened)).toEqual(["1:a"]);
  await reopened.close();
});

test("appends that arrive together keep their order, and each gets its own numbers", async () => {
  const journal = await open(freshDir(), { fsync: true });
  const results = await Promise.all(
    Array.from({ length: 200 }, (_, index) => journal.append([bytes(`r${index}`), bytes(`s${index}`)])),
  );
  expect(results.map(({ firstSeq }) => firstSeq)).toEqual(results.map((_, index) => index * 2 + 1));
  expect((await texts(journal)).slice(0, 3)).toEqual(["1:r0", "2:s0", "3:r1"]);
  await journal.close();
});

test("a page stops at its limits, but always has one record", async () => {
  const journal = await open(freshDir());
  await journal.append(Array.from({ length: 10 }, () => Buffer.alloc(100)));
  expect(await journal.pending({ maxRecords: 3, maxBytes: 1e6 })).toHaveLength(3);
  expect(await journal.pending({ maxRecords: 9, maxBytes: 250 })).toHaveLength(2);
  expect(await journal.pending({ maxRecords: 9, maxBytes: 1 })).toHaveLength(1);
  await journal.close();
});

test("pages return each of many records once, before and after opening again", async () => {
  const dir = freshDir();
  const total = 5_000;
  const check = async (journal: Journal) => {
    let [seen, afterSeq] = [0, 0];
    while (true) {
      const page = await journal.pending({ afterSeq, maxRecords: 700, maxBytes: 90_000 });
      if (page.length === 0) break;
      for (const { seq, payload } of page) {
        expect(seq).toBe(++seen);
        expect(payload.readUInt32LE(0)).toBe(seq);
      }
      afterSeq = seen;
    }
    expect(seen).toBe(total);
  };
  const journal = await open(dir);
  for (let from = 1; from <= total; from += 500) {
    await journal.append(
      Array.from({ length: 500 }, (_, index) => {
        const payload = Buffer.alloc(4 + ((from + index) % 400));
        payload.writeUInt32LE(from + index);
        return payload;
      }),
    );
  }
  await check(journal);
  await journal.close();
  const reopened = await open(dir);
  await check(reopened);
  await reopened.close();
});

test("a record over the limit is refused and the rest goes on", async () => {
  const journal = await open(freshDir(), { limits: { maxRecordBytes: 10 } });
  await expect(journal.append([Buffer.alloc(11)])).rejects.toMatchObject({ code: "record-too-large" });
  await journal.append([Buffer.alloc(10)]);
  expect(journal.lastSeq).toBe(1);
  await journal.close();
});

test("a file without a journal's header is moved aside, and numbering goes on", async () => {
  const dir = freshDir();
  const journal = await open(dir);
  await journal.append([bytes("a"), bytes("b")]);
  await journal.acknowledge(1);
  await journal.close();
  const path = journalPath(dir, "bulk");
  const content = await readFile(path);
  content.writeUInt8(content.readUInt8(9) ^ 1, 9);
  await writeFile(path, content);

  const reopened = await open(dir);
  expect(reopened.recovery).toEqual({
    records: 0,
    droppedBytes: content.length,
    damagedCopy: `${path}.damaged`,
  });
  expect(await readFile(`${path}.damaged`)).toEqual(content);
  expect((await reopened.append([bytes("c")])).firstSeq).toBe(2);
  await reopened.close();
});

test("damage under an open journal is an error, not a shorter answer", async () => {
  const dir = freshDir();
  const journal = await open(dir);
  // More than is kept in memory, so that it is read back.
  for (let n = 0; n < 3; n++) await journal.append([Buffer.alloc(100_000)]);
  await truncate(journalPath(dir, "bulk"), (await stat(journalPath(dir, "bulk"))).size - 1);
  await expect(journal.pending(PAGE)).rejects.toMatchObject({ code: "damaged" });
  await journal.close();
});

test("a closed journal refuses everything, and closing twice is harmless", async () => {
  const journal = await open(freshDir());
  const last = journal.append([bytes("a")]);
  await journal.close();
  await journal.close();
  expect((await last).lastSeq).toBe(1);
  await expect(journal.append([bytes("b")])).rejects.toMatchObject({ code: "closed" });
  await expect(journal.pending(PAGE)).rejects.toMatchObject({ code: "closed" });
  await expect(journal.acknowledge(1)).rejects.toMatchObject({ code: "closed" });
});

test("a directory that cannot be made is a typed error that says what to do", async () => {
  const file = join(root, "a-file");
  await appendFile(file, "");
  await expect(open(join(file, "attempt"))).rejects.toMatchObject({
    name: "JournalError",
    code: "unwritable",
    message: expect.stringContaining("state directory is mounted"),
  });
});

describe("a full lane", () => {
  const limits = { maxBytes: 1_000, essentialBytes: 200 };
  const record = Buffer.alloc(80, "x"); // 100 bytes in the file; nine of them fit behind the header.

  test("bulk keeps what fits, counts what it drops, and has room left for a gap record", async () => {
    const journal = await open(freshDir(), { limits });
    expect(await journal.append(Array.from({ length: 12 }, () => record))).toEqual({
      firstSeq: 1,
      lastSeq: 9,
      dropped: 3,
      droppedBytes: 240,
    });
    expect(await journal.append([record])).toMatchObject({ firstSeq: undefined, dropped: 1 });
    expect(await journal.append([bytes("gap of 4")], { essential: true })).toMatchObject({
      firstSeq: 10,
      dropped: 0,
    });
    expect((await texts(journal)).at(-1)).toBe("10:gap of 4");
    await journal.close();
  });

  test("control refuses with a typed error and keeps nothing of that append", async () => {
    const journal = await open(freshDir(), { lane: "control", limits });
    await expect(journal.append(Array.from({ length: 12 }, () => record))).rejects.toMatchObject({
      code: "journal-full",
      retryable: true,
    });
    expect((await journal.append([record])).firstSeq).toBe(1);
    await journal.close();
  });

  test("a journal whose directory was renamed makes room there", async () => {
    const [before, dir] = [freshDir(), freshDir()];
    const journal = await open(before, { limits });
    await rename(before, dir);
    journal.movedTo(dir);
    await journal.append(Array.from({ length: 9 }, () => record));
    await journal.acknowledge(7);
    expect(await journal.append([record])).toMatchObject({ firstSeq: 10, dropped: 0 });
    await journal.close();
    expect((await readJournal({ dir, lane: "bulk" })).reclaimedThroughSeq).toBe(7);
    expect(existsSync(before)).toBe(false);
  });

  test("acknowledged records make room, and a reader learns which were removed", async () => {
    const dir = freshDir();
    const journal = await open(dir, { limits });
    await journal.append(Array.from({ length: 9 }, () => record));
    await journal.acknowledge(7);
    expect(await journal.append([record])).toMatchObject({ firstSeq: 10, dropped: 0 });
    expect((await texts(journal)).map((text) => text.slice(0, 5))).toEqual(["8:xxx", "9:xxx", "10:xx"]);
    await journal.close();

    const reading = await readJournal({ dir, lane: "bulk" });
    expect(reading.reclaimedThroughSeq).toBe(7);
    const seqs: number[] = [];
    for await (const { seq } of reading.records) seqs.push(seq);
    expect(seqs).toEqual([8, 9, 10]);

    await rm(join(dir, "bulk.ack"));
    const reopened = await open(dir, { limits });
    expect(reopened.acknowledgedSeq).toBe(7);
    expect(reopened.lastSeq).toBe(10);
    await reopened.close();
  });

  test("making room keeps the last record, because only it has the position", async () => {
    const dir = freshDir();
    const journal = await open(dir, { limits });
    await journal.append(Array.from({ length: 9 }, () => record));
    await journal.acknowledge(9);
    await journal.append([record]);
    await journal.close();
    const reading = await readJournal({ dir, lane: "bulk" });
    const seqs: number[] = [];
    for await (const { seq } of reading.records) seqs.push(seq);
    expect(seqs).toEqual([9, 10]);
  });

  test("a lane longer than its file loses nothing while it is acknowledged in time", async () => {
    const journal = await open(freshDir(), { limits });
    let delivered = 0;
    for (let round = 0; round < 200; round += 1) {
      expect((await journal.append([record, record])).dropped).toBe(0);
      for (const { seq } of await journal.pending(PAGE)) expect(seq).toBe(++delivered);
      await journal.acknowledge(delivered);
    }
    expect(delivered).toBe(400);
    await journal.close();
  });

  test("making room does not disturb a page that is being read", async () => {
    const journal = await open(freshDir(), { limits: { maxBytes: 400_000, maxRecordBytes: 200_000 } });
    const big = Buffer.alloc(100_000, "y");
    await journal.append([big, big, big]);
    const reading = journal.pending({ maxRecords: 3, maxBytes: 1e9 });
    await journal.acknowledge(2);
    await journal.append([big, big]);
    expect((await reading).map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect((await journal.pending({ maxRecords: 9, maxBytes: 1e9 })).map(({ seq }) => seq)).toEqual([
      3, 4, 5,
    ]);
    await journal.close();
  });
});

test("on a slow disk, bulk drops records and control refuses them, so that memory does not grow", async () => {
  const limits = { maxQueuedBytes: 1_000 };
  const bulk = await open(freshDir(), { limits });
  const results = await Promise.all(Array.from({ length: 20 }, () => bulk.append([Buffer.alloc(400)])));
  const dropped = results.reduce((sum, result) => sum + result.dropped, 0);
  expect(dropped).toBeGreaterThan(0);
  expect(bulk.lastSeq).toBe(20 - dropped);
  await bulk.close();

  const control = await open(freshDir(), { lane: "control", limits });
  const settled = await Promise.allSettled(
    Array.from({ length: 20 }, () => control.append([Buffer.alloc(400)])),
  );
  expect(
    settled.some((outcome) => outcome.status === "rejected" && outcome.reason.code === "journal-full"),
  ).toBe(true);
  await control.close();
});

test("a journal can be read while it is written, and afterwards", async () => {
  const dir = freshDir();
  const journal = await open(dir);
  await journal.append([bytes("a"), bytes("b")]);
  await journal.acknowledge(2);
  await appendFile(journalPath(dir, "bulk"), "half a rec");
  const { records, reclaimedThroughSeq } = await readJournal({ dir, lane: "bulk" });
  const seen: string[] = [];
  for await (const { seq, payload } of records) seen.push(`${seq}:${payload}`);
  expect(seen).toEqual(["1:a", "2:b"]);
  expect(reclaimedThroughSeq).toBe(0);
  await journal.close();
  await writeFile(journalPath(dir, "bulk"), "not a journal at all, but long enough to hold a header");
  await expect(readJournal({ dir, lane: "bulk" })).rejects.toMatchObject({ code: "damaged" });
});
