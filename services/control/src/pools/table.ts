import type { Amounts, POOL_TYPES, StoreMark, Wall } from "@towpath/contract";
import { bigint, boolean, integer, jsonb, pgTable, primaryKey, text, uuid } from "#sql";
import { instant } from "../kernel/index.ts";

/** Where runs execute. */
export const pool = pgTable("pool", {
  id: uuid("id").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  name: text("name").notNull(),
  type: text("type").$type<(typeof POOL_TYPES)[number]>().notNull(),
  createdAt: instant("created_at").notNull().defaultNow(),
});

/** A queue of a pool, with a priority of its own. */
export const queue = pgTable("queue", {
  id: uuid("id").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  poolId: uuid("pool_id").notNull(),
  name: text("name").notNull(),
  priority: integer("priority").notNull(),
  createdAt: instant("created_at").notNull(),
});

/** Workers. A worker chooses its id once, and keeps it through restarts and new keys. */
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
    /** The resources that it declares for runs. Empty: none. */
    amounts: jsonb("amounts").$type<Amounts>().notNull().default({}),
    /** A mark of each store that it reaches, by name. Stores with the same mark are the same. */
    stores: jsonb("stores").$type<Record<string, StoreMark>>().notNull().default({}),
    /** The secrets that have a value there, and the names of its code registries. Null: not reported. */
    secrets: jsonb("secrets").$type<string[]>(),
    registries: jsonb("registries").$type<string[]>(),
    /** What separates its runs from each other. Null: not reported. */
    wall: text("wall").$type<Wall>(),
    /** Whether each of its runs has namespaces of its own. Null: not reported. */
    namespaces: boolean("namespaces"),
    /** The ids of its workspace keys. Null: it has none. */
    workspaceKeys: jsonb("workspace_keys").$type<string[]>(),
    /** Whether it sends stored bodies to readers. Null: its release cannot. */
    reads: boolean("reads"),
    draining: boolean("draining").notNull().default(false),
    /** Until when it takes no work because starts fail there, and the last reason. */
    pausedUntil: instant("paused_until"),
    pauseReason: text("pause_reason"),
    /** The process that opened the worker's latest session. */
    process: uuid("process"),
    /** Counts the worker's starts. */
    generation: bigint("generation", { mode: "number" }).notNull().default(0),
    /** The number of the newest poll of that start. */
    pollSeq: bigint("poll_seq", { mode: "number" }).notNull().default(0),
    /** The incarnation in which it has offered its attempts again. */
    reconciled: uuid("reconciled"),
    /** Since when it is offering attempts again. Null if it is not. */
    offeringSince: instant("offering_since"),
    /** Since when its machine is declared gone, and by whom. Null: it is not, or the worker has polled since. */
    goneAt: instant("gone_at"),
    goneBy: text("gone_by"),
    /** When it stopped with no attempt left. Null: it has not, or has started since. */
    stoppedAt: instant("stopped_at"),
    firstSeenAt: instant("first_seen_at").notNull().defaultNow(),
    lastSeenAt: instant("last_seen_at").notNull().defaultNow(),
  },
  (row) => [primaryKey({ columns: [row.workspaceId, row.id] })],
);
