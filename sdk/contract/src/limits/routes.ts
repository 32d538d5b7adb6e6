import { page } from "../kernel/names.ts";
import { route } from "../kernel/routes.ts";
import { DeleteLimitQuery, Limit, LimitParams, LimitQuery, SetLimit } from "./limits.ts";

/** The routes of limits. */
export const LIMITS_ROUTES = {
  setLimit: route({
    method: "POST",
    path: "/api/limits",
    summary: "Creates or changes a limit. From then on a deployment's code no longer changes it.",
    slice: "limits",
    permission: "deploy",
    rate: "write",
    repeatable: false,
    body: SetLimit,
    answer: Limit,
    status: 200,
    problems: ["deployment-not-found", "pool-not-found", "queue-not-found", "edit-conflict"],
  }),
  listLimits: route({
    method: "GET",
    path: "/api/limits",
    summary: "Lists limits by kind and name, each with its holders and wait list.",
    slice: "limits",
    permission: "read",
    rate: "read",
    repeatable: true,
    query: LimitQuery,
    answer: page(Limit),
    status: 200,
    problems: [],
  }),
  getLimit: route({
    method: "GET",
    path: "/api/limits/{limitId}",
    summary: "One limit with its holders and wait list.",
    slice: "limits",
    permission: "read",
    rate: "read",
    repeatable: true,
    params: LimitParams,
    answer: Limit,
    status: 200,
    problems: ["limit-not-found"],
  }),
  deleteLimit: route({
    method: "DELETE",
    path: "/api/limits/{limitId}",
    summary:
      "Removes a limit. Runs that wait for this limit alone start at once. Repeating it changes nothing.",
    slice: "limits",
    permission: "deploy",
    rate: "write",
    repeatable: true,
    params: LimitParams,
    query: DeleteLimitQuery,
    answer: "none",
    status: 204,
    problems: ["edit-conflict"],
  }),
} as const;
