import type { Limit } from "@towpath/contract";
import { bigint, integer, pgTable, primaryKey, text, uuid } from "#sql";
import { instant } from "../kernel/index.ts";

/** A concurrency or rate limit. Its row is the lock under which its slots are taken and given back. */
export const slotLimit = pgTable("slot_limit", {
  id: uuid("id").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  kind: text("kind").$type<Limit["kind"]>().notNull(),
  name: text("name").notNull(),
  slots: integer("slots").notNull(),
  /** After how long a token returns. Null: slots, which return when their holder ends. */
  perMs: bigint("per_ms", { mode: "number" }),
  collision: text("collision").$type<Limit["collision"]>().notNull(),
  source: text("source").$type<Limit["source"]>().notNull(),
  taken: integer("taken").notNull().default(0),
  reservedBy: uuid("reserved_by"),
  createdAt: instant("created_at").notNull(),
  updatedAt: instant("updated_at").notNull(),
});

/** The named limits that every run of a deployment takes. */
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

/** Who has slots. `path` is empty for a run's own. */
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

/** Requests that need the same wait in one line. Of runs: what their limits follow from; of task runs it is in the key. */
export const slotLine = pgTable("slot_line", {
  id: uuid("id").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  key: text("key").notNull(),
  deploymentId: uuid("deployment_id"),
  deployment: text("deployment"),
  pool: text("pool"),
  queue: text("queue"),
  /** When somebody must look whether its first may go. */
  lookAt: instant("look_at"),
});

/** What a line needs. */
export const slotLineLimit = pgTable(
  "slot_line_limit",
  {
    lineId: uuid("line_id").notNull(),
    limitId: uuid("limit_id").notNull(),
    amount: integer("amount").notNull(),
  },
  (row) => [primaryKey({ columns: [row.lineId, row.limitId] })],
);

/** That a line is to be looked at some time: somebody entered it without its limits' locks. */
export const slotLook = pgTable("slot_look", {
  id: bigint("id", { mode: "number" }).primaryKey().generatedAlwaysAsIdentity(),
  workspaceId: uuid("workspace_id").notNull(),
  lineId: uuid("line_id").notNull(),
});

/** Who waits in a line. */
export const slotWait = pgTable("slot_wait", {
  id: uuid("id").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  lineId: uuid("line_id").notNull(),
  runId: uuid("run_id").notNull(),
  attemptId: uuid("attempt_id"),
  path: text("path").notNull().default(""),
  priority: integer("priority").notNull(),
  dueAt: instant("due_at").notNull(),
  since: instant("since").notNull(),
  passedAt: instant("passed_at"),
});
