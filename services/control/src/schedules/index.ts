export { noteEnd as noteBackfilledEnd } from "./backfills/store.ts";
export { schedulesPeriodicJobs } from "./periodic-jobs.ts";
export { schedulesRoutes } from "./routes.ts";
export { registerVersion, seedSchedules } from "./seed.ts";
export { listPlainSchedules } from "./store.ts";
export { instantsAfter } from "./timing/recurrence.ts";
export { instantsOf } from "./timing/timing.ts";
