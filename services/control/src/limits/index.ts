export { allocate, comparePositions, PATIENCE_MS, type Position, type WaitList } from "./allocate.ts";
export {
  type AdoptRuns,
  deleteLimit,
  getLimit,
  holderOf,
  listLimits,
  namedLimits,
  type RunFacts,
  type RunFactsReader,
  setLimit,
} from "./limits.ts";
export { enterBehind, findWaitLists, lineOfTasks } from "./lines.ts";
export { limitsPeriodicJobs } from "./periodic-jobs.ts";
export { limitsRoutes } from "./routes.ts";
export { seedLimits } from "./seed.ts";
export { type Entering, type Stepped, takeStep } from "./step.ts";
export { listHolders } from "./store/limits.ts";
export { isLimited, type LineToLook, LOOK_BATCH, linesToLook, untilLook } from "./store/lines.ts";
export {
  heldKeys,
  listSlotEdges,
  listWaits,
  movePlaces,
  type SlotEdge,
  type WaitRow,
  waitingKeys,
} from "./store/waits.ts";
