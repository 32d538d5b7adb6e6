export { listStored } from "./attempt-store.ts";
export { Attempts, type AttemptsOptions } from "./attempts.ts";
export { readRunId } from "./journal-lanes.ts";
export type { Offering } from "./offer-again.ts";
export { type StatePaths, statePaths } from "./paths.ts";
export { createPreallocation, type Preallocation } from "./preallocation.ts";
export { bringProgram } from "./prepare.ts";
export { decodeEntry } from "./spool-records.ts";
export { storeMarks, storeOfSpec } from "./store-access.ts";
