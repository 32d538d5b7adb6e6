export { bootTimeClock, type Clock, callAt, type Sleep, sleep, wallClock } from "./clock.ts";
export { describeProcesses, findMarked, killMarked } from "./marked-processes.ts";
export { type KillGroupOptions, killGroup, waitForExit } from "./process-group.ts";
