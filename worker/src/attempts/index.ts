export { Attempts, type AttemptsOptions } from "./attempts.ts";
export type { AttemptDeps } from "./deps.ts";
export { type StatePaths, statePaths } from "./paths.ts";
export { readRunId } from "./spool.ts";
export { decodeEntry } from "./spool-position.ts";
