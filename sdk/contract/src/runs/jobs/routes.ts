import { z } from "zod";
import { answeredBy } from "../../kernel/answered-by.ts";
import { LIMITS } from "../../kernel/limits.ts";
import { Id } from "../../kernel/names.ts";
import { route } from "../../kernel/routes.ts";
import { CallBack, CalledBack, TendedJobs, TendJobs } from "./jobs.ts";

/** The routes of external jobs. */
export const JOBS_ROUTES = {
  callBack: route({
    method: "POST",
    path: "/api/callbacks/{workspaceId}/{jobId}/{token}",
    summary: "Receives a backend's callback about the end of an external job, once.",
    slice: "runs",
    permission: "public",
    rate: "public",
    repeatable: false,
    params: z.object({ workspaceId: Id, jobId: Id, token: z.string().min(1).max(128) }),
    body: CallBack,
    bodyBytes: LIMITS.callbackBytes,
    answer: CalledBack,
    status: 200,
    problems: ["wait-not-found", "callback-value"],
  }),
  tendJobs: route({
    method: "POST",
    path: "/api/worker/jobs",
    summary: "Receives the results of a worker's polls of external jobs, and assigns jobs to poll.",
    slice: "runs",
    permission: "worker",
    rate: "worker",
    repeatable: false,
    body: TendJobs,
    bodyBytes: LIMITS.reportBytes,
    answer: TendedJobs.extend(answeredBy),
    status: 200,
    problems: ["session-expired"],
  }),
} as const;
