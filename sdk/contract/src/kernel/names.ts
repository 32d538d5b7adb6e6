import { z } from "zod";
import { LIMITS } from "./limits.ts";

/** A name: lower-case letters, digits, `-` and `_`, 1 to 63 characters, starting with a letter or digit. */
export const Name = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9_-]{0,62}$/,
    "use lower-case letters, digits, - and _, at most 63, starting with a letter or digit",
  );

/**
 * The name of a deployment: `churn`, or with its stage `churn@prod`. Each part is a `Name`. Deployments of different stages
 * share nothing but the first part.
 */
export const DeploymentName = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9_-]{0,62}(@[a-z0-9][a-z0-9_-]{0,62})?$/,
    "use a name like churn, or with a stage churn@prod: lower-case letters, digits, - and _, at most 63 in each part, starting with a letter or digit",
  );

/** The stage of `towpath dev`. Every project has it. */
export const DEV_STAGE = "dev";

/** In a query: only deployments of this stage, and what belongs to them. */
export const StageQuery = Name.optional().describe("Only of deployments of this stage.");

/** The longest name of a deployment, characters. */
export const DEPLOYMENT_NAME_CHARS = 127;

/** A UUID in lower case. */
export const Id = z.uuid().toLowerCase();

/** The version of a task's code. Calls of different versions cannot reuse each other's results. */
export const CodeVersion = z.string().min(1).max(64);

/** An instant on the wire: ISO 8601 in UTC with milliseconds. */
export const Instant = z.iso.datetime({ offset: false });

/** A condition of a change of settings, so that two people do not undo each other's changes. */
export const IfUpdatedAt = Instant.nullable()
  .optional()
  .describe(
    "Changes it only if its `updatedAt` is this. Null: only creates it. Omitted: always. A repeated request changes nothing.",
  );

/** A duration in milliseconds. */
export const DurationMs = z
  .int()
  .nonnegative()
  .max(366 * 24 * 3600 * 1000);

/** A JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The deepest nesting of a JSON value. A deeper one could exhaust the stack of code that reads it. */
export const JSON_DEPTH_MAX = 64;

/** The fault of a value that contains no other. */
function plainFault(value: unknown): string | null {
  if (typeof value === "number") return Number.isFinite(value) ? null : "contains a number that is too large";
  return value === null || typeof value === "string" || typeof value === "boolean" ? null : "is not JSON";
}

const isContainer = (value: unknown): value is object => typeof value === "object" && value !== null;

/** Why a value is not accepted as JSON, or null. Works level by level, without recursion. */
function jsonFault(value: unknown): string | null {
  if (!isContainer(value)) return plainFault(value);
  let level: object[] = [value];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > JSON_DEPTH_MAX) return `nests deeper than ${JSON_DEPTH_MAX} levels`;
    const inner: object[] = [];
    for (const one of level) {
      for (const child of Array.isArray(one) ? one : Object.values(one)) {
        if (isContainer(child)) inner.push(child);
        else {
          const fault = plainFault(child);
          if (fault !== null) return fault;
        }
      }
    }
    level = inner;
  }
  return null;
}

/** Any JSON value. */
export const JsonValue: z.ZodType<Json> = z.custom<Json>().superRefine((value, context) => {
  const message = jsonFault(value);
  if (message !== null) context.addIssue({ code: "custom", message });
});

/** A JSON object. */
export const JsonObject = z.record(z.string(), JsonValue);

/** A tag of a run or a task. */
export const Tag = z.string().min(1).max(64);

/** Tags of a run or a task: for searching, and for limits of tags. */
export const Tags = z.array(Tag).max(LIMITS.tags);

/** A page of a list. `next` is the cursor of the following page, or null on the last. */
export function page<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item), next: z.string().nullable() });
}

/** In a query: one word, or several with commas between them. */
export function severalOf<Word extends z.ZodType<unknown, string>>(word: Word) {
  return z
    .string()
    .max(200)
    .transform((text) => text.split(","))
    .pipe(z.array(word));
}

/** The query of a list: rows per page and the cursor of an earlier answer. */
export const PageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(512).optional(),
});

/** The body of every failure, RFC 9457. */
export const ProblemBody = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.string(),
  detail: z.string(),
  instance: z.string(),
  retryable: z.boolean(),
  faults: z
    .array(z.object({ path: z.string(), message: z.string(), suggestion: z.string().optional() }))
    .optional(),
});
