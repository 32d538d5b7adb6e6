import { MAX_RECORD_BYTES } from "./record-format.ts";

/** Why the journal or the state directory refused, and whether another try can help. */
export const JOURNAL_ERRORS = {
  "record-too-large": {
    retryable: false,
    nextStep: "Split the record, or keep the value in the store and report its ref.",
  },
  "journal-full": {
    retryable: true,
    nextStep: "Wait until the control plane has acknowledged the pending records, or end the attempt.",
  },
  "no-space": { retryable: true, nextStep: "Free disk space on the volume of the worker's state directory." },
  unwritable: {
    retryable: false,
    nextStep: "Check that the worker's state directory is mounted, writable and healthy.",
  },
  damaged: {
    retryable: false,
    nextStep: "Check the disk: data that was intact has changed.",
  },
  closed: { retryable: false, nextStep: "Open the journal again." },
  "state-locked": {
    retryable: false,
    nextStep: "Stop the other worker, or give this one a state directory of its own.",
  },
  "lock-unavailable": {
    retryable: false,
    nextStep: "Put the state directory on a file system that supports file locks.",
  },
} as const satisfies Record<string, { retryable: boolean; nextStep: string }>;

/** A key of `JOURNAL_ERRORS`. */
export type JournalErrorCode = keyof typeof JOURNAL_ERRORS;

/** An expected failure of the journal. The message ends with the next step. */
export class JournalError extends Error {
  readonly code: JournalErrorCode;
  readonly retryable: boolean;
  /** For `state-locked`: the process that holds the directory, if it is known. */
  readonly holderPid: number | undefined;

  constructor(code: JournalErrorCode, what: string, details: { cause?: unknown; holderPid?: number } = {}) {
    super(`${what} ${JOURNAL_ERRORS[code].nextStep}`, { cause: details.cause });
    this.name = "JournalError";
    this.code = code;
    this.retryable = JOURNAL_ERRORS[code].retryable;
    this.holderPid = details.holderPid;
  }
}

/** Whether a system error says that the disk or the quota is full. */
export function isOutOfSpace(error: unknown): boolean {
  return systemCode(error) === "ENOSPC" || systemCode(error) === "EDQUOT";
}

/** Whether a system error says that there is no such file. */
export function isMissing(error: unknown): boolean {
  return systemCode(error) === "ENOENT";
}

function systemCode(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

/** `control` never loses a record. `bulk` may drop records, and counts them. */
export type JournalLane = "control" | "bulk";

/** The limits of a lane. */
export interface JournalLimits {
  /** Size of the lane's file in bytes. @default 64 MiB for control, 256 MiB for bulk */
  readonly maxBytes: number;
  /** How much more essential records may take, bytes. @default 1 MiB */
  readonly essentialBytes: number;
  /** Longest record in bytes, at most 16 MiB. @default 1 MiB */
  readonly maxRecordBytes: number;
  /** Bytes that wait in memory for the disk. @default 16 MiB */
  readonly maxQueuedBytes: number;
}

const MIB = 1024 * 1024;
const SHARED = { essentialBytes: MIB, maxRecordBytes: MIB, maxQueuedBytes: 16 * MIB };

/** The limits of a lane without limits of its own. */
export const DEFAULT_JOURNAL_LIMITS: Readonly<Record<JournalLane, JournalLimits>> = {
  control: { ...SHARED, maxBytes: 64 * MIB },
  bulk: { ...SHARED, maxBytes: 256 * MIB },
};

/** Fills in the missing limits, and keeps records within the file format. */
export function resolveLimits(lane: JournalLane, given: Partial<JournalLimits>): JournalLimits {
  const limits = { ...DEFAULT_JOURNAL_LIMITS[lane], ...given };
  return { ...limits, maxRecordBytes: Math.min(limits.maxRecordBytes, MAX_RECORD_BYTES) };
}
