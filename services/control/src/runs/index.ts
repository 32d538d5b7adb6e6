export { readNeeds } from "./admit/needs.ts";
export { reorderQueue } from "./admit/reorder.ts";
export { call } from "./call.ts";
export { giveMatched, type WaitingPoll } from "./claim/give.ts";
export { createIn, createRun, type KeptPlace, type RunRequest, type Waiting } from "./create/create.ts";
export { createManyIn, type OneRequest } from "./create/create-many.ts";
export { nameRun } from "./create/name.ts";
export { cancelRun, cancelWithin, mustCancel, repeatCancel } from "./end/cancel.ts";
export { endAttempts, endUnstarted } from "./end/end.ts";
export { disown, type Reconciling } from "./lease/disown.ts";
export { releaseAttempt } from "./lease/release.ts";
export { renewHeld } from "./lease/renew.ts";
export { startAttempts } from "./lease/start.ts";
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
export {
  commandsFor,
  isCurrent,
  lockReported,
  type ReportedAttempt,
  saveReported,
} from "./report/reported.ts";
export { applyTaskRecords, rowsAfter, type TaskRecord } from "./report/tasks.ts";
export { runsRoutes } from "./routes.ts";
export { attemptCan } from "./state.ts";
export { adoptRuns } from "./store/adopt.ts";
export { type AssignedAttempt, claimAttempts, type Place, redeliverAttempts } from "./store/claim.ts";
export { readRunFacts } from "./store/facts.ts";
export { findFailedTask, listFailedGroups, listNeighbours } from "./store/failures.ts";
export { type FenceOf, type HeldAttempt, listChanges, listHeld, sameFence } from "./store/leases.ts";
export type { Progress } from "./store/moves.ts";
export { dropPartition, keptSince, listPartitions, makePartition } from "./store/partitions.ts";
export type { PlainRecord } from "./store/plain.ts";
export { type PlainMoved, savePlain } from "./store/plain.ts";
export { type Late, type LogSource, listLogSources } from "./store/reports.ts";
export { noteRestore } from "./store/restore-notice.ts";
export { isAttemptKept, isRunKept, keepsAttemptOf } from "./store/retention.ts";
export { columns, insertAll, numberArray, type RawRow, rowOf, rows, textArray } from "./store/rows.ts";
export { storeCalls } from "./store/tasks.ts";
export { cleanInstant, cleanJson } from "./text.ts";
export { wakeAfterCommit } from "./wake.ts";
export { hasEnded, taskRunOf } from "./wire.ts";
