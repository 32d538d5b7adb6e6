export { poolsDuties } from "./duties.ts";
export type { LoadReader, PoolLoad } from "./load.ts";
export { createPool, getPools, type PoolIdentity } from "./pools.ts";
export { poolsRoutes } from "./routes.ts";
export { openSession, touchWorker } from "./session.ts";
