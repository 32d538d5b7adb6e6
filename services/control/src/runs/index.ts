export { call } from "./calls/call.ts";
export { giveMatched, type WaitingPoll } from "./compute/give.ts";
export type { ReservedSlot } from "./create/at-once.ts";
export { createIn, type RunRequest } from "./create/create.ts";
export { createManyIn, type OneRequest } from "./create/create-many.ts";
export { nameRun } from "./create/name.ts";
export { cancelWithin, mustCancel, repeatCancel } from "./end/cancel.ts";
export { endAttempts, endUnstarted } from "./end/end.ts";
export { existingRun } from "./history/find.ts";
export { isAttemptKept, isRunKept, keepsAttemptOf } from "./history/retention.ts";
export { disown, type Reconciling } from "./lease/disown.ts";
export { releaseAttempt } from "./lease/release.ts";
export { renewHeld } from "./lease/renew.ts";
export {
  commandsFor,
  isCurrent,
  lockReported,
  type ReportedAttempt,
  saveReported,
} from "./lease/reported.ts";
export { type Late, type LogSource, listLogSources } from "./lease/reports.ts";
export { noteRestore } from "./lease/restore-notice.ts";
export { startAttempts } from "./lease/start.ts";
export { type HeldAttempt, listChanges, listHeld } from "./lease/store.ts";
export { takeBack } from "./lease/take-back.ts";
export {
  type AssignedAttempt,
  claimAttempts,
  redeliverAttempts,
  type WorkerSlot,
} from "./moves/claim.ts";
export { type FenceOf, sameFence } from "./moves/fence.ts";
export type { Progress } from "./moves/locks.ts";
export { type PlainMoved, type PlainRecord, savePlain } from "./moves/plain.ts";
export { attemptCan, hasEnded } from "./moves/state.ts";
export { admitPeriodicJob, runsPeriodicJobs } from "./periodic-jobs.ts";
export { readFailure } from "./read/failures.ts";
export { getLimit, listLimits, seedLimits, setLimit } from "./read/limits.ts";
export { createPool, setQueue } from "./read/pools.ts";
export { getRun, getRunSummary, listRuns, listTaskRuns } from "./read/read.ts";
export { runChange } from "./read/wire.ts";
export { cancelRun, createRun } from "./requests/requests.ts";
export { runsRoutes } from "./routes.ts";
export { applyTaskRecords, rowsAfter, type TaskRecord } from "./tasks/records.ts";
export { storeCalls } from "./tasks/store.ts";
export { taskRunOf } from "./tasks/wire.ts";
