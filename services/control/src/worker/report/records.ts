import type { Rejection } from "@towpath/contract";
import type { z } from "zod";

/** A record that nobody has looked into yet: an object with a sequence. */
export interface LooseRecord {
  readonly seq: number;
  readonly [key: string]: unknown;
}

/** The most of a rejection's reason that is told, characters. */
const DETAIL_MAX_CHARS = 1_000;

/** The most faults of one record that are told. */
const FAULTS_MAX = 5;

/** The next records of a lane: what was acknowledged before is skipped, and a hole in the sequence ends them. */
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

/** A record as the contract reads it, or its faults by field, which never quote what was sent. */
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
    // A document nested past the stack's depth is the sender's fault, not ours.
    if (error instanceof RangeError) return { record: null, fault: "record: nested too deeply" };
    throw error;
  }
}
