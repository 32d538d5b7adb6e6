import { z } from "zod";
import { CauseName } from "../deployments/spec.ts";
import { DurationMs, Id, Instant, Name, PageQuery } from "../kernel/names.ts";
import { RunStateName } from "../runs/runs.ts";

/** What a notifier may be told of. */
export const NOTIFIER_EVENTS = ["failure", "late", "recovery"] as const;

/** What it is sent: JSON of our own, signed; or what Slack and those who speak as it does show. */
export const NOTIFIER_KINDS = ["webhook", "slack"] as const;

/** Times that a delivery is tried before it is given up. */
export const DELIVERY_TRIES_MAX = 8;

/** Characters of an address at most. */
const URL_CHARS_MAX = 2_000;

/** How long after it was due a run that has not started counts as late, unless a notifier says otherwise, milliseconds. */
const LATE_AFTER_MS = 5 * 60_000;

const NotifierEvent = z.enum(NOTIFIER_EVENTS);

/** Makes a notifier. */
export const CreateNotifier = z.strictObject({
  name: Name,
  kind: z.enum(NOTIFIER_KINDS).default("webhook"),
  url: z.url({ protocol: /^https?$/, error: "must be an https address" }).max(URL_CHARS_MAX),
  deployment: Name.nullable().default(null).describe("Null: every deployment of the workspace."),
  events: z
    .array(NotifierEvent)
    .min(1)
    .default([...NOTIFIER_EVENTS])
    .describe(
      "`failure`: a run failed or crashed, retries and all. `late`: it has not started in time. `recovery`: the first success of its deployment after that.",
    ),
  lateAfterMs: DurationMs.min(1_000)
    .default(LATE_AFTER_MS)
    .describe("How long after it was due a run that has not started is late."),
});
export type CreateNotifier = z.input<typeof CreateNotifier>;

/** What became of one thing that a notifier was to be told. */
export const Delivery = z.object({
  id: Id.describe("Sent with every try as `webhook-id`: a receiver that has seen it drops the second."),
  notifier: Name,
  event: z.enum([...NOTIFIER_EVENTS, "test"]),
  runId: Id.nullable().describe("Null: a test."),
  state: z.enum(["waiting", "sent", "given-up"]),
  tries: z.int(),
  status: z.int().nullable().describe("The HTTP status of the latest answer. Null: there was none."),
  failure: z.string().nullable().describe("Why the latest try failed."),
  createdAt: Instant,
  nextAt: Instant.nullable().describe("When it is tried again."),
});
export type Delivery = z.infer<typeof Delivery>;

/** A notifier as people see it: never its whole address, which may hold a secret. */
export const Notifier = z.object({
  id: Id,
  name: Name,
  kind: z.enum(NOTIFIER_KINDS),
  target: z.string().describe("Its address without path and query."),
  deployment: Name.nullable(),
  events: z.array(NotifierEvent),
  lateAfterMs: DurationMs,
  createdAt: Instant,
  createdBy: z.string(),
  latest: Delivery.nullable().describe("The latest delivery."),
});
export type Notifier = z.infer<typeof Notifier>;

/** A new notifier with what its deliveries are signed with, which is shown this once. */
export const CreatedNotifier = z.object({
  notifier: Notifier,
  secret: z.string().describe("Signs deliveries as Standard Webhooks say. Copy it now."),
});
export type CreatedNotifier = z.infer<typeof CreatedNotifier>;

/** Which deliveries. */
export const DeliveryQuery = PageQuery.extend({ notifier: Name.optional() });

/** What a webhook is sent. Metadata alone: no parameters, messages, values or lines. */
export const Notice = z.object({
  id: Id,
  event: Delivery.shape.event,
  at: Instant,
  workspace: Name,
  run: z
    .object({
      id: Id,
      name: z.string().nullable(),
      deployment: Name,
      version: z.int(),
      state: RunStateName,
      cause: CauseName.nullable(),
      scheduledAt: Instant,
      startedAt: Instant.nullable(),
      endedAt: Instant.nullable(),
      url: z.string(),
    })
    .nullable(),
});
export type Notice = z.infer<typeof Notice>;
