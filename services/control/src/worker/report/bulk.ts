import {
  BulkRecord,
  isSealed,
  LIMITS,
  type LogLine,
  type ProblemCode,
  type Rejection,
  type StoredLines,
  sealedBytes,
} from "@towpath/contract";
import { cleanInstant, cleanJson } from "../../kernel/index.ts";
import type { NewArtifact, NewChunk } from "../../logs/index.ts";
import type { AttemptRow } from "../../runs/table.ts";
import { codeOf, type LooseRecord, nextInSequence, readRecord, rejection } from "./records.ts";

/** The highest number of a line that a cursor can name. */
const LINE_MAX = 999_999_999_999;

/** The result of one attempt's bulk lane. */
export interface BulkResult {
  readonly chunks: readonly NewChunk[];
  readonly artifacts: readonly NewArtifact[];
  readonly bulkAcked: number;
  readonly nextLine: number;
  readonly rejected: readonly Rejection[];
}

/**
 * Orders the incoming lines of an attempt. Each number is taken once, and skipped numbers become a gap. So repeated,
 * overlapping or differently cut chunks never duplicate a line.
 */
export class LineStretch {
  readonly chunks: NewChunk[] = [];
  readonly #base: number;
  nextLine: number;

  /** @param args.base the number of this claim's line 0: lines of earlier claims come before it. */
  constructor(args: { base: number; nextLine: number }) {
    this.#base = args.base;
    this.nextLine = args.nextLine;
  }

  /** @returns whether the numbers are within the limit. */
  add(args: {
    firstLine: number;
    count: number;
    lines: readonly LogLine[] | null;
    stored?: StoredLines | undefined;
    reason: string | null;
  }): boolean {
    const first = this.#base + args.firstLine;
    const end = first + args.count;
    if (end > LINE_MAX) return false;
    if (end <= this.nextLine) return true;
    if (first > this.nextLine) this.#skipTo(first);
    const cut = this.nextLine - first;
    const { reason, stored } = args;
    this.#push({
      lineCount: args.count - cut,
      lines: args.lines?.slice(cut) ?? null,
      reason,
      ...(stored !== undefined && { stored: { ...stored, from: stored.from + cut } }),
    });
    return true;
  }

  /** Adds the next lines. Joins consecutive gaps with the same reason, since a full journal reports many. */
  #push(chunk: Omit<NewChunk, "firstLine">): void {
    const firstLine = this.nextLine;
    this.nextLine += chunk.lineCount;
    const last = this.chunks.at(-1);
    const isSameGap = last?.lines === null && chunk.lines === null && last.reason === chunk.reason;
    if (!isSameGap) this.chunks.push({ firstLine, ...chunk });
    else this.chunks.splice(-1, 1, { ...last, lineCount: last.lineCount + chunk.lineCount });
  }

  #skipTo(line: number): void {
    this.#push({ lineCount: line - this.nextLine, lines: null, reason: "never reported" });
  }
}

/**
 * Reads the bulk records of an attempt in order. Acknowledged records are ignored, and a hole in the sequence ends the
 * round. A malformed record is rejected alone and leaves a gap. Writes nothing.
 * @param args.shown keys of the attempt's artifacts so far. Keys of new artifacts are added.
 */
export function readBulk(
  row: AttemptRow,
  args: { records: readonly LooseRecord[]; shown: Set<string> },
): BulkResult {
  const stretch = new LineStretch({ base: row.lineBase, nextLine: row.nextLine });
  const artifacts = new Map<string, NewArtifact>();
  const rejected: Rejection[] = [];
  let { bulkAcked } = row;
  for (const loose of nextInSequence(args.records, bulkAcked)) {
    bulkAcked = loose.seq;
    const after = refusedAfterEnd(row, loose.seq);
    const fault = after ?? take(loose, { stretch, artifacts, shown: args.shown });
    if (fault === null) continue;
    rejected.push(rejection({ lane: "bulk", seq: loose.seq, ...fault }));
    if (after === null) leaveGap(loose, stretch);
  }
  const { chunks, nextLine } = stretch;
  return { chunks, artifacts: [...artifacts.values()], bulkAcked, nextLine, rejected };
}

/** Why a record is rejected. */
interface Fault {
  readonly code: ProblemCode;
  readonly detail: string;
}

const malformed = (detail: string): Fault => ({ code: "bad-request", detail });

function refusedAfterEnd(row: AttemptRow, seq: number): Fault | null {
  if (row.endedAt === null || seq <= (row.lastBulkSeq ?? 0)) return null;
  return malformed(`The attempt has ended. Its last bulk record is ${row.lastBulkSeq ?? 0}.`);
}

/** The lines and artifacts that records are added to. */
interface Target {
  readonly stretch: LineStretch;
  readonly artifacts: Map<string, NewArtifact>;
  readonly shown: Set<string>;
}

/** @returns the fault of the record, or null if it was taken. */
function take(loose: LooseRecord, into: Target): Fault | null {
  const { record, fault } = readRecord(BulkRecord, loose);
  if (record === null) return { code: codeOf(loose), detail: fault };
  if (record.type === "artifact") return takeArtifact(record, into);
  const { firstLine } = record;
  const isGap = record.type === "gap";
  const count = isGap ? record.lines : record.lines.length;
  if (count === 0) return null;
  const lines = isGap ? null : record.lines;
  const reason = isGap ? cleanJson(record.reason) : null;
  const stored = isGap ? undefined : record.stored;
  const isInRange = into.stretch.add({ firstLine, count, lines, stored, reason });
  return isInRange ? null : malformed("firstLine: out of range");
}

function takeArtifact(
  record: Extract<BulkRecord, { type: "artifact" }>,
  { artifacts, shown }: Target,
): Fault | null {
  const clean = cleanJson(record);
  const sizeBytes = Buffer.byteLength(JSON.stringify(clean.body));
  const limit = isSealed(clean.body) ? sealedBytes(LIMITS.artifactBytes) : LIMITS.artifactBytes;
  if (sizeBytes > limit) return malformed(`body: ${sizeBytes} bytes; the limit is ${limit}`);
  if (!shown.has(clean.key) && shown.size >= LIMITS.artifactKeys)
    return {
      code: "too-many-artifacts",
      detail: `key: an attempt can have at most ${LIMITS.artifactKeys} artifacts. Reuse a key, or put the other values in a table.`,
    };
  shown.add(clean.key);
  artifacts.set(clean.key, { ...clean, at: cleanInstant(clean.at).toISOString() });
  return null;
}

/** Why lines are missing. */
const GONE = {
  "bad-request": "the record was malformed",
  "plain-value": "the worker sent them in plain text, and the workspace is sealed",
} as const;

/** A gap replaces the lines of a rejected record, if it says their numbers. */
function leaveGap(loose: LooseRecord, stretch: LineStretch): void {
  const { firstLine, lines } = loose;
  const counted = typeof firstLine === "number" && Number.isSafeInteger(firstLine) && firstLine >= 0;
  if (!counted || !Array.isArray(lines) || lines.length === 0) return;
  stretch.add({ firstLine, count: lines.length, lines: null, reason: GONE[codeOf(loose)] });
}
