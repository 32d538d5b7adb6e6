import { open } from "node:fs/promises";
import { readAcknowledged } from "./ack-file.ts";
import { ackPath, type JournalRecord, journalPath } from "./journal.ts";
import { JournalError, type JournalLane } from "./journal-error.ts";
import { readFileHeader } from "./lane-file.ts";
import { scanRecords } from "./scan-records.ts";

/** A lane's file, opened for reading. */
export interface JournalReading {
  /** Records up to this number are no longer in the file; 0 when it is complete. */
  readonly reclaimedThroughSeq: number;
  /** The highest number that the control plane has acknowledged. */
  readonly acknowledgedSeq: number;
  /**
   * Every whole record, acknowledged or not, in order. The caller must read to the end or return from it,
   * because it holds the file open.
   */
  readonly records: AsyncGenerator<JournalRecord>;
}

/**
 * Reads a lane without changing it, even while a worker appends to it. A record that is being written is not seen.
 * @throws JournalError `damaged` when the file is no journal; the system's ENOENT when there is none.
 */
export async function readJournal(args: { dir: string; lane: JournalLane }): Promise<JournalReading> {
  const path = journalPath(args.dir, args.lane);
  const handle = await open(path, "r");
  const header = await readFileHeader(handle);
  if (!header) {
    await handle.close();
    throw new JournalError("damaged", `${path} does not begin like a journal.`);
  }
  const { salt, reclaimedThroughSeq } = header;
  const acknowledgedSeq = Math.max(reclaimedThroughSeq, await readAcknowledged(ackPath(args.dir, args.lane)));
  async function* records(): AsyncGenerator<JournalRecord> {
    try {
      for await (const { seq, payload } of scanRecords(handle, { salt, afterSeq: reclaimedThroughSeq })) {
        yield { seq, payload };
      }
    } finally {
      await handle.close();
    }
  }
  return { reclaimedThroughSeq, acknowledgedSeq, records: records() };
}
