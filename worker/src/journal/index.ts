export {
  type Journal,
  type JournalRecord,
  journalPath,
  type OpenJournalOptions,
  openJournal,
  type PendingPage,
} from "./journal.ts";
export { JOURNAL_ERRORS, JournalError, type JournalErrorCode } from "./journal-error.ts";
export type { LaneRecovery } from "./lane-file.ts";
export type { AppendResult } from "./lane-writer.ts";
export { DEFAULT_JOURNAL_LIMITS, type JournalLane, type JournalLimits } from "./limits.ts";
export { type JournalReading, readJournal } from "./read-journal.ts";
export { openReserve, type Reserve } from "./reserve.ts";
export { type RetainPolicy, retainJournals } from "./retain-journals.ts";
export { lockStateDir, type StateLock } from "./state-lock.ts";
