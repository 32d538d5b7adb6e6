import { PageQuery, page } from "../kernel/names.ts";
import { RunParams, route } from "../kernel/routes.ts";
import { CancelRun, CreateRun, Run, RunQuery, RunSummary, TaskRun } from "./runs.ts";

/** The routes of runs. */
export const RUNS_ROUTES = {
  createRun: route({
    method: "POST",
    path: "/api/runs",
    summary: "Asks for a run. The caller chooses its id, so that repeating the request is the same run.",
    slice: "runs",
    permission: "run",
    body: CreateRun,
    answer: Run,
    status: 201,
    problems: ["deployment-not-found", "invalid-parameters", "run-id-conflict"],
  }),
  listRuns: route({
    method: "GET",
    path: "/api/runs",
    summary: "Runs, newest first, without their parameters.",
    slice: "runs",
    permission: "read",
    query: RunQuery,
    answer: page(RunSummary),
    status: 200,
    problems: [],
  }),
  getRun: route({
    method: "GET",
    path: "/api/runs/{runId}",
    summary: "One run with its attempts.",
    slice: "runs",
    permission: "read",
    params: RunParams,
    answer: Run,
    status: 200,
    problems: ["run-not-found"],
  }),
  cancelRun: route({
    method: "POST",
    path: "/api/runs/{runId}/cancel",
    summary: "Asks that a run end. Repeating it changes nothing.",
    slice: "runs",
    permission: "run",
    params: RunParams,
    body: CancelRun,
    answer: Run,
    status: 200,
    problems: ["run-not-found", "run-transition-not-allowed"],
  }),
  listTaskRuns: route({
    method: "GET",
    path: "/api/runs/{runId}/tasks",
    summary: "Task runs of a run, in order of appearance.",
    slice: "runs",
    permission: "read",
    params: RunParams,
    query: PageQuery,
    answer: page(TaskRun),
    status: 200,
    problems: ["run-not-found"],
  }),
} as const;
