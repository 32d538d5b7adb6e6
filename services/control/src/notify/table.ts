import type { Delivery, Notice, Notifier } from "@towpath/contract";
import { bigint, boolean, integer, json, pgTable, primaryKey, text, uuid } from "#sql";
import { instant } from "../kernel/index.ts";

/** An address that receives notices about failures, late runs, recoveries and questions. */
export const notifier = pgTable("notifier", {
  id: uuid("id").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  name: text("name").notNull(),
  kind: text("kind").$type<Notifier["kind"]>().notNull(),
  /** The whole address as given. It leaves this table only in requests to it. */
  url: text("url").notNull(),
  /** The secret that signs webhooks. */
  secret: text("secret").notNull(),
  /** Null: every deployment. */
  deployment: text("deployment"),
  events: text("events").array().$type<Notifier["events"]>().notNull(),
  lateAfterMs: bigint("late_after_ms", { mode: "number" }).notNull(),
  createdAt: instant("created_at").notNull(),
  createdBy: text("created_by").notNull(),
});

/** The outbox of notifiers, each event once per notifier. `next_at` is set while the delivery waits for a try. */
export const notifierDelivery = pgTable("notifier_delivery", {
  id: uuid("id").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  notifierId: uuid("notifier_id").notNull(),
  event: text("event").$type<Delivery["event"]>().notNull(),
  runId: uuid("run_id"),
  /** The question, for the event `question`: a run can ask several. */
  waitId: uuid("wait_id"),
  notice: json("notice").$type<Notice>().notNull(),
  state: text("state").$type<Delivery["state"]>().notNull(),
  tries: integer("tries").notNull().default(0),
  nextAt: instant("next_at"),
  status: integer("status"),
  failure: text("failure"),
  createdAt: instant("created_at").notNull(),
});

/** Deployments whose latest run to end has failed. */
export const notifierStanding = pgTable(
  "notifier_standing",
  {
    workspaceId: uuid("workspace_id").notNull(),
    deployment: text("deployment").notNull(),
    failedRunId: uuid("failed_run_id").notNull(),
  },
  (row) => [primaryKey({ columns: [row.workspaceId, row.deployment] })],
);

/** The position in the change feed for the notifiers of a workspace. Its lock admits one process at a time. */
export const notifierProgress = pgTable("notifier_progress", {
  workspaceId: uuid("workspace_id").primaryKey(),
  position: bigint("position", { mode: "number" }).notNull(),
});

/** The one row with the position in the change feed for the notifiers of all workspaces. */
export const notifierFeed = pgTable("notifier_feed", {
  id: boolean("id").primaryKey().default(true),
  position: bigint("position", { mode: "number" }).notNull(),
});
