export {
  bootTimeClock,
  type Clock,
  readBootId,
  type Sleep,
  sleep,
  UNKNOWN_BOOT,
  wallClock,
} from "./clock.ts";
export { killMarked } from "./marked-processes.ts";
export { type KillGroupOptions, killGroup } from "./process-group.ts";
export { type ProcessIdentity, processIdentity, waitForExit } from "./process-identity.ts";
export type { ProcessRow } from "./process-table.ts";
