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
    summary:
      "A backend says how an external job ended, once, at the address that the job was submitted with.",
    slice: "runs",
    permission: "public",
    rate: "public",
    repeatable: false,
    params: z.object({ workspaceId: Id, jobId: Id, token: z.string().min(1).max(128) }),
    body: CallBack,
    bodyBytes: LIMITS.callbackBytes,
    answer: CalledBack,
    status: 200,
    problems: ["wait-not-found"],
  }),
  tendJobs: route({
    method: "POST",
    path: "/api/worker/jobs",
    summary: "Takes what a worker's poller has found out about external jobs, and gives it jobs to tend.",
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
