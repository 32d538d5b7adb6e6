import { z } from "zod";
import {
  DeploymentName,
  DurationMs,
  Id,
  IfUpdatedAt,
  Instant,
  Name,
  PageQuery,
  Tag,
  Tags,
} from "../kernel/names.ts";

/**
 * What a limit applies to: tasks and deployments that name it, all runs of a deployment, pool or queue, or all runs and task
 * runs with a tag. A queue's limit is called `pool/queue`. A tag's limit is called like the tag.
 */
export const LIMIT_KINDS = ["named", "deployment", "pool", "queue", "tag"] as const;

/**
 * What happens to a run if its deployment has no free slot: it waits, it is cancelled, or the oldest runs before it are
 * cancelled until it fits.
 */
export const COLLISIONS = ["enqueue", "cancel-new", "cancel-running"] as const;

/** The most slots of one limit. */
export const SLOTS_MAX = 100_000;

/** The longest time until a token returns, milliseconds: a day. */
export const RATE_MS_MAX: number = 24 * 3600 * 1000;

const LIMIT_NAME_CHARS_MAX = 127;

/** A limit's name: `warehouse`; of a deployment also `churn@prod`; of a queue `pool/queue`; of a tag any tag. */
export const LimitName = z.string().min(1).max(LIMIT_NAME_CHARS_MAX);

/** Why this text cannot be the name of a limit of this kind, or null. */
function limitNameFault(kind: (typeof LIMIT_KINDS)[number], name: string): string | null {
  if (kind === "tag") return Tag.safeParse(name).success ? null : "a tag has at most 64 characters";
  const parts = name.split("/");
  const [isQueue, isOther] = [parts.length === 2, parts.length === 1];
  if (isQueue && parts.every((part) => Name.safeParse(part).success)) return null;
  if (isOther && DeploymentName.safeParse(name).success) return null;
  return "use lower-case letters, digits, - and _, starting with a letter or digit; for a queue: pool/queue; for a deployment with a stage: name@stage. Only a limit of the kind `tag` may have other characters";
}

const slots = z.int().min(0).max(SLOTS_MAX);
const perMs = DurationMs.min(1)
  .max(RATE_MS_MAX)
  .nullable()
  .default(null)
  .describe("Null: a slot returns when its holder ends. Else it is a token that returns after this time.");

/** Sets a limit. Repeating it changes nothing. */
export const SetLimit = z
  .strictObject({
    kind: z.enum(LIMIT_KINDS).default("named"),
    name: LimitName,
    slots: slots.describe("How many can be taken at once. 0 stops everything."),
    perMs,
    collision: z.enum(COLLISIONS).default("enqueue").describe("Only for a deployment's limit."),
    ifUpdatedAt: IfUpdatedAt,
  })
  .superRefine(({ kind, name }, context) => {
    const message = limitNameFault(kind, name);
    if (message !== null) context.addIssue({ code: "custom", path: ["name"], message });
  });
export type SetLimit = z.input<typeof SetLimit>;

/** A holder of a limit's slots. */
export const SlotHolder = z.object({
  runId: Id,
  deployment: DeploymentName,
  task: z.string().nullable().describe("The path of the task run that holds them. Null: the run itself."),
  slots: z.int(),
  worker: z.string().nullable().describe("The name of its worker. Null: none at present."),
  forMs: DurationMs,
  usualMs: DurationMs.nullable().describe(
    "The median working time of the deployment's latest completed runs: the sum of their attempts, without the time between attempts. Null: no run has completed.",
  ),
});
export type SlotHolder = z.infer<typeof SlotHolder>;

/** A run or task run that waits for a limit's slots. */
export const SlotWaiter = z.object({
  runId: Id,
  deployment: DeploymentName,
  task: z.string().nullable(),
  slots: z.int(),
  priority: z.int(),
  dueAt: Instant,
});
export type SlotWaiter = z.infer<typeof SlotWaiter>;

/** The most holders and waiters in one answer. */
export const HOLDERS_SHOWN = 20;

/** A limit as people see it. */
export const Limit = z.object({
  id: Id,
  kind: z.enum(LIMIT_KINDS),
  name: LimitName,
  slots,
  perMs,
  collision: z.enum(COLLISIONS),
  source: z
    .enum(["code", "person"])
    .describe("Whether it comes from a deployment's code, or a person has set it."),
  taken: z.int().describe("Can exceed `slots` after `slots` was lowered."),
  waiting: z.int().describe("Runs and task runs that wait for it. Counted up to 1000."),
  holders: z.array(SlotHolder).describe(`The longest holders, at most ${HOLDERS_SHOWN}.`),
  line: z.array(SlotWaiter).describe(`The start of the wait list, at most ${HOLDERS_SHOWN}.`),
  createdAt: Instant,
  updatedAt: Instant,
});
export type Limit = z.infer<typeof Limit>;

/** Filters of lists of limits. */
export const LimitQuery = PageQuery.extend({
  kind: z.enum(LIMIT_KINDS).optional(),
  name: LimitName.optional(),
});

/** Which limit. */
export const LimitParams = z.object({ limitId: Id });

/** The condition of a deletion. */
export const DeleteLimitQuery = z.object({
  ifUpdatedAt: Instant.optional().describe("Removes it only if its `updatedAt` is this. Omitted: always."),
});

/** Slots of a named limit that something takes. */
export const LimitUse = z.strictObject({ name: Name, slots: z.int().min(1).max(SLOTS_MAX).default(1) });
export type LimitUse = z.output<typeof LimitUse>;

/** Named limits of one deployment, or of one task, at most. */
export const LIMIT_USES_MAX = 8;

/** The named limits that something takes together, each once. */
export const LimitUses = z
  .array(LimitUse)
  .max(LIMIT_USES_MAX)
  .refine((uses) => new Set(uses.map((use) => use.name)).size === uses.length, "name each limit once");

/** How many runs of a deployment may run at once. A default that people may change. */
export const Concurrency = z.strictObject({
  limit: slots.describe("How many of its runs may run at once. 0 stops everything."),
  collision: z
    .enum(COLLISIONS)
    .default("enqueue")
    .describe(
      "What happens to a run without a free slot: it waits (`enqueue`), it is cancelled (`cancel-new`), or the oldest runs are cancelled (`cancel-running`).",
    ),
});

/** The most task runs in one call that takes or returns slots. */
export const SLOT_CALLS_MAX = 64;

/** The longest that a call waits for slots, milliseconds. */
export const SLOT_WAIT_MS_MAX = 20_000;

/** The key of a task's try when it takes slots. */
const SlotKey = z.string().min(1).max(1100);

/** What one try of a task needs before it may begin. */
const SlotRequest = z.object({
  key: SlotKey,
  limits: LimitUses,
  tags: Tags.optional().describe("The task's tags. The try takes one slot of each tag that has a limit."),
  inside: SlotKey.optional().describe(
    "The try that makes this call and holds slots. Its slots also count for equal tags of this try. If a slot of another tag is needed, the request is refused.",
  ),
});

/** Takes slots for tries of tasks: all that a try needs, or none. A repeated request keeps its position in the wait list. */
export const TakeSlots = z.object({
  kind: z.literal("take-slots"),
  requests: z
    .array(SlotRequest)
    .min(1)
    .max(SLOT_CALLS_MAX)
    .refine(
      (requests) => requests.every(({ limits, tags = [] }) => limits.length + tags.length > 0),
      "name limits or tags in each request",
    ),
  waitMs: DurationMs.max(SLOT_WAIT_MS_MAX).describe(
    "How long the answer may wait until one of them has its slots.",
  ),
});

/** Returns slots, or leaves the wait list. Tokens of a rate return only by time. */
export const GiveBack = z.object({
  kind: z.literal("give-back"),
  keys: z.array(SlotKey).min(1).max(SLOT_CALLS_MAX),
});
