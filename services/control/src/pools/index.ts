export { areAwaited, readStartGate, type StartGate } from "./awaited.ts";
export type { LoadReader } from "./load.ts";
export { poolsPeriodicJobs } from "./periodic-jobs.ts";
export { createPool, getPools, type PoolIdentity } from "./pools.ts";
export { checkQueue, setQueue } from "./queues.ts";
export { poolsRoutes } from "./routes.ts";
export { type Noted, noteWorkers, openSession } from "./session.ts";
export type { SeenPoll } from "./store.ts";
