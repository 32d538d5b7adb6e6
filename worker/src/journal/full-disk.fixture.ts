/*
 * Runs inside a mount namespace where the directory it is given is a very small disk, fills that disk, and prints what the
 * journals did as one line of JSON.
 */
import { writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Journal, openJournal } from "./journal.ts";
import { JournalError } from "./journal-error.ts";
import { openReserve } from "./reserve.ts";

const [disk = ""] = process.argv.slice(2);
const PAGE = { maxRecords: 1e6, maxBytes: 1e9 };
const MAX_APPENDS = 5_000;
const record = Buffer.alloc(1_000, "r");

writeFileSync(join(disk, "ballast"), Buffer.alloc(400 * 1024));
const reserve = await openReserve({ path: join(disk, "reserve"), sizeBytes: 256 * 1024 });
const dir = join(disk, "attempt");
const control = await openJournal({ dir, lane: "control", reserve });
const bulk = await openJournal({ dir, lane: "bulk", reserve });
const heldAtFirst = reserve.held;

const bulkKept = await appendUntil(bulk, (dropped) => dropped > 0);
const heldAfterBulk = reserve.held;
const controlBeforeRelease = await appendUntil(control, () => !reserve.held);
const bulkAfterRelease = await bulk.append([record]);
let failure: unknown;
const controlInReserve = await appendUntil(control, () => false).catch((error: unknown) => {
  failure = error;
  return control.lastSeq;
});
await control.acknowledge(3);
const restoredWhileFull = await reserve.restore();
await control.close();

const reopened = await openJournal({ dir, lane: "control", reserve });
const recovered = (await reopened.pending(PAGE)).length;
await rm(join(disk, "ballast"));
const restored = await reserve.restore();
const bulkAfterRestore = await bulk.append([Buffer.from("again")]);
const controlAfterRestore = await reopened.append([record]);

process.stdout.write(
  JSON.stringify({
    heldAtFirst,
    bulkKept,
    heldAfterBulk,
    controlBeforeRelease,
    bulkDroppedAfterRelease: bulkAfterRelease.dropped,
    failure: failure instanceof JournalError ? failure.code : String(failure),
    controlInReserve,
    restoredWhileFull,
    recovered,
    restored,
    bulkDroppedAfterRestore: bulkAfterRestore.dropped,
    controlSeqAfterRestore: controlAfterRestore.firstSeq,
  }),
);

async function appendUntil(journal: Journal, done: (dropped: number) => boolean): Promise<number> {
  for (let count = 0; count < MAX_APPENDS; count += 1) {
    const { dropped } = await journal.append([record]);
    if (done(dropped)) break;
  }
  return journal.lastSeq;
}
