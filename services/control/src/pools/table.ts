import type { Amounts, POOL_TYPES, StoreMark } from "@towpath/contract";
import { bigint, boolean, integer, jsonb, pgTable, primaryKey, text, uuid } from "#sql";
import { instant } from "../kernel/index.ts";

/** Where work runs. */
export const pool = pgTable("pool", {
  id: uuid("id").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  name: text("name").notNull(),
  type: text("type").$type<(typeof POOL_TYPES)[number]>().notNull(),
  createdAt: instant("created_at").notNull().defaultNow(),
});

/** A part of a pool's line, with a priority of its own. */
export const queue = pgTable("queue", {
  id: uuid("id").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  poolId: uuid("pool_id").notNull(),
  name: text("name").notNull(),
  priority: integer("priority").notNull(),
  createdAt: instant("created_at").notNull(),
});

/** Who serves a pool. A worker chooses its id once; it keeps it through restarts and new keys. */
export const worker = pgTable(
  "worker",
  {
    workspaceId: uuid("workspace_id").notNull(),
    id: uuid("id").notNull(),
    poolId: uuid("pool_id").notNull(),
    keyId: uuid("key_id").notNull(),
    name: text("name").notNull(),
    version: text("version").notNull(),
    protocol: integer("protocol").notNull(),
    capacity: integer("capacity").notNull(),
    /** What it has for runs that need some. Empty: it has declared nothing. */
    amounts: jsonb("amounts").$type<Amounts>().notNull().default({}),
    /** What tells the stores apart that it reaches, by name. */
    stores: jsonb("stores").$type<Record<string, StoreMark>>().notNull().default({}),
    draining: boolean("draining").notNull().default(false),
    /** Until when it said that it takes nothing, since starts fail there, and the last reason. */
    pausedUntil: instant("paused_until"),
    pauseReason: text("pause_reason"),
    /** Which start of the worker opened its latest session. */
    process: uuid("process"),
    /** Counts its starts, as sessions tell them. */
    generation: bigint("generation", { mode: "number" }).notNull().default(0),
    /** The newest poll of that start. */
    pollSeq: bigint("poll_seq", { mode: "number" }).notNull().default(0),
    /** The incarnation to which it has offered again what it knows. */
    reconciled: uuid("reconciled"),
    /** Since when it says that it is doing so, and has not finished. Null: it does not. */
    offeringSince: instant("offering_since"),
    firstSeenAt: instant("first_seen_at").notNull().defaultNow(),
    lastSeenAt: instant("last_seen_at").notNull().defaultNow(),
  },
  (row) => [primaryKey({ columns: [row.workspaceId, row.id] })],
);
