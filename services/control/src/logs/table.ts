import type { ArtifactBody, LogLine, StoredLines } from "@towpath/contract";
import { bigint, integer, pgTable, smallint, text, uuid } from "#sql";
import { instant } from "../kernel/index.ts";
import { jsonText } from "../runs/table.ts";

const count = (name: string) => bigint(name, { mode: "number" });

/** Chunks of log lines, or gaps of lost lines. Together they cover an attempt's lines from 0 without overlap. */
export const logChunk = pgTable("log_chunk", {
  attemptId: uuid("attempt_id").notNull(),
  firstLine: count("first_line").notNull(),
  lineCount: count("line_count").notNull(),
  workspaceId: uuid("workspace_id").notNull(),
  kind: text("kind").$type<"line" | "gap">().notNull(),
  lines: jsonText("lines").$type<LogLine[]>(),
  reason: text("reason"),
  sizeBytes: integer("size_bytes").notNull(),
  receivedAt: instant("received_at").notNull(),
  /** Bits of its levels, or of a gap, as in `levels.ts`. */
  levels: smallint("levels").notNull(),
  /** The attempt's lines of each level, and its gaps, up to the end of this chunk. */
  debugTotal: count("debug_total").notNull(),
  infoTotal: count("info_total").notNull(),
  warnTotal: count("warn_total").notNull(),
  errorTotal: count("error_total").notNull(),
  gapTotal: count("gap_total").notNull(),
  /** Its searchable lines, separated by line feeds, each after the mark of its level. */
  plain: text("plain"),
  /** Where the texts of its lines are. Null: in the lines. */
  stored: jsonText("stored").$type<StoredLines>(),
});

/** Artifacts: the latest body under each key of an attempt. */
export const artifact = pgTable("artifact", {
  workspaceId: uuid("workspace_id").notNull(),
  runId: uuid("run_id").notNull(),
  attemptId: uuid("attempt_id").notNull(),
  key: text("key").notNull(),
  attempt: integer("attempt").notNull(),
  title: text("title").notNull(),
  task: text("task"),
  body: jsonText("body").$type<ArtifactBody>().notNull(),
  updatedAt: instant("updated_at").notNull(),
  /** The hash of a body that is in the customer's store. Null: the body is in the row. */
  storedHash: text("stored_hash"),
});
