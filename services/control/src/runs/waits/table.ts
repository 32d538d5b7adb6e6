import type { AnswerRole, AWAITED, Json, WaitState } from "@towpath/contract";
import { integer, pgTable, text, uuid } from "drizzle-orm/pg-core";
import type { z } from "zod";
import { instant } from "../../kernel/index.ts";
import { jsonText } from "../table.ts";

/** What runs wait for, and have waited for. */
export const wait = pgTable("wait", {
  workspaceId: uuid("workspace_id").notNull(),
  id: uuid("id").notNull(),
  runId: uuid("run_id").notNull(),
  path: text("path").notNull(),
  kind: text("kind").$type<(typeof AWAITED)[number]>().notNull(),
  state: text("state").$type<WaitState>().notNull(),
  /** When time satisfies it: asked for, or because the run that it waits for has ended. */
  satisfyAt: instant("satisfy_at"),
  deadlineAt: instant("deadline_at"),
  eventName: text("event_name"),
  eventKey: text("event_key"),
  /** The event that satisfied it: the next wait of its run does not take it again. */
  eventId: uuid("event_id"),
  title: text("title"),
  schema: jsonText("schema").$type<{ [key: string]: Json }>(),
  who: text("who").$type<z.infer<typeof AnswerRole>>(),
  childRunId: uuid("child_run_id"),
  answer: jsonText("answer").$type<Json>(),
  answeredBy: text("answered_by"),
  /** The attempt that has asked and was told that it is still open. */
  askedBy: uuid("asked_by"),
  createdAt: instant("created_at").notNull(),
  settledAt: instant("settled_at"),
});

/** Events, kept for flows that ask later. */
export const event = pgTable("event", {
  workspaceId: uuid("workspace_id").notNull(),
  id: uuid("id").notNull(),
  name: text("name").notNull(),
  key: text("key"),
  payload: jsonText("payload").$type<Json>().notNull(),
  sentBy: text("sent_by").notNull(),
  receivedAt: instant("received_at").notNull(),
  /** How many waits it satisfied when it came. */
  satisfied: integer("satisfied").notNull(),
});

/** A row of `wait`. */
export type WaitRow = typeof wait.$inferSelect;
/** A row of `event`. */
export type EventRow = typeof event.$inferSelect;
