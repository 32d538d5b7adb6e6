export {
  type BootTimeSources,
  bootTimeClock,
  type Clock,
  readBootId,
  type Sleep,
  sleep,
  UNKNOWN_BOOT,
  wallClock,
} from "./clock.ts";
export { findMarked, killMarked, type MarkedProcess } from "./marked-processes.ts";
export { type KillGroupOptions, type KillOutcome, killGroup } from "./process-group.ts";
export {
  groupMembers,
  isAlive,
  type ProcessIdentity,
  processIdentity,
  type WaitForExitOptions,
  waitForExit,
} from "./process-identity.ts";
export type { ProcessRow } from "./process-table.ts";
