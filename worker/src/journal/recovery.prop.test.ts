import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { journalPath, openJournal } from "./journal.ts";
import { FILE_HEADER_BYTES, RECORD_HEADER_BYTES } from "./record-format.ts";

let root: string;
let made = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "towpath-recovery-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const PAGE = { maxRecords: 1_000, maxBytes: 1e9 };
const payloads = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 64 });
/** Damage to the file from some point on. */
type Harm =
  | { kind: "truncate" }
  | { kind: "zeros" }
  | { kind: "flip"; mask: number }
  | { kind: "junk"; junk: Uint8Array };
const harm: fc.Arbitrary<Harm> = fc.oneof(
  fc.record({ kind: fc.constant("truncate" as const) }),
  fc.record({ kind: fc.constant("flip" as const), mask: fc.integer({ min: 1, max: 255 }) }),
  fc.record({ kind: fc.constant("junk" as const), junk: fc.uint8Array({ minLength: 1, maxLength: 200 }) }),
  fc.record({ kind: fc.constant("zeros" as const) }),
);

function applyHarm(content: Buffer, at: number, how: Harm): Buffer {
  const head = content.subarray(0, at);
  if (how.kind === "truncate") return head;
  if (how.kind === "junk") return Buffer.concat([head, how.junk]);
  if (how.kind === "zeros") return Buffer.concat([head, Buffer.alloc(content.length - at)]);
  const flipped = Buffer.from(content);
  flipped.writeUInt8(flipped.readUInt8(at) ^ how.mask, at);
  return flipped;
}

test("after any damage to the tail, recovery finds the longest valid prefix and nothing else", async () => {
  await fc.assert(
    fc.asyncProperty(
      payloads,
      fc.double({ min: 0, max: 1, noNaN: true }),
      harm,
      async (written, where, how) => {
        const dir = join(root, `${made++}`);
        const journal = await openJournal({ dir, lane: "control" });
        await journal.append(written);
        await journal.close();
        const path = journalPath(dir, "control");
        const before = await readFile(path);
        const body = before.length - FILE_HEADER_BYTES;
        const at = FILE_HEADER_BYTES + Math.min(Math.floor(where * body), body - 1);
        const after = applyHarm(before, at, how);
        await writeFile(path, after);
        // Random bytes may repeat the original ones, so the intact prefix is measured.
        let intact = 0;
        while (intact < Math.min(before.length, after.length) && before[intact] === after[intact])
          intact += 1;

        const recovered = await openJournal({ dir, lane: "control" });
        const records = await recovered.pending(PAGE);
        let [end, expected] = [FILE_HEADER_BYTES, 0];
        for (const payload of written) {
          end += RECORD_HEADER_BYTES + payload.length;
          if (end <= intact) expected += 1;
        }
        expect(records.map(({ payload }) => new Uint8Array(payload))).toEqual(written.slice(0, expected));
        expect(records.map(({ seq }) => seq)).toEqual(records.map((_, index) => index + 1));

        // The next append comes right after the prefix and is found again.
        await recovered.append([Buffer.from("next")]);
        await recovered.close();
        const again = await openJournal({ dir, lane: "control" });
        expect(again.recovery).toMatchObject({ records: expected + 1, droppedBytes: 0 });
        expect((await again.pending(PAGE)).at(-1)?.payload.toString()).toBe("next");
        await again.close();
        await rm(dir, { recursive: true });
      },
    ),
    { numRuns: 150 },
  );
});

test("records of one file are not taken for records of another", async () => {
  const dir = join(root, `${made++}`);
  const other = join(root, `${made++}`);
  for (const each of [dir, other]) {
    const journal = await openJournal({ dir: each, lane: "bulk" });
    await journal.append([Buffer.from("one"), Buffer.from("two")]);
    await journal.close();
  }
  const [mine, theirs] = await Promise.all([dir, other].map((each) => readFile(journalPath(each, "bulk"))));
  if (!mine || !theirs) throw new Error("both files exist");
  const oneRecord = FILE_HEADER_BYTES + RECORD_HEADER_BYTES + 3;
  await writeFile(
    journalPath(dir, "bulk"),
    Buffer.concat([mine.subarray(0, oneRecord), theirs.subarray(oneRecord)]),
  );
  const journal = await openJournal({ dir, lane: "bulk" });
  expect(journal.recovery.records).toBe(1);
  await journal.close();
});
