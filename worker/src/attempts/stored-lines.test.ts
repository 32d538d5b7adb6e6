import { appendFile, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { BulkRecord, LIMITS, type LogLine, newWorkspaceKey, ORIGINS, uuidv7 } from "@towpath/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openReserve, type Reserve } from "../journal/index.ts";
import { WorkerKeyring } from "../sealing/index.ts";
import { writeStored } from "../store/stored-bodies.ts";
import { Spool } from "./spool.ts";
import { CannotStore, type LinesStore } from "./stored-lines.ts";

const at = "2026-01-01T00:00:00.000Z";
const fence = { attemptId: uuidv7(0), epoch: 1, nonce: "0123456789abcdef" };
const BUDGET = { records: LIMITS.laneRecords, bytes: LIMITS.reportBytes };
const PLACE = { workspace: uuidv7(1), deployment: "churn", runId: uuidv7(2), store: null };
const keyring = new WorkerKeyring([newWorkspaceKey()]);
const line = (text: string): LogLine => ({ at, level: "info", stream: "log", text, task: "load" });

let dir: string;
let reserve: Reserve;
/** The time of the tests, milliseconds. It passes only in sleeps. */
let nowMs: number;
/** Thrown by the next writes, so many. */
let fault: Error | null;
let faults: number;
let writes: number;
const open: Spool[] = [];
/** Resolves at the next step of a writer. */
let stepped: PromiseWithResolvers<void>;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "twp-stored-lines-"));
  reserve = await openReserve({ path: join(dir, "reserve"), sizeBytes: 1024 });
  [nowMs, fault, faults, writes] = [0, null, Number.POSITIVE_INFINITY, 0];
  stepped = Promise.withResolvers();
});
afterEach(async () => {
  for (const spool of open.splice(0)) await spool.close();
  await rm(dir, { recursive: true, force: true });
});

const step = () => {
  stepped.resolve();
  stepped = Promise.withResolvers();
};

function linesStore(isOn = true): LinesStore {
  return {
    isOn,
    bootClock: { nowMs: () => nowMs },
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      nowMs += ms;
    },
    place: async () => PLACE,
    async write({ workspace, deployment, runId }, texts) {
      writes += 1;
      if (fault !== null && faults-- > 0) throw fault;
      const store = { root: pathToFileURL(join(dir, "store")).href };
      return await writeStored(
        { keyring, store, run: { workspace, deployment, runId } },
        "log",
        JSON.stringify(texts),
      );
    },
    ready: step,
    failed: (_, lost) => {
      if (lost) step();
    },
  };
}

/** A store for which no time passes. */
function frozenStore(): LinesStore {
  const sleep: LinesStore["sleep"] = async (_, signal) => {
    const over = Promise.withResolvers<void>();
    signal?.addEventListener("abort", () => over.resolve(), { once: true });
    await over.promise;
  };
  return { ...linesStore(), sleep };
}

async function openSpool(store: LinesStore = linesStore()): Promise<Spool> {
  const spool = await Spool.open({ reserve }, { dir: join(dir, "journal"), fence, lines: store });
  open.push(spool);
  return spool;
}

/** The records that can be sent once all texts are stored, or given up. */
async function sentOf(spool: Spool) {
  // As if the control plane had answered: after a restart it is asked first.
  spool.noteAnswered();
  for (;;) {
    const next = stepped.promise;
    const { bulk } = await spool.page(BUDGET);
    const isWhole = (bulk.at(-1)?.seq ?? 0) === spool.lastBulkSeq;
    if (isWhole) return bulk.map((record) => BulkRecord.parse(record));
    await next;
  }
}

const bodies = () => readdir(join(dir, "store", "runs", PLACE.runId, "bodies"));

/** The texts of records, from the files that they name. */
async function textsOf(records: readonly BulkRecord[]): Promise<string[]> {
  const texts: string[] = [];
  for (const record of records) {
    if (record.type !== "log") continue;
    const { stored } = record;
    if (stored === undefined) throw new Error("The record does not say where its texts are.");
    const file = await readFile(join(dir, "store", "runs", PLACE.runId, "bodies", stored.hash), "utf8");
    const { workspace, runId } = PLACE;
    const opened = keyring.unseal(file, { workspace, field: "log", origins: [ORIGINS.run(runId)] });
    const all: string[] = JSON.parse(opened);
    texts.push(...all.slice(stored.from, stored.from + record.lines.length));
  }
  return texts;
}

const say = async (spool: Spool, ...texts: string[]) => {
  for (const text of texts) await spool.say(line(text));
};

const end = (spool: Spool) =>
  spool.control({
    type: "ended",
    at,
    outcome: "completed",
    cause: null,
    exitCode: null,
    lastBulkSeq: spool.lastBulkSeq,
  });

test("no record has a text, and nothing is sent before the texts are in the store", async () => {
  const spool = await openSpool(frozenStore());
  await say(spool, "canary-1", "canary-2");
  expect(spool.sendable).toBe(false);
  expect(spool.pending).toBe(true);
  expect((await spool.page(BUDGET)).bulk).toEqual([]);
  await end(spool);
  const sent = await sentOf(spool);
  expect(JSON.stringify(sent)).not.toContain("canary");
  expect(sent).toMatchObject([
    { seq: 1, firstLine: 0, lines: [{ text: "", level: "info", task: "load" }], stored: { from: 0 } },
    { seq: 2, firstLine: 1, lines: [{ text: "" }], stored: { from: 1 } },
  ]);
  expect(await textsOf(sent)).toEqual(["canary-1", "canary-2"]);
  expect(await bodies()).toHaveLength(1);
});

test("an artifact between lines keeps its place, and a gap begins another body", async () => {
  const spool = await openSpool();
  await spool.flow({
    control: [],
    bulk: [
      { seq: 1, item: line("one") },
      {
        seq: 2,
        item: {
          type: "artifact",
          at,
          key: "a",
          title: "",
          task: null,
          body: { kind: "markdown", text: "x" },
        },
      },
      { seq: 3, item: line("two") },
    ],
    throughSeq: 3,
  });
  await spool.skipped({ stream: "stdout", lines: 5, throughBytes: 10 });
  await say(spool, "three");
  const sent = await sentOf(spool);
  expect(sent.map(({ type }) => type)).toEqual(["log", "artifact", "log", "gap", "log"]);
  expect(await textsOf(sent)).toEqual(["one", "two", "three"]);
  expect(sent).toMatchObject([{ firstLine: 0 }, {}, { firstLine: 1 }, { lines: 5 }, { firstLine: 7 }]);
  expect(await bodies()).toHaveLength(2);
});

test("after the end nothing waits for more lines", async () => {
  const spool = await openSpool(frozenStore());
  await say(spool, "last");
  await end(spool);
  expect(await textsOf(await sentOf(spool))).toEqual(["last"]);
});

test("many lines go into several bodies, each within the limit", async () => {
  const spool = await openSpool();
  const texts = Array.from({ length: 40 }, (_, index) => `${index} ${"x".repeat(30_000)}`);
  await spool.output({ stream: "stdout", lines: texts.map(line), throughBytes: 1 });
  const sent = await sentOf(spool);
  expect(await textsOf(sent)).toEqual(texts);
  expect((await bodies()).length).toBeGreaterThan(3);
});

test("lines that were not stored before a restart are stored after it, even if the setting has changed", async () => {
  const first = await openSpool(frozenStore());
  await say(first, "before");
  await first.close();
  const again = await openSpool(linesStore(false));
  expect(await textsOf(await sentOf(again))).toEqual(["before"]);
  await say(again, "reported");
  expect(await sentOf(again)).toMatchObject([
    { seq: 1, stored: {} },
    { seq: 2, lines: [{ text: "reported" }] },
  ]);
});

test("records that were stored and not acknowledged name the same body after a restart", async () => {
  const first = await openSpool();
  await say(first, "one", "two");
  const sent = await sentOf(first);
  const before = writes;
  await first.close();
  const again = await openSpool();
  expect(await sentOf(again)).toEqual(sent);
  expect(writes).toBe(before);
});

test("a body whose address was lost in a crash stays unused, and the lines are stored again", async () => {
  const first = await openSpool();
  await say(first, "one");
  await sentOf(first);
  await first.close();
  await rm(join(dir, "journal", "stored.ndjson"));
  expect(await textsOf(await sentOf(await openSpool()))).toEqual(["one"]);
  expect(await bodies()).toHaveLength(2);
});

test("a note that is newer than the journal, as after a power cut, names no later line", async () => {
  const first = await openSpool();
  await say(first, "one");
  const [sent] = await sentOf(first);
  await first.close();
  if (sent?.type !== "log" || sent.stored === undefined) throw new Error("The record has no address.");
  const { from: _, ...body } = sent.stored;
  const note = { first: 2, last: 5, line: 1, body };
  await appendFile(join(dir, "journal", "stored.ndjson"), `${JSON.stringify(note)}\n`);
  const again = await openSpool();
  await say(again, "two");
  expect(await textsOf(await sentOf(again))).toEqual(["one", "two"]);
  await again.acknowledge({ control: 0, bulk: 2 });
  await again.acknowledge({ control: 0, bulk: 0 });
  expect(await textsOf(await sentOf(again))).toEqual(["one", "two"]);
});

test("a control plane that has forgotten records gets them again with the same addresses", async () => {
  const spool = await openSpool();
  await say(spool, "one");
  await sentOf(spool);
  await say(spool, "two");
  const sent = await sentOf(spool);
  await spool.acknowledge({ control: 0, bulk: 2 });
  await spool.acknowledge({ control: 0, bulk: 0 });
  expect(spool.resends).toBe(true);
  const { bulk } = await spool.page(BUDGET);
  expect(bulk.map((record) => BulkRecord.parse(record))).toEqual(sent);
});

test("a write is tried again, and the order stays", async () => {
  [fault, faults] = [new Error("away"), 3];
  const spool = await openSpool();
  await say(spool, "one", "two");
  expect(await textsOf(await sentOf(spool))).toEqual(["one", "two"]);
  expect(writes).toBeGreaterThan(3);
});

test("lines become a gap with a reason when the store stays away, and later lines are stored again", async () => {
  fault = new Error("away");
  const spool = await openSpool();
  await say(spool, "one", "two");
  const sent = await sentOf(spool);
  expect(nowMs).toBeGreaterThanOrEqual(120_000);
  expect(sent).toMatchObject([
    { type: "gap", firstLine: 0, lines: 1, reason: expect.stringContaining("two minutes") },
    { type: "gap", firstLine: 1, lines: 1 },
  ]);
  await spool.acknowledge({ control: 0, bulk: 2 });
  fault = null;
  await say(spool, "three");
  expect(await textsOf(await sentOf(spool))).toEqual(["three"]);
});

test("a store that never can take lines costs one try", async () => {
  fault = new CannotStore("no key");
  const spool = await openSpool();
  await say(spool, "one");
  expect(await sentOf(spool)).toMatchObject([{ type: "gap", lines: 1, reason: "no key" }]);
  expect(writes).toBe(1);
});
