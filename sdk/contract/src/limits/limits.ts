import { z } from "zod";
import { DurationMs, Id, Instant, Name, PageQuery } from "../kernel/names.ts";

/**
 * What a limit holds for: whoever names it; every run of a deployment, of a pool, or of a queue. A queue's limit is
 * called `pool/queue`.
 */
export const LIMIT_KINDS = ["named", "deployment", "pool", "queue"] as const;

/**
 * What becomes of a run whose deployment has no slot left: it waits in line; it is cancelled; or those before it are,
 * the oldest first, until it fits.
 */
export const COLLISIONS = ["enqueue", "cancel-new", "cancel-running"] as const;

/** The most slots of one limit. */
export const SLOTS_MAX = 100_000;

/** The longest after which a token returns, milliseconds: a day. */
export const RATE_MS_MAX: number = 24 * 3600 * 1000;

/** A limit's name: `warehouse`, or `pool/queue`. */
export const LimitName = z
  .string()
  .max(127)
  .refine((text) => {
    const parts = text.split("/");
    return parts.length <= 2 && parts.every((part) => Name.safeParse(part).success);
  }, "use lower-case letters, digits, - and _, starting with a letter or digit; for a queue: pool/queue");

const slots = z.int().min(0).max(SLOTS_MAX);
const perMs = DurationMs.min(1)
  .max(RATE_MS_MAX)
  .nullable()
  .default(null)
  .describe(
    "Null: a slot returns when what holds it ends. Else it is a token, which returns after this long.",
  );

/** Sets a limit. Repeating it changes nothing. */
export const SetLimit = z.strictObject({
  kind: z.enum(LIMIT_KINDS).default("named"),
  name: LimitName,
  slots: slots.describe("How many may be taken at once. 0: nothing goes."),
  perMs,
  collision: z.enum(COLLISIONS).default("enqueue").describe("Of a deployment's limit alone."),
});
export type SetLimit = z.input<typeof SetLimit>;

/** Who has slots of a limit. */
export const SlotHolder = z.object({
  runId: Id,
  deployment: Name,
  task: z.string().nullable().describe("The path of the task run that holds them. Null: the run itself."),
  slots: z.int(),
  worker: z.string().nullable().describe("The name of the worker that runs it. Null: none does now."),
  forMs: DurationMs,
  usualMs: DurationMs.nullable().describe(
    "Half of the deployment's latest runs that completed took no longer. Null: none has.",
  ),
});
export type SlotHolder = z.infer<typeof SlotHolder>;

/** Who waits in line for a limit. */
export const SlotWaiter = z.object({
  runId: Id,
  deployment: Name,
  task: z.string().nullable(),
  slots: z.int(),
  priority: z.int(),
  dueAt: Instant,
});
export type SlotWaiter = z.infer<typeof SlotWaiter>;

/** The most holders, and the most of a line, that one answer shows. */
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
    .describe("Whether the latest version of a deployment says it, or a person has set it since."),
  taken: z.int().describe("May exceed `slots` once these were lowered."),
  waiting: z.int().describe("Runs and task runs that wait for it, counted up to 1000."),
  holders: z.array(SlotHolder).describe(`Those who have had theirs for longest, at most ${HOLDERS_SHOWN}.`),
  line: z.array(SlotWaiter).describe(`The first in line, at most ${HOLDERS_SHOWN}.`),
  createdAt: Instant,
  updatedAt: Instant,
});
export type Limit = z.infer<typeof Limit>;

/** What lists of limits can be narrowed by. */
export const LimitQuery = PageQuery.extend({
  kind: z.enum(LIMIT_KINDS).optional(),
  name: LimitName.optional(),
});

/** Which limit. */
export const LimitParams = z.object({ limitId: Id });

/** Slots of a named limit that something takes. */
export const LimitUse = z.strictObject({ name: Name, slots: z.int().min(1).max(SLOTS_MAX).default(1) });
export type LimitUse = z.output<typeof LimitUse>;

/** Named limits of one deployment, or of one task, at most. */
export const LIMIT_USES_MAX = 8;

/** All the named limits that something takes at once, each named once. */
export const LimitUses = z
  .array(LimitUse)
  .max(LIMIT_USES_MAX)
  .refine((uses) => new Set(uses.map((use) => use.name)).size === uses.length, "name each limit once");

/** How many runs of a deployment may go at once: a default, which people may change. */
export const Concurrency = z.strictObject({
  limit: slots,
  collision: z.enum(COLLISIONS).default("enqueue"),
});

/** Task runs that one call takes slots for, or gives them back for, at most. */
export const SLOT_CALLS_MAX = 64;

/** The longest that a call waits for slots, milliseconds. */
export const SLOT_WAIT_MS_MAX = 20_000;

/** One try of a task: what it calls itself when it takes slots. */
const SlotKey = z.string().min(1).max(1100);

/** Takes slots for tries of tasks, each all that it needs or none. Those asked for again keep their place in line. */
export const TakeSlots = z.object({
  kind: z.literal("take-slots"),
  requests: z
    .array(z.object({ key: SlotKey, limits: LimitUses.min(1) }))
    .min(1)
    .max(SLOT_CALLS_MAX),
  waitMs: DurationMs.max(SLOT_WAIT_MS_MAX).describe(
    "How long the answer may wait until any of them has its slots.",
  ),
});

/** Gives slots back, or leaves their lines. Tokens of a rate return by time alone. */
export const GiveBack = z.object({
  kind: z.literal("give-back"),
  keys: z.array(SlotKey).min(1).max(SLOT_CALLS_MAX),
});
