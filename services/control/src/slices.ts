import { deploymentsRoutes } from "./deployments/index.ts";
import { identityPeriodicJobs, identityRoutes } from "./identity/index.ts";
import {
  forgetChangesPeriodicJob,
  type PeriodicJob,
  retryPeriodicJob,
  type SliceRoutes,
  sequencerPeriodicJob,
} from "./kernel/index.ts";
import { limitsPeriodicJobs, limitsRoutes } from "./limits/index.ts";
import { logsPeriodicJobs, logsRoutes } from "./logs/index.ts";
import { notifyPeriodicJobs, notifyRoutes } from "./notify/index.ts";
import { poolsPeriodicJobs, poolsRoutes } from "./pools/index.ts";
import { runsPeriodicJobs, runsRoutes } from "./runs/index.ts";
import { schedulesPeriodicJobs, schedulesRoutes } from "./schedules/index.ts";
import { workerRoutes } from "./worker/index.ts";

/** The routes of all slices, in their order. */
export const SLICES: readonly SliceRoutes[] = [
  identityRoutes,
  poolsRoutes,
  deploymentsRoutes,
  limitsRoutes,
  runsRoutes,
  schedulesRoutes,
  logsRoutes,
  workerRoutes,
  notifyRoutes,
];

const SLICE_JOBS: readonly PeriodicJob[] = [
  sequencerPeriodicJob,
  forgetChangesPeriodicJob,
  ...identityPeriodicJobs,
  ...poolsPeriodicJobs,
  ...limitsPeriodicJobs,
  ...runsPeriodicJobs,
  ...schedulesPeriodicJobs,
  ...logsPeriodicJobs,
  ...notifyPeriodicJobs,
];

/** The timed periodic jobs of all slices, and what tries rows again that they set aside, for processes that take on `loops`. */
export const LOOPS: readonly PeriodicJob[] = [...SLICE_JOBS, retryPeriodicJob(SLICE_JOBS)];
