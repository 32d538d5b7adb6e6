import type { Backfill, Json, ScheduleInstant, ScheduleSettings } from "@towpath/contract";
import { boolean, integer, jsonb, pgTable, primaryKey, text, uuid } from "#sql";
import { instant } from "../kernel/index.ts";

/** When a deployment runs by itself. Not signed: everyone who may deploy may change it. */
export const schedule = pgTable("schedule", {
  id: uuid("id").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  deploymentId: uuid("deployment_id").notNull(),
  deployment: text("deployment").notNull(),
  name: text("name").notNull(),
  settings: jsonb("settings").$type<ScheduleSettings>().notNull(),
  source: text("source").$type<"code" | "person">().notNull(),
  paused: boolean("paused").notNull().default(false),
  fault: text("fault"),
  /** Every instant up to this one is decided. */
  cursorAt: instant("cursor_at").notNull(),
  /** The first instant after the cursor. Null: the schedule is paused or faulty, or has no further instants. */
  nextAt: instant("next_at"),
  /** It waits for its previous run to end, not for a time. */
  waits: boolean("waits").notNull().default(false),
  lastRunId: uuid("last_run_id"),
  createdAt: instant("created_at").notNull(),
  updatedAt: instant("updated_at").notNull(),
});

/** The decision about an instant. The key prevents a second run of the same instant. */
export const scheduleInstant = pgTable(
  "schedule_instant",
  {
    workspaceId: uuid("workspace_id").notNull(),
    scheduleId: uuid("schedule_id").notNull(),
    at: instant("at").notNull(),
    until: instant("until"),
    runId: uuid("run_id"),
    skipped: text("skipped").$type<NonNullable<ScheduleInstant["skipped"]>>(),
    decidedAt: instant("decided_at").notNull(),
  },
  (row) => [primaryKey({ columns: [row.scheduleId, row.at] })],
);

/** The runs of past instants of a schedule, with the settings of the schedule at that time. */
export const backfill = pgTable("backfill", {
  id: uuid("id").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  deployment: text("deployment").notNull(),
  schedule: text("schedule").notNull(),
  settings: jsonb("settings").$type<ScheduleSettings>().notNull(),
  parameters: jsonb("parameters").$type<{ [key: string]: Json }>().notNull(),
  from: instant("from_at").notNull(),
  to: instant("to_at").notNull(),
  order: text("order").$type<Backfill["order"]>().notNull(),
  only: text("only").$type<Backfill["only"]>().notNull().default("all"),
  /** The instants of the range that it does not run because of `only`, Unix times in milliseconds. */
  skips: jsonb("skips").$type<readonly number[]>().notNull().default([]),
  /** The first instants in its order, Unix times in milliseconds, so that lists need not read `skips`. Null: of an earlier release. */
  firstInstants: jsonb("first_instants").$type<readonly number[]>(),
  concurrency: integer("concurrency").notNull(),
  state: text("state").$type<Backfill["state"]>().notNull(),
  instants: integer("instants").notNull(),
  created: integer("created").notNull().default(0),
  /** The last instant that has a run, in the backfill's order. */
  cursorAt: instant("cursor_at"),
  createdBy: text("created_by").notNull(),
  createdAt: instant("created_at").notNull(),
  endedAt: instant("ended_at"),
});

/** One run of a backfill. */
export const backfillRun = pgTable(
  "backfill_run",
  {
    backfillId: uuid("backfill_id").notNull(),
    workspaceId: uuid("workspace_id").notNull(),
    at: instant("at").notNull(),
    runId: uuid("run_id").notNull(),
    /** Whether it completed. Null until it has ended. */
    completed: boolean("completed"),
  },
  (row) => [primaryKey({ columns: [row.backfillId, row.at] })],
);
