export { readNeeds } from "./admit/needs.ts";
export { reorderQueue } from "./admit/reorder.ts";
export { call } from "./call.ts";
export { claimNext } from "./claim/next.ts";
export { claim, Dispatchers, dispatchersOf, type Poll } from "./claim/poll.ts";
export { createIn, createRun, type RunRequest } from "./create/create.ts";
export { createManyIn, type OneRequest } from "./create/create-many.ts";
export { cancelRun, cancelWithin, mustCancel } from "./end/cancel.ts";
export { takeBack } from "./lease/take-back.ts";
export {
  type EndedAttempt,
  type EndedRun,
  type EndedTask,
  importEnded,
  preparePast,
  settleImport,
} from "./past/import.ts";
export { comingMonths, type Month } from "./past/months.ts";
export { admitPeriodicJob, runsPeriodicJobs } from "./periodic-jobs.ts";
export { existingRun, getRun, getRunSummary, listRuns, listTaskRuns } from "./read/read.ts";
export { storeNewCalls } from "./report/calls.ts";
export { applyControls } from "./report/control.ts";
export { applyPlain, plainRecord } from "./report/plain.ts";
export { type LooseRecord, nextInSequence, readRecord, rejection } from "./report/records.ts";
export {
  commandsFor,
  isCurrent,
  lockReported,
  type ReportedAttempt,
  saveReported,
} from "./report/reported.ts";
export { runsRoutes } from "./routes.ts";
export { adoptRuns } from "./store/adopt.ts";
export { readRunFacts } from "./store/facts.ts";
export { findFailedTask, listFailedGroups, listNeighbours } from "./store/failures.ts";
export type { Progress } from "./store/moves.ts";
export { dropPartition, keptSince, listPartitions, makePartition } from "./store/partitions.ts";
export type { PlainRecord } from "./store/plain.ts";
export { type Late, type LogSource, listLogSources } from "./store/reports.ts";
export { noteRestore } from "./store/restore-notice.ts";
export { isAttemptKept, isRunKept, keepsAttemptOf } from "./store/retention.ts";
export { columns, insertAll, numberArray, type RawRow, rowOf, rows, textArray } from "./store/rows.ts";
export { cleanInstant, cleanJson } from "./text.ts";
export { wakeAfterCommit } from "./wake.ts";
export { hasEnded, taskRunOf } from "./wire.ts";
