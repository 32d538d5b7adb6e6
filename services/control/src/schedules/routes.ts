import type { SliceRoutes } from "../kernel/index.ts";
import { cancelBackfill, createBackfill, listBackfills } from "./backfills/backfills.ts";
import { getCalendar } from "./calendar/calendar.ts";
import { deleteDeployment } from "./remove-deployment.ts";
import {
  deleteSchedule,
  getSchedule,
  listInstants,
  listSchedules,
  listUpcoming,
  pauseSchedule,
  previewSchedule,
  resumeSchedule,
  setSchedule,
} from "./schedules.ts";
import { registerVersion } from "./seed.ts";

/** The routes of schedules, and those that register or remove a deployment with its limits and schedules. */
export const schedulesRoutes: SliceRoutes = (register) => {
  register("registerVersion", ({ deps, scope, body }) =>
    registerVersion(deps, { scope, jws: body.spec, keepRuns: body.keepRuns }),
  );
  register("deleteDeployment", async ({ deps, scope, params }) => {
    await deleteDeployment(deps, { scope, ...params });
    return undefined;
  });
  register("setSchedule", ({ deps, scope, params, body: { ifUpdatedAt, ...settings } }) =>
    setSchedule(deps, { scope, deployment: params.name, settings, ifUpdatedAt }),
  );
  register("previewSchedule", ({ deps, body }) => previewSchedule(deps, body));
  register("listSchedules", ({ deps, scope, query }) => listSchedules(deps, { scope, ...query }));
  register("getSchedule", ({ deps, scope, params }) => getSchedule(deps, { scope, ...params }));
  register("deleteSchedule", async ({ deps, scope, params }) => {
    await deleteSchedule(deps, { scope, ...params });
    return undefined;
  });
  register("pauseSchedule", ({ deps, scope, params }) => pauseSchedule(deps, { scope, ...params }));
  register("resumeSchedule", ({ deps, scope, params }) => resumeSchedule(deps, { scope, ...params }));
  register("listUpcoming", ({ deps, scope, params, query }) =>
    listUpcoming(deps, { scope, ...params, ...query }),
  );
  register("listInstants", ({ deps, scope, params, query }) =>
    listInstants(deps, { scope, ...params, ...query }),
  );
  register("getCalendar", ({ deps, scope, params, query }) =>
    getCalendar(deps, { scope, ...params, ...query }),
  );
  register("createBackfill", ({ deps, scope, params, body }) =>
    createBackfill(deps, { scope, deployment: params.name, request: body }),
  );
  register("listBackfills", ({ deps, scope, query }) => listBackfills(deps, { scope, ...query }));
  register("cancelBackfill", ({ deps, scope, params }) => cancelBackfill(deps, { scope, ...params }));
};
