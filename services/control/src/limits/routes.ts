import type { SliceRoutes } from "../kernel/index.ts";
import { deletePool } from "./delete-pool.ts";
import { deleteLimit } from "./limits.ts";

/** The routes of limits that show no run, and the one that deletes a pool with its limits. The others are in the slice of runs. */
export const limitsRoutes: SliceRoutes = (register) => {
  register("deleteLimit", async ({ deps, scope, params, query }) => {
    await deleteLimit(deps, { scope, ...params, ...query });
    return undefined;
  });
  register("deletePool", async ({ deps, scope, params }) => {
    await deletePool(deps, { scope, ...params });
    return undefined;
  });
};
