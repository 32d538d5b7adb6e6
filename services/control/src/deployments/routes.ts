import type { SliceRoutes } from "../kernel/index.ts";
import { getDeployment, getSpec, listDeployments, listVersions } from "./deployments.ts";
import { registerVersion } from "./register.ts";

/** The routes of deployments. */
export const deploymentsRoutes: SliceRoutes = (register) => {
  register("registerVersion", ({ deps, scope, body }) => registerVersion(deps, { scope, jws: body.spec }));
  register("listDeployments", ({ deps, scope, query }) => listDeployments(deps, { scope, ...query }));
  register("getDeployment", ({ deps, scope, params }) =>
    getDeployment(deps.database.reads, { workspaceId: scope.workspaceId, name: params.name }),
  );
  register("listVersions", ({ deps, scope, params, query }) =>
    listVersions(deps, { scope, ...params, ...query }),
  );
  register("getSpec", ({ deps, scope, params }) => getSpec(deps, { scope, ...params }));
};
