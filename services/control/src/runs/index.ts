export { call } from "./calls/call.ts";
export { giveMatched, type WaitingPoll } from "./compute/give.ts";
export type { ReservedSlot } from "./create/at-once.ts";
export { createIn, type RunRequest } from "./create/create.ts";
export { createManyIn, type OneRequest } from "./create/create-many.ts";
export { cancelWithin, mustCancel } from "./end/cancel.ts";
export { existingRun } from "./history/find.ts";
export { isAttemptKept, isRunKept, keepsAttemptOf } from "./history/retention.ts";
export { disown } from "./lease/disown.ts";
export { renewHeld } from "./lease/renew.ts";
export { type HeldAttempt, listHeld } from "./lease/store.ts";
export {
  type AssignedAttempt,
  claimAttempts,
  claimHooks,
  redeliverAttempts,
  type WorkerSlot,
} from "./moves/claim.ts";
export { runsPeriodicJobs } from "./periodic-jobs.ts";
export { checkFloor } from "./read/by-deployment.ts";
export { readFailure } from "./read/failures.ts";
export { getLimit, listLimits, seedLimits, setLimit } from "./read/limits.ts";
export { type LogSource, readLogSources } from "./read/log-sources.ts";
export { listPlainAnswers, listPlainEventKeys, listPlainRuns } from "./read/plain.ts";
export { createPool, setQueue } from "./read/pools.ts";
export { getRun, getRunSummary, listRuns, listTaskRuns } from "./read/read.ts";
export { runChange } from "./read/wire.ts";
export { removeRun } from "./remove/remove.ts";
export { countOpenRuns } from "./remove/store.ts";
export { applyPlain, type ReportedRecord } from "./reports/control.ts";
export { ReportedAttempts } from "./reports/reported.ts";
export { cancelRun, createRun } from "./requests/requests.ts";
export { runsRoutes } from "./routes.ts";
export { storeNewCalls } from "./tasks/records.ts";
