import type { Limit } from "@towpath/contract";
import { bigint, integer, pgTable, primaryKey, text, uuid } from "#sql";
import { instant } from "../kernel/index.ts";

/** A concurrency or rate limit. Its row is the lock for taking and returning its slots. */
export const slotLimit = pgTable("slot_limit", {
  id: uuid("id").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  kind: text("kind").$type<Limit["kind"]>().notNull(),
  name: text("name").notNull(),
  slots: integer("slots").notNull(),
  /** How long until a token returns. Null: slots, which return when their holder ends. */
  perMs: bigint("per_ms", { mode: "number" }),
  collision: text("collision").$type<Limit["collision"]>().notNull(),
  source: text("source").$type<Limit["source"]>().notNull(),
  taken: integer("taken").notNull().default(0),
  reservedBy: uuid("reserved_by"),
  createdAt: instant("created_at").notNull(),
  updatedAt: instant("updated_at").notNull(),
});

/** The named limits that every run of a deployment needs. */
export const deploymentLimit = pgTable(
  "deployment_limit",
  {
    workspaceId: uuid("workspace_id").notNull(),
    deploymentId: uuid("deployment_id").notNull(),
    limitId: uuid("limit_id").notNull(),
    amount: integer("amount").notNull(),
  },
  (row) => [primaryKey({ columns: [row.deploymentId, row.limitId] })],
);

/** Taken slots. `path` is empty for the slots of a run. */
export const slot = pgTable(
  "slot",
  {
    attemptId: uuid("attempt_id").notNull(),
    path: text("path").notNull().default(""),
    limitId: uuid("limit_id").notNull(),
    workspaceId: uuid("workspace_id").notNull(),
    runId: uuid("run_id").notNull(),
    amount: integer("amount").notNull(),
    takenAt: instant("taken_at").notNull(),
    returnsAt: instant("returns_at"),
  },
  (row) => [primaryKey({ columns: [row.attemptId, row.path, row.limitId] })],
);

/**
 * A wait list: requests with the same needs. For runs it has the properties that determine their limits. For task runs
 * the key has the needs.
 */
export const slotLine = pgTable("slot_line", {
  id: uuid("id").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  key: text("key").notNull(),
  deploymentId: uuid("deployment_id"),
  deployment: text("deployment"),
  pool: text("pool"),
  queue: text("queue"),
  /** The tags of its runs that have limits. A tag stays when its limit is deleted. */
  tags: text("tags").array().notNull().default([]),
  /** When its first request is next due for a check. */
  lookAt: instant("look_at"),
});

/** The needs of a wait list. */
export const slotLineLimit = pgTable(
  "slot_line_limit",
  {
    waitListId: uuid("line_id").notNull(),
    limitId: uuid("limit_id").notNull(),
    amount: integer("amount").notNull(),
  },
  (row) => [primaryKey({ columns: [row.waitListId, row.limitId] })],
);

/** A mark that a wait list must be checked, because a request entered it without the limits' locks. */
export const slotLook = pgTable("slot_look", {
  id: bigint("id", { mode: "number" }).primaryKey().generatedAlwaysAsIdentity(),
  workspaceId: uuid("workspace_id").notNull(),
  waitListId: uuid("line_id").notNull(),
});

/** A waiting request. */
export const slotWait = pgTable("slot_wait", {
  id: uuid("id").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  waitListId: uuid("line_id").notNull(),
  runId: uuid("run_id").notNull(),
  attemptId: uuid("attempt_id"),
  path: text("path").notNull().default(""),
  priority: integer("priority").notNull(),
  dueAt: instant("due_at").notNull(),
  since: instant("since").notNull(),
  passedAt: instant("passed_at"),
});
