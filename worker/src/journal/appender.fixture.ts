/*
 * A process for the tests to kill: appends numbered records forever and says on stdout, one number a line, how far its appends
 * have resolved. Arguments: directory, and `steady` (one lane, several appends at once) or `reclaiming` (acknowledges and so
 * rewrites its file all the time).
 */
import { writeSync } from "node:fs";
import { openJournal } from "./journal.ts";

const [dir = "", mode = "steady"] = process.argv.slice(2);
const reclaiming = mode === "reclaiming";
const journal = await openJournal({ dir, lane: "control", limits: reclaiming ? { maxBytes: 60_000 } : {} });

const payloadOf = (seq: number) => Buffer.from(`${seq}:${"z".repeat(seq % 500)}`);

let next = journal.lastSeq + 1;
while (true) {
  const appends = Array.from({ length: 8 }, () => journal.append([payloadOf(next++), payloadOf(next++)]));
  for (const append of appends) writeSync(1, `${(await append).lastSeq}\n`);
  if (reclaiming) await journal.acknowledge(journal.lastSeq - 10);
}
