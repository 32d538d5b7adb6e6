export { numberArray, textArray } from "./arrays.ts";
export { isConnectionLost } from "./away.ts";
export {
  type Change,
  type NewChange,
  readChanges,
  readPosition,
  wakeSequencer,
  writeChanges,
} from "./change.ts";
export { type Clock, dateOf, manualClock, systemClock } from "./clock.ts";
export {
  type Config,
  ConfigError,
  DUTIES,
  type DutyKind,
  Environment,
  logFormat,
  parseConfig,
  readConfig,
} from "./config.ts";
export { type Database, type DatabaseLimits, openDatabase, type Queryable, type Tx } from "./database.ts";
export type { Deps, Duty } from "./deps.ts";
export { type RunningDuties, startDuties } from "./duties.ts";
export { armFailpoints, failpoint } from "./failpoint.ts";
export type {
  App,
  CallerOf,
  Handler,
  Register,
  Request,
  SliceRoutes,
  StreamEvent,
  TextFile,
} from "./http/handle.ts";
export {
  type AppParts,
  type Caller,
  createApp,
  dashboard,
  faultsOf,
  gatherHandlers,
  headerOf,
  type Identify,
  loggableError,
  probes,
  RegistrationError,
  textFault,
} from "./http/index.ts";
export { heartbeatDuty, now, openInstallation, reachableSince, readIncarnation } from "./installation.ts";
export { DUE } from "./lookout.ts";
export { migrate } from "./migrate.ts";
export { type NewsOfChanges, readNews } from "./news.ts";
export { cursorOf, type PageInput, pageOf, readCursor } from "./paging.ts";
export { Pause } from "./pause.ts";
export { PostgresStartError } from "./postgres/errors.ts";
export { findRunningPostgres } from "./postgres/running.ts";
export { type EmbeddedPostgres, startEmbeddedPostgres } from "./postgres/start.ts";
export { checkServerVersion } from "./postgres/version.ts";
export { prepared, reachDisk, UNHURRIED } from "./prepared.ts";
export { type Actor, type Scope, systemScope, type WorkerScope } from "./scope.ts";
export { forgetChangesDuty, sequencerDuty } from "./sequencer.ts";
export { bytea, instant } from "./table.ts";
export {
  afterCommit,
  beforeCommit,
  inTransaction,
  sideBySide,
  sqlState,
  type TransactionDeps,
} from "./transaction.ts";
export { VERSION } from "./version.ts";
export { ANY_KEY, openWakes, type Wakes, type WakeTopic } from "./wakes.ts";
