import { PageQuery, page } from "../kernel/names.ts";
import { ByName, route } from "../kernel/routes.ts";
import { CreatePool, Pool, Worker } from "./pools.ts";

/** The routes of pools. */
export const POOLS_ROUTES = {
  createPool: route({
    method: "POST",
    path: "/api/pools",
    summary: "Makes a work pool. Repeating it with the same settings answers the same pool.",
    slice: "pools",
    permission: "deploy",
    body: CreatePool,
    answer: Pool,
    status: 201,
    problems: ["pool-exists"],
  }),
  listPools: route({
    method: "GET",
    path: "/api/pools",
    summary: "Work pools by name.",
    slice: "pools",
    permission: "read",
    query: PageQuery,
    answer: page(Pool),
    status: 200,
    problems: [],
  }),
  getPool: route({
    method: "GET",
    path: "/api/pools/{name}",
    summary: "One work pool.",
    slice: "pools",
    permission: "read",
    params: ByName,
    answer: Pool,
    status: 200,
    problems: ["pool-not-found"],
  }),
  listWorkers: route({
    method: "GET",
    path: "/api/pools/{name}/workers",
    summary: "Workers of a pool, last seen first.",
    slice: "pools",
    permission: "read",
    params: ByName,
    query: PageQuery,
    answer: page(Worker),
    status: 200,
    problems: ["pool-not-found"],
  }),
} as const;
