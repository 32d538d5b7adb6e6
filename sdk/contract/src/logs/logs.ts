import { z } from "zod";
import { LIMITS } from "../kernel/limits.ts";
import { Id, Instant, JsonValue } from "../kernel/names.ts";
import { RunSummary, TaskRun } from "../runs/runs.ts";
import { SealedJson, sealable, sealableText } from "../sealing/fields.ts";
import { StoredBody, StoredHash } from "../sealing/stored.ts";

/** Levels of log lines, least first. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

/** A level of a log line. */
export const LogLevel = z.enum(LOG_LEVELS);
export type LogLevel = z.infer<typeof LogLevel>;

/** The source of a line: the flow's logger, or the output of its process. */
export const LOG_STREAMS = ["log", "stdout", "stderr", "worker"] as const;

/** One log line as a worker sends it. Its number is its place in the record: `firstLine + index`. */
export const LogLine = z.object({
  at: Instant.describe("The worker's clock. It is shown, but decides nothing."),
  level: LogLevel,
  stream: z.enum(LOG_STREAMS),
  text: sealableText("log", { max: LIMITS.logLineBytes }),
  task: z.string().max(1024).optional().describe("The path of its task run."),
});
export type LogLine = z.infer<typeof LogLine>;

/** One log line. */
export const NumberedLine = LogLine.extend({
  attempt: z.int().describe("Ordinal of the attempt."),
  line: z.int(),
  stored: z
    .object({ hash: StoredHash, index: z.int().describe("The index of its text in the body.") })
    .optional()
    .describe("The stored body that has the text, which is empty here. Missing: the text is here."),
});
export type NumberedLine = z.infer<typeof NumberedLine>;

/** A gap where lines were lost, and why. */
export const LogGap = z.object({ attempt: z.int(), line: z.int(), count: z.int(), reason: z.string() });
export type LogGap = z.infer<typeof LogGap>;

/** An entry of a log: a line, or a gap where lines were lost. */
export const LogEntry = z.discriminatedUnion("kind", [
  NumberedLine.extend({ kind: z.literal("line") }),
  LogGap.extend({ kind: z.literal("gap") }),
]);
export type LogEntry = z.infer<typeof LogEntry>;

/** A part of a run's log, in order. `next` continues it. */
export const LogPage = z.object({
  entries: z.array(LogEntry),
  next: z.string().describe("Cursor `attempt:line` of the next line."),
  end: z.boolean().describe("True if the run has ended and the log is complete."),
});
export type LogPage = z.infer<typeof LogPage>;

/** A line's position in a run's log, `attempt:line`. */
export const LogPlace = z.string().regex(/^\d{1,9}:\d{1,12}$/);

/** What names a stored body. */
export const StoredQuery = z.object({
  at: LogPlace.optional().describe(
    "A line, `attempt:line`, whose text is in the body. Missing: the body is that of an artifact.",
  ),
});

/** The text to search for in a log. */
export const SearchText = z
  .string()
  .min(1)
  .max(200)
  .describe("Plain text; case is ignored, and no character is special.");

const AttemptOrdinal = z.coerce.number().int().min(1).max(1_000_000_000).optional();

/** Filters of a run's log by attempt and level. */
export const LogFilter = z.object({
  attempt: AttemptOrdinal.describe("The ordinal of an attempt. Omitted: all attempts, in order."),
  levels: z
    .string()
    .max(40)
    .transform((text) => text.split(","))
    .pipe(z.array(LogLevel).min(1))
    .optional()
    .describe("Levels of lines, separated by commas. Omitted: all. Gaps are always included."),
});
export type LogFilter = z.output<typeof LogFilter>;

/** The lines of one task run of a log. */
const OfTask = z
  .string()
  .min(1)
  .max(1024)
  .optional()
  .describe("The path of a task run: only its lines, and those of task runs that it called. Without gaps.");

/** Filters of a log file. */
export const LogFileQuery = LogFilter.extend({ task: OfTask });
export type LogFileQuery = z.output<typeof LogFileQuery>;

/** Which part of a log to read. With `levels` or `text` a page may have fewer entries than its limit. */
export const LogQuery = LogFilter.extend({
  after: LogPlace.default("0:0").describe("Cursor from an earlier page."),
  limit: z.coerce.number().int().min(1).max(5000).default(1000),
  text: SearchText.optional().describe(
    "Only lines that contain this text; case is ignored. Lines whose texts are in the customer's store are always included.",
  ),
  task: OfTask,
});

/** An artifact's body that a worker has sealed. It holds a body of another kind. */
export const SealedBody = SealedJson.extend({ kind: z.literal("sealed") });

const bodiesWith = (rowsMax: number) =>
  z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("markdown"), text: z.string() }),
    z.object({
      kind: z.literal("table"),
      columns: z.array(z.string().max(200)).max(64),
      rows: z.array(z.array(JsonValue).max(64)).max(rowsMax),
    }),
    z.object({
      kind: z.literal("progress"),
      done: z.number(),
      total: z.number().nullable(),
      unit: z.string().max(32).default(""),
    }),
    z.object({
      kind: z.literal("image"),
      mediaType: z.enum(["image/png", "image/jpeg", "image/svg+xml"]),
      base64: z.string(),
    }),
    z.object({
      kind: z.literal("link"),
      url: z.url({ protocol: /^https?$/ }),
      text: z.string().max(500),
    }),
  ]);

/** An artifact's body as a flow writes it, and as a stored body holds it. */
export const PlainBody = bodiesWith(LIMITS.storedRows);
export type PlainBody = z.infer<typeof PlainBody>;

/** Where the body of a large artifact is: in the customer's store. `of` is its kind there. */
export const StoredArtifactBody = StoredBody.extend({
  kind: z.literal("stored"),
  of: z.enum(["markdown", "table", "progress", "image", "link"]),
});
export type StoredArtifactBody = z.infer<typeof StoredArtifactBody>;

/** An artifact's body on the wire: plain or sealed and at most 32 KiB, or the address of a stored one. */
export const ArtifactBody = z.discriminatedUnion("kind", [
  ...bodiesWith(LIMITS.inlineRows).options,
  SealedBody,
  StoredArtifactBody,
]);
export type ArtifactBody = z.infer<typeof ArtifactBody>;

/** An artifact. The latest body of a key is shown. */
export const Artifact = z.object({
  attemptId: Id,
  key: z.string().min(1).max(200),
  title: sealableText("title", { max: 200 }),
  task: z.string().max(1024).nullable(),
  body: sealable("artifact", ArtifactBody),
  updatedAt: Instant,
});
export type Artifact = z.infer<typeof Artifact>;

/** What a run's stream sends of the log: all lines, or only its length. */
export const RunStreamQuery = z.object({ log: z.enum(["lines", "end"]).default("lines") });

/** The events of a run's stream (SSE). `id` of each event resumes it by `Last-Event-ID`. */
export const RunEvent = z.discriminatedUnion("event", [
  z.object({ event: z.literal("run"), data: RunSummary }),
  z.object({ event: z.literal("task"), data: TaskRun }),
  z.object({ event: z.literal("artifact"), data: Artifact }),
  z.object({ event: z.literal("log"), data: LogPage.shape.entries }),
  z.object({
    event: z.literal("log-end"),
    data: z
      .object({ attempt: z.int(), lines: z.int() })
      .describe(
        "The latest attempt, and how many lines all attempts have written. If it changes, there are new lines.",
      ),
  }),
  z.object({ event: z.literal("end"), data: z.object({ state: RunSummary.shape.state }) }),
]);
export type RunEvent = z.infer<typeof RunEvent>;

/**
 * The events of a run's own stream. If the database was restored after the event of `Last-Event-ID`, `begin` comes first: earlier
 * events may no longer be true, and the stream starts again.
 */
export const RunStreamEvent = z.discriminatedUnion("event", [
  ...RunEvent.options,
  z.object({ event: z.literal("begin"), data: z.object({}) }),
]);
export type RunStreamEvent = z.infer<typeof RunStreamEvent>;
