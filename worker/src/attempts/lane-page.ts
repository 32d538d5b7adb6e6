import { type Journal, type JournalLane, readJournal } from "../journal/index.ts";
import type { NumberedRecord, PageBudget } from "../protocol/index.ts";
import { decodeEntry, type Position } from "./spool-position.ts";

/** The next records of one lane. */
export interface LanePage {
  readonly records: NumberedRecord[];
  readonly bytes: number;
  /** The last of them, and where everything stood at it. */
  readonly last?: { readonly seq: number; readonly at: Position } | undefined;
}

/** The next records of a lane that were not acknowledged. */
export async function readPending(journal: Journal, budget: PageBudget): Promise<LanePage> {
  if (journal.lastSeq <= journal.acknowledgedSeq) return { records: [], bytes: 0 };
  const page = await journal.pending({ maxRecords: budget.records, maxBytes: budget.bytes });
  const bytes = page.reduce((sum, { payload }) => sum + payload.length, 0);
  const entries = page.map(({ seq, payload }) => ({ seq, ...decodeEntry(payload) }));
  const last = entries.at(-1);
  return { records: entries.map(({ seq, record }) => ({ ...record, seq })), bytes, last };
}

/** Where everything stood at one record that is not acknowledged yet; undefined if it cannot be read. */
export async function positionAt(journal: Journal, seq: number): Promise<Position | undefined> {
  const [found] = await journal.pending({ afterSeq: seq - 1, maxRecords: 1, maxBytes: 1 });
  return found?.seq === seq ? decodeEntry(found.payload).at : undefined;
}

/** Like `readPending`, for records that were acknowledged before: those only the file still has. */
export async function readAfter(
  dir: string,
  args: { lane: JournalLane; afterSeq: number; budget: PageBudget },
): Promise<LanePage> {
  const records: NumberedRecord[] = [];
  let bytes = 0;
  const reading = await readJournal({ dir, lane: args.lane });
  for await (const { seq, payload } of reading.records) {
    if (seq <= args.afterSeq) continue;
    bytes += payload.length;
    if (records.length > 0 && bytes > args.budget.bytes) break;
    records.push({ ...decodeEntry(payload).record, seq });
    if (records.length >= args.budget.records) break;
  }
  return { records, bytes };
}
