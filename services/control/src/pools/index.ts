export { poolsPeriodicJobs } from "./periodic-jobs.ts";
export {
  createPool,
  declareGone,
  getPool,
  getPools,
  listPools,
  listWorkers,
  lockPoolToDelete,
  type PoolFacts,
  type PoolIdentity,
  removePool,
} from "./pools.ts";
export { checkQueue, listQueues, type QueueFacts, setQueue } from "./queues.ts";
export { deleteWorkerRow, lockWorker } from "./remove-store.ts";
export { poolsRoutes } from "./routes.ts";
export { type Noted, noteWorkers, openSession } from "./session.ts";
export { isAwaitingWorkers, readStartGate, type StartGate } from "./start-gate.ts";
export {
  countWorkers,
  deleteIdleWorkers,
  hasWorkerWithSecrets,
  type SeenPoll,
  type StoreWorker,
  selectKeyless,
  selectStoreWorkers,
} from "./store.ts";
