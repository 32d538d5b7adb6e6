import type { SliceRoutes } from "../kernel/index.ts";
import { deleteLimit, getLimit, listLimits, type RunFactsReader, setLimit } from "./limits.ts";

/** The routes of limits, with a reader of what runs have slots. */
export function limitsRoutes(facts: RunFactsReader): SliceRoutes {
  return (register) => {
    register("setLimit", ({ deps, scope, body }) => setLimit(deps, { scope, input: body, facts }));
    register("listLimits", ({ deps, scope, query }) => listLimits(deps, { scope, facts, ...query }));
    register("getLimit", ({ deps, scope, params }) => getLimit(deps, { scope, facts, ...params }));
    register("deleteLimit", async ({ deps, scope, params }) => {
      await deleteLimit(deps, { scope, ...params });
      return undefined;
    });
  };
}
