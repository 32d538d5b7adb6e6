export { Cache } from "./cache.ts";
export {
  type Change,
  feedIdOf,
  type NewChange,
  readChanges,
  readFeedId,
  readPosition,
  wakeSequencer,
  writeChanges,
} from "./change.ts";
export { type ChangeSummary, readChangeSummary } from "./change-summary.ts";
export { after, type Clock, dateOf, manualClock, now, systemClock } from "./clock.ts";
export {
  type Config,
  ConfigError,
  Environment,
  logFormat,
  parseConfig,
  readConfig,
  WAKE_CONNECTIONS,
} from "./config.ts";
export {
  type Database,
  type DatabaseAddresses,
  openDatabase,
  type Queryable,
  type Tx,
} from "./database.ts";
export { followDatabaseClock } from "./database-clock.ts";
export { isConnectionLost, isDatabaseAway, sqlState } from "./database-errors.ts";
export type { Deps, PeriodicJob } from "./deps.ts";
export { DUE } from "./due-timers.ts";
export { checkEdit } from "./edit.ts";
export { armFailpoints, failpoint } from "./failpoint.ts";
export type { App, Register, SliceRoutes, StreamEvent, TextFile } from "./http/handle.ts";
export {
  type Caller,
  CONTAINERS_MAX,
  createApp,
  dashboard,
  ForeignToken,
  faultsOf,
  headerOf,
  type Identify,
  loggableError,
  type Origins,
  plainFaults,
  plainValueProblem,
  probes,
  readOrigins,
  SESSION_COOKIES,
  type Turn,
  textFault,
} from "./http/index.ts";
export {
  answeringSince,
  graceMs,
  type Incarnation,
  Incarnations,
  incarnationOf,
  newestIncarnation,
  wentBackAt,
} from "./incarnation.ts";
export { heartbeatPeriodicJob, openInstallation, reachableSince } from "./installation.ts";
export { MigrationError, migrate } from "./migrate.ts";
export { cursorOf, type PageInput, pageOf, readCursor } from "./paging.ts";
export {
  comingMonths,
  dropPartition,
  dropPartitions,
  keptSince,
  listPartitions,
  type Month,
  makePartition,
} from "./partitions.ts";
export { startPeriodicJobs } from "./periodic-jobs.ts";
export { isPlain } from "./plain-parameters.ts";
export { PostgresStartError } from "./postgres/errors.ts";
export { type EmbeddedPostgres, findRunningPostgres, startEmbeddedPostgres } from "./postgres/start.ts";
export { checkServerVersion } from "./postgres/version.ts";
export { numberArray, prepared, reachDisk, textArray, UNHURRIED } from "./prepared.ts";
export { keepQuota } from "./quota.ts";
export { openRelay, type Relay, type WorkerAnswer } from "./relay.ts";
export {
  lockedOf,
  type PerRowJob,
  perRowJob,
  poisoned,
  retryPeriodicJob,
  type Which,
  type WorkRow,
} from "./rows/per-row-job.ts";
export { readTroubles } from "./rows/poison.ts";
export { type Scope, systemScope, type WorkerScope } from "./scope.ts";
export { forgetChangesPeriodicJob, sequencerPeriodicJob } from "./sequencer.ts";
export {
  columnNames,
  columns,
  insertAll,
  instantOf,
  instantOrNull,
  type RawRow,
  rowOf,
  rows,
  rowsPlannedAnew,
} from "./statements.ts";
export { bytea, instant } from "./table.ts";
export { cleanInstant, cleanJson, cleanText } from "./text.ts";
export {
  afterCommit,
  beforeCommit,
  inParallel,
  inTransaction,
  outside,
  trySavepoint,
  undoUnless,
  wakeAfterCommit,
  wakeWorkerAfterCommit,
} from "./transaction.ts";
export { VERSION } from "./version.ts";
export { ANY_KEY, openWakes, type WakeTopic } from "./wakes.ts";
