import type { JournalLane } from "../journal/index.ts";
import type { NumberedRecord } from "../protocol/index.ts";

/** What is sent in the place of a record whose kind has no shorter form: refused by itself, and so counted. */
const UNREADABLE = "unreadable";

/** Of an end, all but what a flow wrote: so much must arrive, or the run would never end. */
const END_FIELDS = ["seq", "type", "at", "outcome", "cause", "exitCode", "lastBulkSeq"];

/** What stands in for a record that the journal no longer has: in the log it takes no line, elsewhere it is refused and so counted. */
export function missing(lane: JournalLane, seq: number): NumberedRecord {
  if (lane === "control") return { seq, type: UNREADABLE };
  return { seq, type: "gap", firstLine: 0, lines: 0, reason: "The worker no longer has this record." };
}

/**
 * What stands in for a record that the control plane cannot read. Its number must be sent, because a lane is taken
 * without holes: everything behind one that is left out would wait for it for ever.
 */
export function standIn(lane: JournalLane, record: NumberedRecord): NumberedRecord {
  const { seq, type, firstLine, lines } = record;
  if (lane === "control" && type === "ended") {
    const kept = Object.entries(record).filter(([field]) => END_FIELDS.includes(field));
    return { ...Object.fromEntries(kept), seq };
  }
  if (lane === "bulk" && type === "log" && Array.isArray(lines)) {
    const reason = "The control plane could not read these lines.";
    return { seq, type: "gap", firstLine, lines: lines.length, reason };
  }
  return { seq, type: UNREADABLE };
}
