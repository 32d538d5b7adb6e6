import { MAX_RECORD_BYTES } from "./record-format.ts";

/** `control` may never lose a record; `bulk` may drop, counted. */
export type JournalLane = "control" | "bulk";

/** What a lane may take. */
export interface JournalLimits {
  /** Size of the lane's file in bytes. @default 64 MiB for control, 256 MiB for bulk */
  readonly maxBytes: number;
  /** What records marked essential may take on top of that, in bytes. @default 1 MiB */
  readonly essentialBytes: number;
  /** Longest record in bytes, at most 16 MiB. @default 1 MiB */
  readonly maxRecordBytes: number;
  /** Bytes waiting in memory for the disk. @default 16 MiB */
  readonly maxQueuedBytes: number;
}

const MIB = 1024 * 1024;
const SHARED = { essentialBytes: MIB, maxRecordBytes: MIB, maxQueuedBytes: 16 * MIB };

/** The limits of a lane that was given none. */
export const DEFAULT_JOURNAL_LIMITS: Readonly<Record<JournalLane, JournalLimits>> = {
  control: { ...SHARED, maxBytes: 64 * MIB },
  bulk: { ...SHARED, maxBytes: 256 * MIB },
};

/** Fills in what was not given, and keeps records within what the file format can hold. */
export function resolveLimits(lane: JournalLane, given: Partial<JournalLimits>): JournalLimits {
  const limits = { ...DEFAULT_JOURNAL_LIMITS[lane], ...given };
  return { ...limits, maxRecordBytes: Math.min(limits.maxRecordBytes, MAX_RECORD_BYTES) };
}
