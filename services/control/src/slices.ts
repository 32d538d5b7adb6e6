import { deploymentsRoutes } from "./deployments/index.ts";
import { identityDuties, identityRoutes } from "./identity/index.ts";
import { type Duty, forgetChangesDuty, retryDuty, type SliceRoutes, sequencerDuty } from "./kernel/index.ts";
import { limitsDuties, limitsRoutes, seedLimits } from "./limits/index.ts";
import { logsDuties, logsRoutes } from "./logs/index.ts";
import { notifyDuties, notifyRoutes } from "./notify/index.ts";
import { poolLoad } from "./pool-load.ts";
import { poolsDuties, poolsRoutes } from "./pools/index.ts";
import { adoptRuns, readRunFacts, reorderQueue, runsDuties, runsRoutes } from "./runs/index.ts";
import { schedulesDuties, schedulesRoutes, seedSchedules } from "./schedules/index.ts";

/** The routes of all slices, in their order. */
export const SLICES: readonly SliceRoutes[] = [
  identityRoutes,
  poolsRoutes({ load: poolLoad, reorder: reorderQueue }),
  deploymentsRoutes([seedLimits(adoptRuns), seedSchedules]),
  limitsRoutes({ facts: readRunFacts, adopt: adoptRuns }),
  runsRoutes,
  schedulesRoutes,
  logsRoutes,
  notifyRoutes,
];

const SLICE_DUTIES: readonly Duty[] = [
  sequencerDuty,
  forgetChangesDuty,
  ...identityDuties,
  ...poolsDuties,
  ...limitsDuties,
  ...runsDuties,
  ...schedulesDuties,
  ...logsDuties,
  ...notifyDuties,
];

/** The timed duties of all slices, and what tries rows again that they set aside, for processes that take on `loops`. */
export const LOOPS: readonly Duty[] = [...SLICE_DUTIES, retryDuty(SLICE_DUTIES)];
