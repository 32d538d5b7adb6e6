import type { SliceRoutes } from "../kernel/index.ts";
import { createRuns } from "./create/create-many.ts";
import { callBack, checkCallback } from "./jobs/call-back.ts";
import { tendJobs } from "./jobs/tend.ts";
import { getPinnedVersions, getVersionTrust, listLatestRuns } from "./read/by-deployment.ts";
import { listDurations } from "./read/durations.ts";
import { getLimit, listLimits, setLimit } from "./read/limits.ts";
import { getOverview } from "./read/overview.ts";
import {
  createPool,
  declareWorkerGone,
  deleteWorker,
  getPool,
  listPools,
  listQueues,
  listWorkers,
  setQueue,
} from "./read/pools.ts";
import { getRun, getRunWhy, listRunPage, listTaskRuns } from "./read/read.ts";
import { listWaits } from "./read/waits.ts";
import { listAllWaits } from "./read/waits-list.ts";
import { cancelRun } from "./requests/requests.ts";
import { cancelRuns, deleteCheckpoints, planReruns, rerunRuns } from "./rerun/bulk.ts";
import { listCheckpoints } from "./rerun/checkpoints.ts";
import { planRerun, rerunRun } from "./rerun/rerun.ts";
import { answerWait } from "./waits/answer.ts";
import { sendEvent } from "./waits/events.ts";

/**
 * The routes of runs, and those of pools and limits that show or move runs. Routes that waiting polls take part in are in the
 * slice of the worker's API.
 */
export const runsRoutes: SliceRoutes = (register) => {
  register("createRuns", ({ deps, scope, body }) => createRuns(deps, scope, body));
  register("listRuns", ({ deps, scope, query }) => listRunPage(deps, scope, query));
  register("listDurations", ({ deps, scope, query }) => listDurations(deps, scope, query));
  register("listLatestRuns", ({ deps, scope, query }) => listLatestRuns(deps, scope, query));
  register("getVersionTrust", ({ deps, scope, params }) => getVersionTrust(deps, scope, params));
  register("getPinnedVersions", ({ deps, scope, params }) => getPinnedVersions(deps, scope, params));
  register("getOverview", ({ deps, scope, query }) => getOverview(deps, scope, query));
  register("getRun", ({ deps, scope, params }) => getRun(deps, scope, params));
  register("getRunWhy", ({ deps, scope, params }) => getRunWhy(deps, scope, params));
  register("cancelRun", ({ deps, scope, params, body }) => cancelRun(deps, scope, { ...params, ...body }));
  register("rerunRun", ({ deps, scope, params, body }) => rerunRun(deps, scope, { ...params, ...body }));
  register("planRerun", ({ deps, scope, params, query }) =>
    planRerun(deps, scope, {
      ...params,
      fromFailure: query.fromFailure === "true",
      sameVersion: query.sameVersion === "true",
    }),
  );
  register("cancelRuns", ({ deps, scope, body }) => cancelRuns(deps, scope, body));
  register("planReruns", ({ deps, scope, body }) => planReruns(deps, scope, body));
  register("rerunRuns", ({ deps, scope, body }) => rerunRuns(deps, scope, body));
  register("deleteCheckpoints", ({ deps, scope, body }) => deleteCheckpoints(deps, scope, body));
  register("listTaskRuns", ({ deps, scope, params, query }) =>
    listTaskRuns(deps, scope, { ...params, ...query }),
  );
  register("listAllWaits", ({ deps, scope, query }) => listAllWaits(deps, scope, query));
  register("listWaits", ({ deps, scope, params, query }) => listWaits(deps, scope, { ...params, ...query }));
  register("answerWait", ({ deps, scope, params, body }) =>
    answerWait(deps, scope, { ...params, answer: body.answer }),
  );
  register("sendEvent", ({ deps, scope, body }) => sendEvent(deps, scope, body));
  register(
    "callBack",
    ({ deps, params, body }) => callBack(deps, { ...params, report: body }),
    ({ deps, params }) => checkCallback(deps, params),
  );
  register("tendJobs", ({ deps, scope, body, signal }) => tendJobs(deps, scope, body, signal));
  register("listCheckpoints", ({ deps, scope, body }) => listCheckpoints(deps, scope, body));
  register("createPool", ({ deps, scope, body }) => createPool(deps, { scope, input: body }));
  register("listPools", ({ deps, scope, query }) => listPools(deps, { scope, ...query }));
  register("getPool", ({ deps, scope, params }) => getPool(deps, { scope, ...params }));
  register("listWorkers", ({ deps, scope, params, query }) =>
    listWorkers(deps, { scope, ...params, ...query }),
  );
  register("declareWorkerGone", ({ deps, scope, params }) => declareWorkerGone(deps, { scope, ...params }));
  register("deleteWorker", async ({ deps, scope, params }) => {
    await deleteWorker(deps, { scope, ...params });
    return undefined;
  });
  register("setQueue", ({ deps, scope, params, body }) => setQueue(deps, { scope, ...params, input: body }));
  register("listQueues", ({ deps, scope, params }) => listQueues(deps, { scope, ...params }));
  register("setLimit", ({ deps, scope, body }) => setLimit(deps, { scope, input: body }));
  register("listLimits", ({ deps, scope, query }) => listLimits(deps, { scope, ...query }));
  register("getLimit", ({ deps, scope, params }) => getLimit(deps, { scope, ...params }));
};
