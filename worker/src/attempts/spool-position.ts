import { z } from "zod";
import { type JournalLane, readJournal } from "../journal/index.ts";
import { isMissing } from "../state/atomic-file.ts";

/**
 * Where everything stood when a record was journaled. It travels in the journal beside the record and never leaves, so that
 * one write keeps both: after a kill there is no record without its position and no position without its record.
 */
export const Position = z.object({
  /** The flow's highest record number taken. */
  flow: z.int(),
  /** The highest before the batch that this record came in. A flow that repeats that batch is asked for all of it. */
  before: z.int(),
  /** The number of the next log line. */
  line: z.int(),
  /** Bytes taken of each output file. */
  stdout: z.int(),
  stderr: z.int(),
});
export type Position = z.infer<typeof Position>;

/** A record as the journal holds it: what is reported, and where everything stood. */
export const Entry = z.object({ at: Position, record: z.looseObject({ type: z.string() }) });
export type Entry = z.infer<typeof Entry>;

/** The numbers of a position as they are noted beside an acknowledgement, 8 bytes each. */
const NOTED = ["flow", "before", "line", "stdout", "stderr"] as const satisfies (keyof Position)[];

/** Writes a position as a note of fixed length. */
export function encodeNote(position: Position): Buffer {
  const note = Buffer.alloc(NOTED.length * 8);
  for (const [index, name] of NOTED.entries()) note.writeBigUInt64LE(BigInt(position[name]), index * 8);
  return note;
}

/** Reads such a note; a note of zeros is the position before the first record. */
export function decodeNote(note: Buffer): Position {
  const read = NOTED.map((name, index) => [name, Number(note.readBigUInt64LE(index * 8))]);
  return Position.parse(Object.fromEntries(read));
}

/** Before the first record. */
export const START: Position = { flow: 0, before: 0, line: 0, stdout: 0, stderr: 0 };

/** What is known of a lane after a restart. */
export interface LaneHistory {
  /** The last record's number; 0 when there is none. */
  readonly lastSeq: number;
  /** The last record's position. */
  readonly last: Position | null;
  /** The highest flow record in this lane, and what came before its batch. */
  readonly flow: number;
  readonly before: number;
  /** The types of all records in the lane's file, with their numbers. */
  readonly types: ReadonlyMap<string, number>;
}

/** The history of a lane without records. */
export const NO_HISTORY: LaneHistory = { lastSeq: 0, last: null, flow: 0, before: 0, types: new Map() };

/** Reads a lane's file to its end; an empty history when there is none. */
export async function readHistory(dir: string, lane: JournalLane): Promise<LaneHistory> {
  let last: Position | null = null;
  let lastSeq = 0;
  let [flow, before] = [0, 0];
  const types = new Map<string, number>();
  try {
    const { records } = await readJournal({ dir, lane });
    for await (const { seq, payload } of records) {
      const entry = decodeEntry(payload);
      last = entry.at;
      lastSeq = seq;
      // What was printed meanwhile may stand behind a batch with the position from before it.
      if (entry.at.flow > flow) [flow, before] = [entry.at.flow, entry.at.before];
      types.set(entry.record.type, seq);
    }
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  return { lastSeq, last, flow, before, types };
}

/** Reads an entry that this worker wrote. */
export function decodeEntry(payload: Buffer): Entry {
  return Entry.parse(JSON.parse(payload.toString("utf8")));
}

/** Writes an entry as bytes. */
export function encodeEntry(entry: { at: Position; record: object }): Buffer {
  return Buffer.from(JSON.stringify(entry), "utf8");
}
