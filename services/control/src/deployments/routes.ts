import type { SliceRoutes } from "../kernel/index.ts";
import { getDeployment, getSpec, getVersionDetail, listDeployments, listVersions } from "./deployments.ts";
import { type OnRegistered, registerVersion } from "./register.ts";

/** The routes of deployments. `onRegistered` runs when a version is registered. */
export function deploymentsRoutes(onRegistered: readonly OnRegistered[]): SliceRoutes {
  return (register) => {
    register("registerVersion", ({ deps, scope, body }) =>
      registerVersion(deps, { scope, jws: body.spec, onRegistered }),
    );
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
}
