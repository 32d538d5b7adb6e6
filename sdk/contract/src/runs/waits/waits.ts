import { z } from "zod";
import { ROLES } from "../../identity/keys.ts";
import { LIMITS } from "../../kernel/limits.ts";
import {
  DeploymentName,
  DurationMs,
  Id,
  Instant,
  type Json,
  JsonObject,
  JsonValue,
  Name,
  PageQuery,
  severalOf,
} from "../../kernel/names.ts";
import { isSealed, sealable, sealableText, sealedBytes } from "../../sealing/fields.ts";
import { JobFacts } from "../jobs/facts.ts";
import { RunStateName } from "../runs.ts";
import type { Transition } from "../states.ts";

/** The kinds of waits: a duration, a time, an event, a person's answer, the end of another run or of an external job. */
export const AWAITED = ["for", "until", "event", "input", "run", "job"] as const;

/** The states of a wait. */
export const WAIT_STATES = ["open", "satisfied", "expired", "cancelled"] as const;

/** One state of a wait. */
export type WaitState = (typeof WAIT_STATES)[number];

/** Every move of a wait. It settles once. The end of its run cancels it. */
export const WAIT_TRANSITIONS = {
  satisfy: { from: ["open"], to: ["satisfied"] },
  expire: { from: ["open"], to: ["expired"] },
  cancel: { from: ["open"], to: ["cancelled"] },
} as const satisfies Record<string, Transition<WaitState>>;

/** How long events are kept for flows that wait for them later, milliseconds. */
export const EVENTS_KEPT_MS: number = 24 * 3_600_000;

const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)).length;

function atMostBytes(max: number): [(value: unknown) => boolean, string] {
  const limitOf = (value: unknown) => (isSealed(value) ? sealedBytes(max) : max);
  return [(value) => bytesOf(value) <= limitOf(value), `at most ${max} bytes of JSON`];
}

/** An answer, or an event's payload: at most 32 KiB. Larger data stays in the store; send its ref. */
export const Answer: z.ZodType<Json> = JsonValue.refine(...atMostBytes(LIMITS.answerBytes));

/** The name of an event. */
export const EventName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/, "use letters, digits, . _ - and /, at most 128");

const EventKey = sealable("key", z.string().min(1).max(200));

/** The least role that may answer a question. Viewers only read. */
export const AnswerRole = z.enum(["operator", "developer", "admin"]);

const deadlineMs = DurationMs.optional().describe(
  "The wait expires after this time, counted from the first request.",
);

/** A wait that a flow asks for. Durations count from the first request, by the control plane's clock. */
export const AskedWait = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("for"), ms: DurationMs }),
  z.object({ kind: z.literal("until"), at: Instant }),
  z.object({
    kind: z.literal("event"),
    name: EventName,
    key: EventKey.optional().describe("Only events with this key. Omitted: any event."),
    lookBackMs: DurationMs.max(EVENTS_KEPT_MS)
      .optional()
      .describe("Events up to this long ago count, too. Omitted: events since the run was created."),
    schema: sealable("question", JsonObject.refine(...atMostBytes(LIMITS.waitSchemaBytes)))
      .optional()
      .describe("JSON Schema 2020-12 of the payload. Events with another payload do not end the wait."),
    deadlineMs,
  }),
  z.object({
    kind: z.literal("input"),
    title: sealableText("title", { min: 1, max: 200 }),
    schema: sealable("question", JsonObject.refine(...atMostBytes(LIMITS.waitSchemaBytes))).describe(
      "JSON Schema 2020-12 of the answer, for forms and for the check of answers.",
    ),
    who: AnswerRole.default("operator"),
    deadlineMs,
  }),
  z.object({ kind: z.literal("run"), runId: Id, deadlineMs }),
  z.object({
    kind: z.literal("job"),
    job: Name.describe("The name of this kind of job in the flow's code."),
    pollEveryMs: DurationMs.min(1_000)
      .nullable()
      .describe("How often a worker polls its state. Null: only a callback ends it."),
    cancels: z.boolean().describe("Whether it can be cancelled when nothing waits for it."),
    callback: z
      .string()
      .regex(/^[0-9a-f]{64}$/, "a SHA-256 in lower-case hex")
      .optional()
      .describe("Hash of the token for the backend's callback."),
    deadlineMs,
  }),
]);
export type AskedWait = z.infer<typeof AskedWait>;

/** One wait of a run. */
export const Wait = z.object({
  id: Id,
  runId: Id,
  path: z.string(),
  kind: z.enum(AWAITED),
  state: z.enum(WAIT_STATES),
  title: sealable("title", z.string()).nullable().describe("Of a question."),
  schema: sealable("question", JsonObject).nullable().describe("Of a question: JSON Schema of its answer."),
  who: AnswerRole.nullable().describe("Of a question: the least role that may answer."),
  event: z.object({ name: z.string(), key: z.string().nullable() }).nullable(),
  childRunId: Id.nullable(),
  job: JobFacts.nullable().describe("Of an external job: its state."),
  satisfyAt: Instant.nullable().describe("When time alone ends it."),
  deadlineAt: Instant.nullable(),
  answer: sealable("answer", JsonValue).describe("The answer, or the event's payload; else null."),
  answeredBy: z.string().nullable(),
  createdAt: Instant,
  settledAt: Instant.nullable(),
});
export type Wait = z.infer<typeof Wait>;

/** A wait in the workspace's list, with its run. Lists contain no answers and no parameters. */
export const ListedWait = Wait.omit({ answer: true }).extend({
  deployment: DeploymentName,
  run: z
    .object({
      name: sealable("run-name", z.string()).nullable().describe("The run's name from the flow."),
      state: RunStateName,
    })
    .nullable()
    .describe("Null: the run was deleted by retention. Its waits follow soon."),
});
export type ListedWait = z.infer<typeof ListedWait>;

/** Filters of the workspace's waits. */
export const WaitQuery = PageQuery.extend({
  kind: severalOf(z.enum(AWAITED))
    .optional()
    .describe("One kind, or several separated by commas. `input` is a question. Omitted: all."),
  state: severalOf(z.enum(WAIT_STATES))
    .default(["open"])
    .describe("One state, or several separated by commas."),
  deployment: DeploymentName.optional(),
  order: z.enum(["oldest", "newest"]).default("oldest").describe("The order by creation."),
});

/** The most waits of one run on a page. */
export const runWaitsMax = 1_000;

/** Filters of one run's waits. By default a page has the most waits. */
export const RunWaitQuery = PageQuery.extend({
  limit: z.coerce.number().int().min(1).max(runWaitsMax).default(runWaitsMax),
  kind: severalOf(z.enum(AWAITED))
    .optional()
    .describe("One kind, or several separated by commas. `input` is a question. Omitted: all."),
  order: z.enum(["oldest", "newest"]).default("oldest").describe("The order by creation."),
  state: severalOf(z.enum(WAIT_STATES))
    .optional()
    .describe("One state, or several separated by commas. Omitted: all."),
});

/** Answers a question. */
export const AnswerWait = z.strictObject({ answer: sealable("answer", Answer) });

/** An event, for runs that wait for it now or start to wait within a day. */
export const SendEvent = z.strictObject({
  id: Id.describe("A UUIDv7 that the sender chooses. A repeated request sends no second event."),
  name: EventName,
  key: EventKey.optional(),
  payload: sealable("event", Answer.default(null)),
});
export type SendEvent = z.input<typeof SendEvent>;

/** The result of sending an event. */
export const SentEvent = z.object({
  id: Id,
  satisfied: z.int().describe("The number of waits that it ended when it was first sent."),
});
export type SentEvent = z.infer<typeof SentEvent>;

/** Whether a role may answer a question that asks for at least `who`. */
export function mayAnswer(role: keyof typeof ROLES | null, who: z.infer<typeof AnswerRole>): boolean {
  const has: readonly string[] = role === null ? [] : ROLES[role];
  return ROLES[who].every((permission) => has.includes(permission));
}

const isBooleanSchema = (schema: unknown): boolean =>
  typeof schema === "object" && schema !== null && Reflect.get(schema, "type") === "boolean";

/**
 * The field of a question that approves or rejects: the name of the only boolean property, or "" if the whole answer is a boolean.
 * Null: the question has no such field, or several.
 */
export function decisionFieldOf(schema: { readonly [key: string]: Json }): string | null {
  if (isBooleanSchema(schema)) return "";
  const { properties } = schema;
  if (typeof properties !== "object" || properties === null || Array.isArray(properties)) return null;
  const names = Object.entries(properties).flatMap(([name, one]) => (isBooleanSchema(one) ? [name] : []));
  const [only] = names;
  return names.length === 1 && only !== undefined ? only : null;
}

type DescribedWait = Pick<ListedWait, "kind" | "title" | "event" | "childRunId" | "job" | "satisfyAt">;

/** A short text of what a wait is for. */
export function waitText({ kind, title, event, childRunId, job, satisfyAt }: DescribedWait): string {
  switch (kind) {
    case "for":
    case "until":
      return satisfyAt ?? "a time";
    case "event":
      return `event ${event?.name}${event?.key ? ` about "${event.key}"` : ""}`;
    case "input":
      return title ?? "an answer";
    case "run":
      return `the end of run ${childRunId}`;
    case "job":
      return `job ${job?.name}: ${job?.says ?? job?.state}`;
  }
}
