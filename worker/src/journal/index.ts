export { readAcknowledged } from "./ack-file.ts";
export { ackPath, type Journal, openJournal } from "./journal.ts";
export type { JournalLane } from "./journal-error.ts";
export { JournalError } from "./journal-error.ts";
export { readJournal } from "./read-journal.ts";
export { openReserve, type Reserve } from "./reserve.ts";
export { retainJournals } from "./retain-journals.ts";
export { lockStateDir } from "./state-lock.ts";
