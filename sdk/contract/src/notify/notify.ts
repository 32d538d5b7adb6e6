import { z } from "zod";
import { CauseName } from "../deployments/spec.ts";
import { DeploymentName, DurationMs, Id, Instant, Name, PageQuery } from "../kernel/names.ts";
import { RunStateName } from "../runs/runs.ts";
import { AnswerRole } from "../runs/waits/waits.ts";

/** The events of notifiers. */
export const NOTIFIER_EVENTS = ["failure", "late", "recovery", "question"] as const;

/** The format of messages: our own signed JSON, or Slack's, which other programs accept, too. */
export const NOTIFIER_KINDS = ["webhook", "slack"] as const;

/** The most tries of a delivery. */
export const DELIVERY_TRIES_MAX = 8;

/** The longest URL, characters. */
const URL_CHARS_MAX = 2_000;

/** By default a run is late if it has not started this long after its scheduled time, milliseconds. */
const LATE_AFTER_MS = 5 * 60_000;

const NotifierEvent = z.enum(NOTIFIER_EVENTS);

/** Creates a notifier. */
export const CreateNotifier = z.strictObject({
  name: Name,
  kind: z.enum(NOTIFIER_KINDS).default("webhook"),
  url: z.url({ protocol: /^https?$/, error: "must be an https address" }).max(URL_CHARS_MAX),
  deployment: DeploymentName.nullable().default(null).describe("Null: every deployment of the workspace."),
  events: z
    .array(NotifierEvent)
    .min(1)
    .default([...NOTIFIER_EVENTS])
    .describe(
      "`failure`: a run failed or crashed after all retries. `late`: a run has not started in time. `recovery`: a deployment's first success after a failure. `question`: a run asks a person.",
    ),
  lateAfterMs: DurationMs.min(1_000)
    .default(LATE_AFTER_MS)
    .describe("A run is late if it has not started this long after its scheduled time."),
});
export type CreateNotifier = z.input<typeof CreateNotifier>;

/** The delivery of one message. */
export const Delivery = z.object({
  id: Id.describe("Sent with every try as `webhook-id`, so that a receiver can drop duplicates."),
  notifier: Name,
  event: z.enum([...NOTIFIER_EVENTS, "test"]),
  runId: Id.nullable().describe("Null: a test."),
  state: z.enum(["waiting", "sent", "given-up"]),
  tries: z.int(),
  status: z.int().nullable().describe("The HTTP status of the latest answer. Null: there was none."),
  failure: z.string().nullable().describe("Why the latest try failed."),
  createdAt: Instant,
  nextAt: Instant.nullable().describe("When the next try is due."),
});
export type Delivery = z.infer<typeof Delivery>;

/** A notifier without its whole URL, which may contain a secret. */
export const Notifier = z.object({
  id: Id,
  name: Name,
  kind: z.enum(NOTIFIER_KINDS),
  target: z.string().describe("Its URL without path and query."),
  deployment: DeploymentName.nullable(),
  events: z.array(NotifierEvent),
  lateAfterMs: DurationMs,
  createdAt: Instant,
  createdBy: z.string(),
  latest: Delivery.nullable().describe("The latest delivery."),
});
export type Notifier = z.infer<typeof Notifier>;

/** A new notifier with its signing secret, which is shown only once. */
export const CreatedNotifier = z.object({
  notifier: Notifier,
  secret: z.string().describe("Signs deliveries by the Standard Webhooks specification. Copy it now."),
});
export type CreatedNotifier = z.infer<typeof CreatedNotifier>;

/** Filters of deliveries. */
export const DeliveryQuery = PageQuery.extend({ notifier: Name.optional() });

/** The question of a run in a notice. It has the title that the flow wrote, but not the form. */
const AskedQuestion = z.object({
  id: Id,
  title: z.string(),
  who: AnswerRole.describe("The least role that may answer."),
  askedAt: Instant,
  deadlineAt: Instant.nullable(),
  url: z.string().describe("The run's page with the question's form."),
  approveUrl: z
    .string()
    .nullable()
    .describe(
      "The same page with *Approve* chosen; the person still sends it. Null: not a yes-or-no question.",
    ),
  rejectUrl: z.string().nullable().describe("The same page with *Reject* chosen."),
});

/** The body of a webhook. Only metadata and the title of a question: no parameters, messages, values or log lines. */
export const Notice = z.object({
  id: Id,
  event: Delivery.shape.event,
  at: Instant,
  workspace: Name,
  run: z
    .object({
      id: Id,
      name: z.string().nullable(),
      deployment: DeploymentName,
      version: z.int(),
      state: RunStateName,
      cause: CauseName.nullable(),
      scheduledAt: Instant,
      startedAt: Instant.nullable(),
      endedAt: Instant.nullable(),
      url: z.string(),
    })
    .nullable(),
  question: AskedQuestion.nullable()
    .default(null)
    .describe("Only for the event `question`: what the run asks."),
});
export type Notice = z.infer<typeof Notice>;
