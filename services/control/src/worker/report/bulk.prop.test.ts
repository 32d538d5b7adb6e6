import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { getLogs } from "../../logs/index.ts";
import { createRun } from "../../runs/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { LineStretch } from "./bulk.ts";

let testEnv: TestEnv;
let tenancy: Tenancy;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  tenancy = await openTenancy(testEnv);
});
afterAll(() => testEnv.close());

/** A log as a worker sends it: chunks may overlap, repeat or be cut differently, and dropped lines are gaps. */
const lines = fc.array(fc.string({ unit: "binary", maxLength: 20 }), { minLength: 1, maxLength: 40 });
const cuts = fc.array(
  fc.record({ back: fc.integer({ min: 0, max: 8 }), take: fc.integer({ min: 1, max: 9 }) }),
  { minLength: 1, maxLength: 20 },
);

/** Cuts `texts` into records that cover all of them. Each record may repeat earlier lines. */
function recordsOf(texts: readonly string[], wanted: readonly { back: number; take: number }[]) {
  const cut: ReturnType<typeof records.log>[] = [];
  let sent = 0;
  for (let index = 0; sent < texts.length; index++) {
    const { back, take } = wanted[index % wanted.length] ?? { back: 0, take: 1 };
    const first = Math.max(0, sent - back);
    const until = Math.min(texts.length, sent + take);
    cut.push(records.log(first, texts.slice(first, until)));
    sent = until;
  }
  return cut;
}

async function running(): Promise<{
  fakeWorker: FakeWorker;
  given: Awaited<ReturnType<FakeWorker["take"]>>;
  runId: string;
}> {
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  return { fakeWorker, given, runId: id };
}

async function readAll(runId: string, limit: number) {
  const entries: Awaited<ReturnType<typeof getLogs>>["entries"] = [];
  let after = "0:0";
  for (let pages = 0; pages < 1_000; pages++) {
    const page = await getLogs(testEnv.deps, tenancy.scope, { runId, after, limit });
    entries.push(...page.entries);
    if (page.next === after || page.entries.length === 0) break;
    after = page.next;
  }
  return entries;
}

test("lines that were cut, repeated and reordered in reports read back in order, once", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({ lines, cuts, seed: fc.infiniteStream(fc.nat()), page: fc.integer({ min: 1, max: 50 }) }),
      async (a) => {
        const { fakeWorker, given, runId } = await running();
        const sent = recordsOf(a.lines, a.cuts).map((record, index) => ({ ...record, seq: index + 1 }));
        let acked = 0;
        for (let round = 0; round < 60 && acked < sent.length; round++) {
          // A report of some records, perhaps after a hole, perhaps with acknowledged ones.
          const from = Math.max(0, acked - 2 + (a.seed.next().value % 4));
          const some = sent.slice(from, from + 1 + (a.seed.next().value % 5));
          const shuffled = a.seed.next().value % 2 === 0 ? some.toReversed() : some;
          const answer = await fakeWorker.report(given, [], { bulk: shuffled });
          expect(answer.bulkAcked).toBeGreaterThanOrEqual(acked);
          acked = answer.bulkAcked;
        }
        while (acked < sent.length) {
          acked = (await fakeWorker.report(given, [], { bulk: sent.slice(acked, acked + 5) })).bulkAcked;
        }
        const read = await readAll(runId, a.page);
        expect(read.map((entry) => (entry.kind === "line" ? entry.text : entry))).toEqual(a.lines);
        expect(read.map((entry) => entry.line)).toEqual(a.lines.map((_, index) => index));
      },
    ),
    { numRuns: 25 },
  );
});

describe("a stretch of lines", () => {
  const piece = fc.record({
    firstLine: fc.integer({ min: 0, max: 60 }),
    count: fc.integer({ min: 1, max: 20 }),
  });

  test("covers every number once, in order, for any input", () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), fc.integer({ min: 0, max: 50 }), (pieces, base) => {
        const stretch = new LineStretch({ base, nextLine: base });
        for (const one of pieces) stretch.add({ ...one, lines: null, reason: "x" });
        let next = base;
        for (const chunk of stretch.chunks) {
          expect(chunk.firstLine).toBe(next);
          expect(chunk.lineCount).toBeGreaterThan(0);
          next += chunk.lineCount;
        }
        expect(stretch.nextLine).toBe(next);
      }),
    );
  });
});

test("a gap that the worker reports has its numbers, and numbers that were never reported are a gap too", async () => {
  const { fakeWorker, given, runId } = await running();
  const gap = { type: "gap", firstLine: 2, lines: 3, reason: "the journal was full" };
  await fakeWorker.report(given, [], {
    bulk: [records.log(0, ["a", "b"]), gap, records.log(5, ["f"]), records.log(8, ["i"])],
  });
  const entries = await readAll(runId, 100);
  expect(entries).toMatchObject([
    { kind: "line", line: 0, text: "a" },
    { kind: "line", line: 1, text: "b" },
    { kind: "gap", line: 2, count: 3, reason: "the journal was full" },
    { kind: "line", line: 5, text: "f" },
    { kind: "gap", line: 6, count: 2 },
    { kind: "line", line: 8, text: "i" },
  ]);
  const inside = await getLogs(testEnv.deps, tenancy.scope, { runId, after: "1:3", limit: 1 });
  expect(inside).toMatchObject({ entries: [{ kind: "gap", line: 3, count: 2 }], next: "1:5", end: false });
});

test("lines of a released claim stay before the lines of the next claim", async () => {
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const one = new FakeWorker(testEnv, await tenancy.worker());
  const first = await one.take();
  await one.report(first, [records.released], { bulk: [records.log(0, ["fetching", "registry away"])] });
  await testEnv.pass(5_000);
  const second = await one.take();
  expect(second.epoch).toBe(2);
  await one.report(second, [records.started], { bulk: [records.log(0, ["fetching", "running"])] });
  const entries = await readAll(id, 100);
  expect(entries.map((entry) => entry.kind === "line" && entry.text)).toEqual([
    "fetching",
    "registry away",
    "fetching",
    "running",
  ]);
});
