import type { SliceRoutes } from "../kernel/index.ts";
import {
  type AdoptRuns,
  deleteLimit,
  getLimit,
  listLimits,
  type RunFactsReader,
  setLimit,
} from "./limits.ts";

/** The routes of limits, with what reads the runs that have slots, and what gives slots to those that go already. */
export function limitsRoutes({ facts, adopt }: { facts: RunFactsReader; adopt: AdoptRuns }): SliceRoutes {
  return (register) => {
    register("setLimit", ({ deps, scope, body }) => setLimit(deps, { scope, input: body, facts, adopt }));
    register("listLimits", ({ deps, scope, query }) => listLimits(deps, { scope, facts, ...query }));
    register("getLimit", ({ deps, scope, params }) => getLimit(deps, { scope, facts, ...params }));
    register("deleteLimit", async ({ deps, scope, params }) => {
      await deleteLimit(deps, { scope, ...params });
      return undefined;
    });
  };
}
