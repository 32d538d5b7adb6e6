export { type EndedLog, importArtifacts, importLogs, preparePastLogs } from "./import.ts";
export { logsPeriodicJobs } from "./periodic-jobs.ts";
export { getLogs, listArtifacts } from "./read.ts";
export { report } from "./report.ts";
export { logsRoutes } from "./routes.ts";
