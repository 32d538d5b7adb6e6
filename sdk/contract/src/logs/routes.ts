import { PageQuery, page } from "../kernel/names.ts";
import { RunParams, route } from "../kernel/routes.ts";
import { Artifact, LogPage, LogQuery, RunEvent } from "./logs.ts";
import { Received } from "./received.ts";

/** The routes of logs. */
export const LOGS_ROUTES = {
  getLogs: route({
    method: "GET",
    path: "/api/runs/{runId}/logs",
    summary: "A stretch of a run's log, in order, with gaps where lines were lost.",
    slice: "logs",
    permission: "read",
    params: RunParams,
    query: LogQuery,
    answer: LogPage,
    status: 200,
    problems: ["run-not-found"],
  }),
  listArtifacts: route({
    method: "GET",
    path: "/api/runs/{runId}/artifacts",
    summary: "Artifacts of a run: the latest body under each key.",
    slice: "logs",
    permission: "read",
    params: RunParams,
    query: PageQuery,
    answer: page(Artifact),
    status: 200,
    problems: ["run-not-found"],
  }),
  getReceived: route({
    method: "GET",
    path: "/api/runs/{runId}/received",
    summary: "What is kept of what workers reported of a run, counted by kind and field.",
    slice: "logs",
    permission: "read",
    params: RunParams,
    answer: Received,
    status: 200,
    problems: ["run-not-found"],
  }),
  streamRun: route({
    method: "GET",
    path: "/api/runs/{runId}/events",
    summary: "A run's changes and log lines as they happen, from the beginning or after `Last-Event-ID`.",
    slice: "logs",
    permission: "read",
    params: RunParams,
    answer: RunEvent,
    stream: true,
    status: 200,
    problems: ["run-not-found", "too-many-requests"],
  }),
} as const;
