import { ControlRecord, type Rejection } from "@towpath/contract";
import type { z } from "zod";
import { cleanJson } from "../../kernel/index.ts";
import type { ReportedRecord } from "../../runs/index.ts";

/** The type of a record whose plain values a sealed workspace refuses. No schema has it, so it is rejected alone. */
export const PLAIN_TYPE = "plain-value";

/** A record that is not parsed yet: an object with a sequence. */
export interface LooseRecord {
  readonly seq: number;
  readonly [key: string]: unknown;
}

/** The longest reason of a rejection, characters. */
const DETAIL_MAX_CHARS = 1_000;

/** The most faults in one reason. */
const FAULTS_MAX = 5;

/** The problem of a record that cannot be read. */
export function codeOf({ type }: LooseRecord): "plain-value" | "bad-request" {
  return type === PLAIN_TYPE ? "plain-value" : "bad-request";
}

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
  if (loose.type === PLAIN_TYPE && typeof loose.plain === "string")
    return { record: null, fault: loose.plain };
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

/** An end that reaches the control plane earlier than this is not late, milliseconds. */
const LATE_MIN_MS = 1_000;
/** A larger difference comes from a clock that was set, milliseconds: journals are not kept as long. */
const LATE_MAX_MS = 366 * 24 * 3_600_000;

/**
 * How long ago a record was written, milliseconds: the time between the record and its report, both by the worker's clock. So
 * a wrong clock changes nothing, unless it was set between the two. 0: less than a second, or the worker does not say.
 */
export function lateMsOf({ at }: { readonly at: string }, sentAt: string | undefined): number {
  if (sentAt === undefined) return 0;
  const lateMs = Date.parse(sentAt) - Date.parse(at);
  return lateMs >= LATE_MIN_MS && lateMs <= LATE_MAX_MS ? lateMs : 0;
}

/** The next control records of an attempt. */
export interface ControlLane {
  readonly records: readonly ReportedRecord[];
  /** The sequence of the last one, malformed ones included. */
  readonly acked: number;
  readonly rejected: readonly Rejection[];
}

/**
 * Reads the control records of an attempt in order. Acknowledged records are ignored, and a hole in the sequence ends the
 * round. A malformed record is rejected alone.
 */
export function readControl(
  loose: readonly LooseRecord[],
  { acked, sentAt }: { acked: number; sentAt?: string | undefined },
): ControlLane {
  const next = nextInSequence(loose, acked);
  const records: ReportedRecord[] = [];
  const rejected: Rejection[] = [];
  for (const one of next) {
    const { record, fault } = readRecord(ControlRecord, one);
    if (record?.type === "ended") records.push({ ...cleanJson(record), lateMs: lateMsOf(record, sentAt) });
    else if (record !== null) records.push(cleanJson(record));
    else rejected.push(rejection({ lane: "control", seq: one.seq, code: codeOf(one), detail: fault }));
  }
  return { records, acked: next.at(-1)?.seq ?? acked, rejected };
}
