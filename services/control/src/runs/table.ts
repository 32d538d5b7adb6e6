import type {
  AnswerRole,
  AttemptState,
  AWAITED,
  Cause,
  DataTime,
  JobState,
  Json,
  Ref,
  RunError,
  RunState,
  TaskRunState,
  TaskTry,
  Trigger,
  Upstream,
  WaitState,
} from "@towpath/contract";
import type { z } from "zod";
import { bigint, boolean, customType, integer, pgTable, text, uuid } from "#sql";
import { bytea, instant } from "../kernel/index.ts";

/**
 * A `json` column: kept as it was written. Unlike `jsonb` it takes any text that JSON can say, NUL included, and it is
 * cheaper to write; nothing in it is ever searched.
 */
export const jsonText = customType<{ data: unknown; driverData: unknown }>({
  dataType: () => "json",
  toDriver: (value) => JSON.stringify(value),
});

const errorColumn = () => jsonText("error").$type<RunError>();
const resultColumn = () => jsonText("result").$type<Ref>();
const causeColumn = () => text("cause").$type<Cause>();

const count = (name: string) => bigint(name, { mode: "number" });

const runColumns = () => ({
  workspaceId: uuid("workspace_id").notNull(),
  id: uuid("id").notNull(),
  /** What its flow calls it. */
  name: text("name"),
  deploymentId: uuid("deployment_id").notNull(),
  versionId: uuid("version_id").notNull(),
  poolId: uuid("pool_id").notNull(),
  deployment: text("deployment").notNull(),
  version: integer("version").notNull(),
  pool: text("pool").notNull(),
  /** Its queue within the pool. Null: none. */
  queue: text("queue"),
  state: text("state").$type<RunState>().notNull(),
  cause: causeColumn(),
  trigger: jsonText("trigger").$type<Trigger>().notNull(),
  priority: integer("priority").notNull(),
  tags: text("tags").array().notNull(),
  parameters: jsonText("parameters").$type<{ [key: string]: Json }>().notNull(),
  /** From the end of a lease to *lost*: the spec's, copied for each attempt. */
  lostAfterMs: count("lost_after_ms").notNull(),
  /** The latest attempt. */
  attemptId: uuid("attempt_id"),
  attempts: integer("attempts").notNull().default(0),
  /** Retries that were spent; evictions spend none. */
  retries: integer("retries").notNull().default(0),
  createdAt: instant("created_at").notNull(),
  /** What was asked for; never changes. */
  scheduledAt: instant("scheduled_at").notNull(),
  /** When it may next be admitted: `scheduled_at`, and later the end of a retry's delay. */
  dueAt: instant("due_at").notNull(),
  /** When it is given up if it has not started. Null: never. */
  expiresAt: instant("expires_at"),
  /** How long it may take as a whole, from its first start. Null: without a limit. */
  runTimeoutMs: count("run_timeout_ms"),
  startedAt: instant("started_at"),
  endedAt: instant("ended_at"),
  /**
   * The time of its attempts that have ended, milliseconds. Null: none has, it had only one, or an earlier release did not
   * count.
   */
  workedMs: count("worked_ms"),
  /** When the present attempt started. Null: none runs, or an earlier release started it. */
  workingSince: instant("working_since"),
  /** When its end was reported, if that was a second or more after it. */
  reportedAt: instant("reported_at"),
  cancelRequestedAt: instant("cancel_requested_at"),
  cancelReason: text("cancel_reason"),
  /** The cause that it gets when its cancellation has ended. Null: a person's request. */
  cancelCause: text("cancel_cause").$type<Cause>(),
  /** Whether an attempt has reported that its flow has a hook for a cancellation. */
  cancelHook: boolean("cancel_hook").notNull().default(false),
  /** Of one that is a task of another run, in another pool: the task's name. */
  task: text("task"),
  /** The run that has started it, and whether it ends with that one. */
  parentId: uuid("parent_id"),
  onParentEnd: text("on_parent_end").$type<"cancel" | "abandon">(),
  /** What it needs of its worker, as `needsText` writes it. Empty: only a slot. */
  needs: text("needs").notNull().default(""),
  /** Whether its end concerns others: it has waits, has started runs, or another run waits for it. */
  hasDependents: boolean("tied").notNull().default(false),
  /** When the refs of what its tasks left were deleted. */
  checkpointsDeletedAt: instant("checkpoints_deleted_at"),
  error: errorColumn(),
  result: resultColumn(),
});

/** Runs that have not ended, and for a short while those that have. */
export const run = pgTable("run", runColumns());

/** History of runs: what ended, by the month of its end. */
export const runHistory = pgTable("run_history", {
  ...runColumns(),
  endedAt: instant("ended_at").notNull(),
});

const attemptColumns = () => ({
  id: uuid("id").primaryKey(),
  workspaceId: uuid("workspace_id").notNull(),
  runId: uuid("run_id").notNull(),
  ordinal: integer("ordinal").notNull(),
  poolId: uuid("pool_id").notNull(),
  priority: integer("priority").notNull(),
  scheduledAt: instant("scheduled_at").notNull(),
  state: text("state").$type<AttemptState>().notNull(),
  cause: causeColumn(),
  epoch: integer("epoch").notNull().default(0),
  nonce: text("nonce"),
  workerId: uuid("worker_id"),
  workerName: text("worker_name"),
  leaseExpiresAt: instant("lease_expires_at"),
  lostAfterMs: count("lost_after_ms").notNull(),
  /** What its run needs. Attempts with equal needs wait for a worker in one list. */
  needs: text("needs").notNull().default(""),
  /** Whether it has slots or waits for some. */
  limited: boolean("limited").notNull().default(false),
  notBefore: instant("not_before"),
  releases: integer("releases").notNull().default(0),
  releaseReason: text("release_reason"),
  /** Of one that runs only a hook: when its run ends without it if no worker takes it. Null: it runs the flow. */
  hookUntil: instant("hook_until"),
  /** How far the worker has gone in stopping it. */
  cancelStage: text("cancel_stage"),
  exitCode: count("exit_code"),
  controlAcked: count("control_acked").notNull().default(0),
  bulkAcked: count("bulk_acked").notNull().default(0),
  /** Bulk records up to this one are accepted after the end. */
  lastBulkSeq: count("last_bulk_seq"),
  /** Where this claim's line 0 stands in the attempt's log: lines of earlier claims come before it. */
  lineBase: count("line_base").notNull().default(0),
  /** The next line that is not stored yet. */
  nextLine: count("next_line").notNull().default(0),
  createdAt: instant("created_at").notNull(),
  claimedAt: instant("claimed_at"),
  /** The latest poll whose answer delivered it: the generation of the worker, and the number of the poll. */
  toldGeneration: count("told_generation"),
  toldSeq: count("told_seq"),
  startedAt: instant("started_at"),
  endedAt: instant("ended_at"),
  /** When the end was reported, if that was a second or more after it. */
  reportedAt: instant("reported_at"),
});

/** Attempts of the runs in `run`. The fence is (epoch, nonce, worker_id); a lease exists while a worker holds it. */
export const attempt = pgTable("attempt", attemptColumns());

/** Attempts of the runs in `run_history`. */
export const attemptHistory = pgTable("attempt_history", {
  ...attemptColumns(),
  runEndedAt: instant("run_ended_at").notNull(),
});

const taskRunColumns = () => ({
  attemptId: uuid("attempt_id").notNull(),
  pathKey: bytea("path_key").notNull(),
  workspaceId: uuid("workspace_id").notNull(),
  runId: uuid("run_id").notNull(),
  attempt: integer("attempt").notNull(),
  /** Sequence of the record that first named it: the order of appearance. */
  ord: count("ord").notNull(),
  path: text("path").notNull(),
  name: text("name").notNull(),
  state: text("state").$type<TaskRunState>().notNull(),
  tries: count("tries").notNull(),
  /** Its tries one by one. Null: it was tried at most once. */
  tryList: jsonText("try_list").$type<TaskTry[]>(),
  /** A call of a task; or a value that the flow kept beside them, which no list shows. */
  kind: text("kind").$type<"task" | "kept">().notNull(),
  codeVersion: text("code_version"),
  inputHash: text("input_hash"),
  /**
   * Of a call that failed, once its attempt has ended other than completed: whether the attempt failed by its error,
   * so that it is called again; else its error is thrown again. A replica of an earlier release may leave null: see `failureStands`.
   */
  fatal: boolean("fatal"),
  error: errorColumn(),
  result: resultColumn(),
  /** How long it hashed, loaded and saved data. Null: not long enough for a report. */
  dataTime: jsonText("data_time").$type<DataTime>(),
  /** The calls that returned the objects and refs that it received. Null: none is known. */
  upstream: jsonText("upstream").$type<Upstream>(),
  createdAt: instant("created_at").notNull(),
  startedAt: instant("started_at"),
  endedAt: instant("ended_at"),
});

/** Task calls of the attempts in `attempt`, found by the hash of their path. */
export const taskRun = pgTable("task_run", taskRunColumns());

/** Task runs of the runs in `run_history`. */
export const taskRunHistory = pgTable("task_run_history", {
  ...taskRunColumns(),
  runEndedAt: instant("run_ended_at").notNull(),
});

/** How an archived run ended, for its parent. */
export type ChildOutcome = Pick<
  typeof run.$inferSelect,
  "deployment" | "task" | "state" | "cause" | "result" | "error"
>;

/** The taken ids of runs, the fingerprint of each request, and the partition of an archived run. */
export const runKey = pgTable("run_key", {
  workspaceId: uuid("workspace_id").notNull(),
  runId: uuid("run_id").notNull(),
  fingerprint: bytea("fingerprint").notNull(),
  endedAt: instant("ended_at"),
  /** Of a run that was archived before its parent: its parent, and how it ended. A flow that runs again asks for it again. */
  parentId: uuid("parent_id"),
  outcome: jsonText("outcome").$type<ChildOutcome>(),
});

/** Which idempotency keys are taken, and by which run. */
export const idempotencyKey = pgTable("idempotency_key", {
  workspaceId: uuid("workspace_id").notNull(),
  key: text("key").notNull(),
  runId: uuid("run_id").notNull(),
});

/** Reports that came with a fence of the past. Counted and shown, never applied. */
export const lateReport = pgTable("late_report", {
  workspaceId: uuid("workspace_id").notNull(),
  attemptId: uuid("attempt_id").notNull(),
  workerId: uuid("worker_id").notNull(),
  epoch: count("epoch").notNull(),
  reports: integer("reports").notNull(),
  records: count("records").notNull(),
  kinds: text("kinds").array().notNull(),
  firstReceivedAt: instant("first_received_at").notNull(),
  lastReceivedAt: instant("last_received_at").notNull(),
});

/** What restores of the database took back, as far as workers know more than it does. */
export const restoreNotice = pgTable("restore_notice", {
  workspaceId: uuid("workspace_id").notNull(),
  /** The number of the incarnation, with which it goes. */
  incarnation: count("incarnation").notNull(),
  /** Attempts of which a worker knew more. */
  offered: integer("offered").notNull().default(0),
  /** Attempts that a worker offered and the database does not have. */
  unknownAttempts: uuid("unknown_attempts").array().notNull().default([]),
  /** Attempts that got the error OutcomeUnknown. */
  unknownOutcomes: integer("unknown_outcomes").notNull().default(0),
});

/** A row of `run` or `run_history`. */
export type RunRow = typeof run.$inferSelect;
/** A row of `attempt`. */
export type AttemptRow = typeof attempt.$inferSelect;
/** A row of `late_report`. */
export type LateReportRow = typeof lateReport.$inferSelect;
/** A row of `task_run`. */
export type TaskRunRow = typeof taskRun.$inferSelect;
/** What lists show of a run: never its parameters. */
export type RunSummaryRow = Omit<RunRow, "parameters" | "error" | "result">;

/** What runs wait for, and have waited for. */
export const wait = pgTable("wait", {
  workspaceId: uuid("workspace_id").notNull(),
  id: uuid("id").notNull(),
  runId: uuid("run_id").notNull(),
  /** Its run's, for lists that are narrowed by it. */
  deployment: text("deployment").notNull(),
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
  /** The latest attempt that asked while the wait was open. */
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

/** External jobs that runs wait for, under the ids of their waits. */
export const job = pgTable("job", {
  workspaceId: uuid("workspace_id").notNull(),
  id: uuid("id").notNull(),
  runId: uuid("run_id").notNull(),
  poolId: uuid("pool_id").notNull(),
  deployment: text("deployment").notNull(),
  versionId: uuid("version_id").notNull(),
  version: integer("version").notNull(),
  name: text("name").notNull(),
  state: text("state").$type<JobState>().notNull(),
  /** The attempt that first wanted it: nobody can have submitted it before. */
  intendedBy: uuid("intended_by").notNull(),
  /** The run's retries by then. */
  retries: integer("retries").notNull(),
  pollEveryMs: count("poll_every_ms"),
  cancels: boolean("cancels").notNull(),
  /** SHA-256 of each token that may end it, in hex. */
  callbacks: text("callbacks").array().notNull().default([]),
  handle: jsonText("handle").$type<Ref>(),
  says: text("says"),
  polledAt: instant("polled_at"),
  /** Why the latest poll or cancellation failed. Null: it did not fail. */
  stumble: text("stumble"),
  failed: boolean("failed").notNull().default(false),
  /** Which tending of it is current, by which worker and until when. */
  lease: uuid("lease"),
  workerId: uuid("worker_id"),
  leaseExpiresAt: instant("lease_expires_at"),
  /** Cancelling it is tried until then. */
  cancelUntil: instant("cancel_until"),
  createdAt: instant("created_at").notNull(),
  submittedAt: instant("submitted_at"),
  endedAt: instant("ended_at"),
});

/** Runs that have ended and whose children are still to be cancelled. */
export const orphaning = pgTable("orphaning", {
  workspaceId: uuid("workspace_id").notNull(),
  parentId: uuid("parent_id").notNull(),
  since: instant("since").notNull(),
});

/** A row of `wait`. */
export type WaitRow = typeof wait.$inferSelect;
/** A row of `event`. */
export type EventRow = typeof event.$inferSelect;
/** A row of `job`. */
export type JobRow = typeof job.$inferSelect;
