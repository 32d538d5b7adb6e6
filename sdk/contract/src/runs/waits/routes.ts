import { z } from "zod";
import { Id, page } from "../../kernel/names.ts";
import { RunParams, route } from "../../kernel/routes.ts";
import { AnswerWait, ListedWait, RunWaitQuery, SendEvent, SentEvent, Wait, WaitQuery } from "./waits.ts";

/** The routes of what runs wait for. */
export const WAITS_ROUTES = {
  listAllWaits: route({
    method: "GET",
    path: "/api/waits",
    summary:
      "What runs of the workspace wait for: questions that nobody has answered yet, events, jobs and times.",
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
    summary: "What a run waits for and has waited for, oldest first.",
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
    summary: "Answers a run's question, once. The run goes on at once, whatever state it is in.",
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
    summary: "Tells of something that happened, to every run that waits for it now or asks within a day.",
    slice: "runs",
    permission: "run",
    rate: "run",
    repeatable: true,
    body: SendEvent,
    answer: SentEvent,
    status: 201,
    problems: ["event-id-conflict"],
  }),
} as const;
