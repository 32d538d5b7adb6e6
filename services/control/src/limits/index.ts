export { allocate, comparePositions, PATIENCE_MS, type Position, type WaitList } from "./allocate.ts";
export { deletePool } from "./delete-pool.ts";
export {
  deleteLimit,
  describeLimits,
  getLimit,
  type LimitFacts,
  listLimits,
  namedLimits,
  setLimit,
} from "./limits.ts";
export { limitsPeriodicJobs } from "./periodic-jobs.ts";
export { limitsRoutes } from "./routes.ts";
export { removeLimits, seedLimits } from "./seed.ts";
export { type Entering, type Stepped, takeStep } from "./step.ts";
export { listHolders, selectTagLimits, type TagLimit } from "./store/limits.ts";
export {
  type DueWaitList,
  dueWaitLists,
  isLimited,
  isTagLimited,
  LOOK_BATCH,
  untilLook,
} from "./store/wait-lists.ts";
export {
  heldKeys,
  listSlotEdges,
  listWaits,
  movePriorities,
  type SlotEdge,
  type WaitRow,
  waitingKeys,
} from "./store/waits.ts";
export { enterBehind, findTaskWaitList, findWaitLists, limitedTags, moveTagged } from "./wait-lists.ts";
