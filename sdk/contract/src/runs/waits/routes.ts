import { z } from "zod";
import { Id, page } from "../../kernel/names.ts";
import { RunParams, route } from "../../kernel/routes.ts";
import { AnswerWait, ListedWait, RunWaitQuery, SendEvent, SentEvent, Wait, WaitQuery } from "./waits.ts";

/** The routes of waits. */
export const WAITS_ROUTES = {
  listAllWaits: route({
    method: "GET",
    path: "/api/waits",
    summary: "Lists the waits of the workspace's runs: open questions, events, jobs and times.",
    slice: "runs",
    permission: "read",
    rate: "read",
    repeatable: true,
    query: WaitQuery,
    answer: page(ListedWait),
    status: 200,
    problems: [],
  }),
  listWaits: route({
    method: "GET",
    path: "/api/runs/{runId}/waits",
    summary: "Lists the waits of a run, open and ended, oldest first.",
    slice: "runs",
    permission: "read",
    rate: "read",
    repeatable: true,
    params: RunParams,
    query: RunWaitQuery,
    answer: page(Wait),
    status: 200,
    problems: ["run-not-found"],
  }),
  answerWait: route({
    method: "POST",
    path: "/api/runs/{runId}/waits/{waitId}/answer",
    summary: "Answers a run's question, once. The run continues at once.",
    slice: "runs",
    permission: "run",
    rate: "run",
    repeatable: false,
    params: z.object({ runId: Id, waitId: Id }),
    body: AnswerWait,
    answer: Wait,
    status: 200,
    problems: ["forbidden", "wait-not-found", "wait-settled", "invalid-answer"],
  }),
  sendEvent: route({
    method: "POST",
    path: "/api/events",
    summary: "Sends an event to every run that waits for it now, or that starts to wait for it within a day.",
    slice: "runs",
    permission: "run",
    rate: "run",
    repeatable: true,
    body: SendEvent,
    answer: SentEvent,
    status: 201,
    problems: ["event-id-conflict", "invalid-event"],
  }),
} as const;
