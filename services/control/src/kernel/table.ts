import {
  bigint,
  boolean,
  customType,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  sql,
  text,
  timestamp,
  uuid,
} from "#sql";

/** A `bytea` column. */
export const bytea = customType<{ data: Uint8Array; driverData: Uint8Array }>({ dataType: () => "bytea" });

/** A `timestamptz` column, read as a Date. */
export const instant = (name: string) => timestamp(name, { withTimezone: true, mode: "date" });

/** The one row about this database. */
export const installation = pgTable("installation", {
  id: boolean("id").primaryKey().default(true),
  /** Changes when the database was restored or failed over, which `systemIdentifier` and `timeline` show. */
  incarnation: uuid("incarnation").notNull(),
  systemIdentifier: text("system_identifier").notNull(),
  timeline: integer("timeline").notNull(),
  sessionSecret: bytea("session_secret").notNull(),
  createdAt: instant("created_at").notNull().defaultNow(),
});

/** The incarnations of this database. The newest row is current while its identity equals that of the server. */
export const incarnation = pgTable("incarnation", {
  number: bigint("number", { mode: "number" }).primaryKey().generatedAlwaysAsIdentity(),
  id: uuid("id").notNull().unique(),
  /** System identifier, timeline, start of the server, database and file. */
  identity: text("identity").notNull(),
  /** When it was first seen. Null for the first one. */
  since: instant("since"),
  /** The last heartbeat in the database at that time. */
  knownUntil: instant("known_until"),
});

/**
 * The heartbeats of processes that serve workers. A new process has a new row, so that even a short absence shows
 * between two rows.
 */
export const presence = pgTable("presence", {
  process: uuid("process").primaryKey(),
  /** Since when this process has answered workers without a pause. */
  recoveredAt: instant("recovered_at").notNull(),
  heartbeatAt: instant("heartbeat_at").notNull(),
});

/** The one row with the last assigned position. Its lock lets one sequencer work at a time. */
export const changeFeed = pgTable("change_feed", {
  id: boolean("id").primaryKey().default(true),
  lastPosition: bigint("last_position", { mode: "number" }).notNull().default(0),
});

/** The outbox and change feed. `position` is null until the sequencer has stamped the row after its commit. */
export const change = pgTable("change", {
  id: bigint("id", { mode: "number" }).notNull().generatedAlwaysAsIdentity(),
  workspaceId: uuid("workspace_id").notNull(),
  position: bigint("position", { mode: "number" }),
  kind: text("kind").notNull(),
  runId: uuid("run_id"),
  entityId: text("entity_id"),
  data: jsonb("data").$type<Record<string, unknown>>().notNull().default(sql`'{}'`),
  createdAt: instant("created_at").notNull().defaultNow(),
});

/** Rows that a periodic job could not handle. They are set aside until they are retried, and shown to people. */
export const poisonedRow = pgTable(
  "poisoned_row",
  {
    job: text("job").notNull(),
    workspaceId: uuid("workspace_id").notNull(),
    rowId: uuid("row_id").notNull(),
    /** The run, schedule, backfill or notifier that it belongs to. */
    subjectId: uuid("subject_id"),
    failures: integer("failures").notNull(),
    message: text("message").notNull(),
    since: instant("since").notNull(),
    notBefore: instant("not_before").notNull(),
  },
  (row) => [primaryKey({ columns: [row.job, row.workspaceId, row.rowId] })],
);
