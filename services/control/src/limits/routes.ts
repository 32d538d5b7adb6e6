import type { SliceRoutes } from "../kernel/index.ts";
import { deleteLimit } from "./limits.ts";

/** The routes of limits that show no run. The others are in the slice of runs. */
export const limitsRoutes: SliceRoutes = (register) => {
  register("deleteLimit", async ({ deps, scope, params }) => {
    await deleteLimit(deps, { scope, ...params });
    return undefined;
  });
};
