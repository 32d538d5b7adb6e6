import type { SliceRoutes } from "../kernel/index.ts";
import { getDeployment, getSpec, getVersionDetail, listDeployments, listVersions } from "./deployments.ts";

/** The routes of deployments. The slice of schedules registers versions and removes deployments, with limits and schedules. */
export const deploymentsRoutes: SliceRoutes = (register) => {
  register("listDeployments", ({ deps, scope, query }) => listDeployments(deps, { scope, ...query }));
  register("getDeployment", ({ deps, scope, params }) =>
    getDeployment(deps.database.reads, { workspaceId: scope.workspaceId, name: params.name }),
  );
  register("listVersions", ({ deps, scope, params, query }) =>
    listVersions(deps, { scope, ...params, ...query }),
  );
  register("getVersion", ({ deps, scope, params, query }) =>
    getVersionDetail(deps, { scope, ...params, ...query }),
  );
  register("getSpec", ({ deps, scope, params }) => getSpec(deps, { scope, ...params }));
};
