import { type BulkRecord, LIMITS, type LogLine } from "@towpath/contract";
import { z } from "zod";
import { type Journal, type JournalLane, readJournal } from "../journal/index.ts";
import type { NumberedRecord, PageBudget } from "../protocol/index.ts";
import type { Unnumbered } from "../secrets/index.ts";
import { isMissing } from "../state/atomic-file.ts";

/**
 * How far all sources were read when a record was journaled. The journal keeps it with the record, in one write,
 * and it is never reported. So a kill leaves no record without its position.
 */
export const Position = z.object({
  /** The highest record number of the flow that was taken. */
  flow: z.int(),
  /** The highest number before the batch of this record. After a restart, the flow sends that whole batch again. */
  before: z.int(),
  /** The number of the next log line. */
  line: z.int(),
  /** Bytes taken of each output file. */
  stdout: z.int(),
  stderr: z.int(),
});
export type Position = z.infer<typeof Position>;

/**
 * A record as the journal holds it: what is reported, and the position. The texts of lines that go into the customer's store are
 * beside the record, because they are never reported.
 */
export const Entry = z.object({
  at: Position,
  record: z.looseObject({ type: z.string() }),
  texts: z.array(z.string()).optional(),
});
export type Entry = z.infer<typeof Entry>;

/** The fields of a position in the note beside an acknowledgement, 8 bytes each. */
const NOTED = ["flow", "before", "line", "stdout", "stderr"] as const satisfies (keyof Position)[];

/** Writes a position as a note of fixed length. */
export function encodeNote(position: Position): Buffer {
  const note = Buffer.alloc(NOTED.length * 8);
  for (const [index, name] of NOTED.entries()) note.writeBigUInt64LE(BigInt(position[name]), index * 8);
  return note;
}

/** Reads such a note. A note of zeros is the position before the first record. */
export function decodeNote(note: Buffer): Position {
  const read = NOTED.map((name, index) => [name, Number(note.readBigUInt64LE(index * 8))]);
  return Position.parse(Object.fromEntries(read));
}

/** Before the first record. */
export const START: Position = { flow: 0, before: 0, line: 0, stdout: 0, stderr: 0 };

/** What the worker knows of a lane after a restart. */
export interface LaneHistory {
  /** The last record's number; 0 when there is none. */
  readonly lastSeq: number;
  /** The last record's position. */
  readonly last: Position | null;
  /** The highest flow record in this lane, and the highest before its batch. */
  readonly flow: number;
  readonly before: number;
  /** The types of all records in the lane's file, with their numbers. */
  readonly types: ReadonlyMap<string, number>;
  /** The last record that has texts for the customer's store; 0 when none has. */
  readonly texts: number;
}

/** The history of a lane without records. */
export const NO_HISTORY: LaneHistory = {
  lastSeq: 0,
  last: null,
  flow: 0,
  before: 0,
  types: new Map(),
  texts: 0,
};

/** Reads a lane's file to its end. Returns an empty history when there is none. */
export async function readHistory(dir: string, lane: JournalLane): Promise<LaneHistory> {
  let last: Position | null = null;
  let lastSeq = 0;
  let [flow, before, texts] = [0, 0, 0];
  const types = new Map<string, number>();
  try {
    const { records } = await readJournal({ dir, lane });
    for await (const { seq, payload } of records) {
      const entry = decodeEntry(payload);
      last = entry.at;
      lastSeq = seq;
      // A line printed during a batch can follow it with the position from before it.
      if (entry.at.flow > flow) [flow, before] = [entry.at.flow, entry.at.before];
      types.set(entry.record.type, seq);
      if (entry.texts !== undefined) texts = seq;
    }
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  return { lastSeq, last, flow, before, types, texts };
}

/** Reads an entry that this worker wrote. */
export function decodeEntry(payload: Buffer): Entry {
  return Entry.parse(JSON.parse(payload.toString("utf8")));
}

/** Writes an entry as bytes. */
export function encodeEntry(entry: {
  at: Position;
  record: object;
  texts?: readonly string[] | undefined;
}): Buffer {
  return Buffer.from(JSON.stringify(entry), "utf8");
}

/** The next records of one lane. */
export interface LanePage {
  readonly records: NumberedRecord[];
  readonly bytes: number;
  /** The last of them, and its position. */
  readonly last?: { readonly seq: number; readonly at: Position } | undefined;
  /** Those whose texts go into the customer's store. */
  readonly texts: ReadonlySet<number>;
}

/** A page without records. */
export const NO_PAGE: LanePage = { records: [], bytes: 0, texts: new Set() };

/** The next records of a lane that are not acknowledged, up to a number. */
export async function readPending(
  journal: Journal,
  { budget, through }: { budget: PageBudget; through: number },
): Promise<LanePage> {
  if (Math.min(journal.lastSeq, through) <= journal.acknowledgedSeq) return NO_PAGE;
  const page = await journal.pending({ maxRecords: budget.records, maxBytes: budget.bytes });
  const sent = page.filter(({ seq }) => seq <= through);
  const bytes = sent.reduce((sum, { payload }) => sum + payload.length, 0);
  const entries = sent.map(({ seq, payload }) => ({ seq, ...decodeEntry(payload) }));
  const last = entries.at(-1);
  const texts = new Set(entries.filter((entry) => entry.texts !== undefined).map(({ seq }) => seq));
  return { records: entries.map(({ seq, record }) => ({ ...record, seq })), bytes, last, texts };
}

/** The position of a record that is not acknowledged yet; undefined if it cannot be read. */
export async function positionAt(journal: Journal, seq: number): Promise<Position | undefined> {
  const [found] = await journal.pending({ afterSeq: seq - 1, maxRecords: 1, maxBytes: 1 });
  return found?.seq === seq ? decodeEntry(found.payload).at : undefined;
}

/** Like `readPending`, for records that were acknowledged before. Only the file still has them. */
export async function readAfter(
  dir: string,
  args: { lane: JournalLane; afterSeq: number; through: number; budget: PageBudget },
): Promise<LanePage> {
  const records: NumberedRecord[] = [];
  const texts = new Set<number>();
  let bytes = 0;
  const reading = await readJournal({ dir, lane: args.lane });
  for await (const { seq, payload } of reading.records) {
    if (seq <= args.afterSeq || seq > args.through) continue;
    bytes += payload.length;
    if (records.length > 0 && bytes > args.budget.bytes) break;
    const entry = decodeEntry(payload);
    records.push({ ...entry.record, seq });
    if (entry.texts !== undefined) texts.add(seq);
    if (records.length >= args.budget.records) break;
  }
  return { records, bytes, texts };
}

/** Bytes of lines in one record. Many records of this size fit in a report. */
const LINES_BYTES = 256 * 1024;

/** How far the sources were read once something is journaled. */
interface Read {
  /** The flow's number; undefined if it is that of the record before. */
  readonly flow: number | undefined;
  /** Positions in output files that have changed. */
  readonly read?: Partial<Pick<Position, "stdout" | "stderr">>;
}

/** A line or another record for the bulk lane. */
export interface BulkItem extends Read {
  readonly item: Unnumbered<BulkRecord> | LogLine;
}

/** A record of lines, or another record. */
export type Grouped = Read & ({ readonly lines: LogLine[] } | { readonly item: Unnumbered<BulkRecord> });

/** Puts neighbouring lines into one record, within the limits of the wire. */
export function groupLines(items: readonly BulkItem[]): Grouped[] {
  const grouped: Grouped[] = [];
  // Bytes as JSON: a control character takes up to six.
  const sizeOf = (line: LogLine) => Buffer.byteLength(JSON.stringify(line)) + 1;
  let bytes = 0;
  for (const { flow, read, item } of items) {
    if ("type" in item) {
      grouped.push({ flow, item });
      continue;
    }
    const last = grouped.at(-1);
    bytes += sizeOf(item);
    const fits = last && "lines" in last && last.lines.length < LIMITS.logLines && bytes <= LINES_BYTES;
    if (fits) {
      last.lines.push(item);
      // The record goes up to the number of its last line.
      grouped[grouped.length - 1] = { ...last, flow: flow ?? last.flow, read: { ...last.read, ...read } };
    } else {
      grouped.push({ flow, lines: [item], ...(read && { read }) });
      bytes = sizeOf(item);
    }
  }
  return grouped;
}

/** The type sent for a record whose kind has no shorter form. The control plane rejects it alone and counts it. */
const UNREADABLE = "unreadable";

/** The fields of an end that no flow wrote. They must arrive, or the run would never end. */
const END_FIELDS = ["seq", "type", "at", "outcome", "cause", "exitCode", "lastBulkSeq"];

/**
 * What is sent for a record that the journal no longer has. In the log it takes no line. In the control lane it
 * is rejected and counted.
 */
export function missing(lane: JournalLane, seq: number): NumberedRecord {
  if (lane === "control") return { seq, type: UNREADABLE };
  return { seq, type: "gap", firstLine: 0, lines: 0, reason: "The worker no longer has this record." };
}

/**
 * What is sent for a record that the control plane cannot read. Its number must be sent: the control plane takes
 * a lane without holes, and later records would wait forever.
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

/** One batch of a flow's records: its highest number, and the number of the last control record made from it. */
interface Mark {
  readonly flow: number;
  readonly control: number;
}

interface Waiter {
  readonly seq: number;
  readonly wake: () => void;
}

/** Knows which records of a flow the control plane has acknowledged, by the flow's own numbers. */
export class StoredMarks {
  #marks: Mark[] = [];
  #stored = 0;
  #acked = 0;
  readonly #waiting = new Set<Waiter>();

  /** Whether a flow waits. */
  get isAwaited(): boolean {
    return this.#waiting.size > 0;
  }

  /** A batch is in the journal: the flow's records up to `flow`, as control records up to `control`. */
  taken(mark: Mark): void {
    this.#marks.push(mark);
    this.#move();
  }

  /** The control plane has acknowledged the control lane up to this number. */
  acknowledged(control: number): void {
    this.#acked = Math.max(this.#acked, control);
    this.#move();
  }

  /** Waits until every record up to a number is stored. Returns false when the wait ends first. */
  async until(seq: number, args: { waitMs?: number; signal: AbortSignal }): Promise<boolean> {
    if (this.#stored >= seq) return true;
    const { promise, resolve } = Promise.withResolvers<void>();
    const over =
      args.waitMs === undefined
        ? args.signal
        : AbortSignal.any([args.signal, AbortSignal.timeout(args.waitMs)]);
    const waiter: Waiter = { seq, wake: resolve };
    this.#waiting.add(waiter);
    if (over.aborted) resolve();
    over.addEventListener("abort", waiter.wake, { once: true });
    await promise;
    over.removeEventListener("abort", waiter.wake);
    this.#waiting.delete(waiter);
    return this.#stored >= seq;
  }

  #move(): void {
    const due = this.#marks.filter(({ control }) => control <= this.#acked);
    if (due.length === 0) return;
    this.#marks = this.#marks.slice(due.length);
    this.#stored = Math.max(this.#stored, ...due.map(({ flow }) => flow));
    for (const { seq, wake } of this.#waiting) if (seq <= this.#stored) wake();
  }
}
