import { DEPLOYMENTS_ROUTES } from "./deployments/routes.ts";
import { IDENTITY_ROUTES } from "./identity/routes.ts";
import type { Route } from "./kernel/routes.ts";
import { LIMITS_ROUTES } from "./limits/routes.ts";
import { LOGS_ROUTES } from "./logs/routes.ts";
import { NOTIFY_ROUTES } from "./notify/routes.ts";
import { POOLS_ROUTES } from "./pools/routes.ts";
import { JOBS_ROUTES } from "./runs/jobs/routes.ts";
import { RUNS_ROUTES } from "./runs/routes.ts";
import { WAITS_ROUTES } from "./runs/waits/routes.ts";
import { SCHEDULES_ROUTES } from "./schedules/routes.ts";
import { WORKER_ROUTES } from "./worker/routes.ts";

/** Every route of the API, by the name of its call, in pieces by domain word. There is no second list. */
export const ROUTES = {
  ...IDENTITY_ROUTES,
  ...POOLS_ROUTES,
  ...DEPLOYMENTS_ROUTES,
  ...LIMITS_ROUTES,
  ...RUNS_ROUTES,
  ...WAITS_ROUTES,
  ...JOBS_ROUTES,
  ...SCHEDULES_ROUTES,
  ...LOGS_ROUTES,
  ...NOTIFY_ROUTES,
  ...WORKER_ROUTES,
} as const satisfies Record<string, Route>;

/** The name of one route. */
export type RouteName = keyof typeof ROUTES;
