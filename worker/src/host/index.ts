export { bootTimeClock, type Clock, type Sleep, sleep, wallClock } from "./clock.ts";
export { killMarked } from "./marked-processes.ts";
export { type KillGroupOptions, killGroup, waitForExit } from "./process-group.ts";
