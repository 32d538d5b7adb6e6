import { ControlRecord, type Rejection } from "@towpath/contract";
import type { z } from "zod";
import { cleanJson } from "../../kernel/index.ts";

/** A record that is not parsed yet: an object with a sequence. */
export interface LooseRecord {
  readonly seq: number;
  readonly [key: string]: unknown;
}

/** The longest reason of a rejection, characters. */
const DETAIL_MAX_CHARS = 1_000;

/** The most faults in one reason. */
const FAULTS_MAX = 5;

/** The next records of a lane, without acknowledged ones, up to the first hole in the sequence. */
export function nextInSequence<Item extends { readonly seq: number }>(
  records: readonly Item[],
  acked: number,
): Item[] {
  const next: Item[] = [];
  for (const record of [...records].sort((one, other) => one.seq - other.seq)) {
    const expected = acked + next.length + 1;
    if (record.seq > expected) break;
    if (record.seq === expected) next.push(record);
  }
  return next;
}

/** The answer to a record that will never be accepted. */
export function rejection(args: Rejection): Rejection {
  return { ...args, detail: args.detail.slice(0, DETAIL_MAX_CHARS) };
}

/** Parses a record. The faults name fields and never quote values. */
export function readRecord<Schema extends z.ZodType>(
  schema: Schema,
  loose: LooseRecord,
): { record: z.output<Schema>; fault: "" } | { record: null; fault: string } {
  try {
    const parsed = schema.safeParse(loose);
    if (parsed.success) return { record: parsed.data, fault: "" };
    const faults = parsed.error.issues
      .slice(0, FAULTS_MAX)
      .map((issue) => `${issue.path.map(String).join(".") || "record"}: ${issue.message}`);
    return { record: null, fault: faults.join("; ") };
  } catch (error) {
    // The sender's record is nested deeper than the stack allows.
    if (error instanceof RangeError) return { record: null, fault: "record: nested too deeply" };
    throw error;
  }
}

/** The next control records of an attempt. */
export interface ControlLane {
  readonly records: readonly ControlRecord[];
  /** The sequence of the last one, malformed ones included. */
  readonly acked: number;
  readonly rejected: readonly Rejection[];
}

/**
 * Reads the control records of an attempt in order. Acknowledged records are ignored, and a hole in the sequence ends the
 * round. A malformed record is rejected alone.
 */
export function readControl(loose: readonly LooseRecord[], acked: number): ControlLane {
  const next = nextInSequence(loose, acked);
  const records: ControlRecord[] = [];
  const rejected: Rejection[] = [];
  for (const one of next) {
    const { record, fault } = readRecord(ControlRecord, one);
    if (record !== null) records.push(cleanJson(record));
    else rejected.push(rejection({ lane: "control", seq: one.seq, code: "bad-request", detail: fault }));
  }
  return { records, acked: next.at(-1)?.seq ?? acked, rejected };
}
