export { bootTimeClock, type Clock, type Sleep, sleep, wallClock } from "./clock.ts";
export { killMarked } from "./marked-processes.ts";
export { type KillGroupOptions, killGroup } from "./process-group.ts";
export { waitForExit } from "./wait-for-exit.ts";
