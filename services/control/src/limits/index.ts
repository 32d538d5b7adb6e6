export {
  deleteLimit,
  getLimit,
  holderOf,
  listLimits,
  type RunFacts,
  type RunFactsReader,
  setLimit,
} from "./limits.ts";
export { linesOfRuns } from "./lines.ts";
export { limitsRoutes } from "./routes.ts";
export { seedLimits } from "./seed.ts";
export { type Entering, type Granted, type Step, type Stepped, takeStep } from "./step.ts";
export { listHolders } from "./store/limits.ts";
export { isLimited, linesToLook, type RunKind, untilLook } from "./store/lines.ts";
export { listEdges, listWaits, type WaitEdge, type WaitRow } from "./store/waits.ts";
