export { logsPeriodicJobs } from "./periodic-jobs.ts";
export { getLogs, listArtifacts } from "./read.ts";
export { logsRoutes } from "./routes.ts";
export {
  insertChunks,
  listArtifactKeys,
  type NewArtifact,
  type NewChunk,
  type OwnedArtifact,
  saveArtifacts,
} from "./store/write.ts";
export { artifactChange } from "./wire.ts";
