import type { FlowRecordInput } from "@towpath/contract";

type WithoutSeq<Record> = Record extends unknown ? Omit<Record, "seq"> : never;

/** A record before it has its place in the sequence. */
export type RecordDraft = WithoutSeq<FlowRecordInput>;

/** A log line as a draft. */
export type LogDraft = Extract<RecordDraft, { type: "log" }>;

/** One move of a task run as a draft. */
export type TaskDraft = Extract<RecordDraft, { type: "task" }>;

/** An artifact as a draft. */
export type ArtifactDraft = Extract<RecordDraft, { type: "artifact" }>;

/** The end of a run as a draft. */
export type OutcomeDraft = Extract<RecordDraft, { type: "outcome" }>;

/** Where a run's records go: the worker's gateway, the console, or a test. */
export interface RecordSink {
  /** Takes a record. Resolves when there is room for the next one: waiting for it is the backpressure. */
  post(record: RecordDraft): Promise<void>;
  /** Takes a record and resolves once it is held, with everything before it. */
  postHeld(record: RecordDraft): Promise<void>;
  /**
   * Takes a record and resolves once it is stored where no loss of this machine can undo it, with everything before it.
   * @throws The signal's reason when it aborts first.
   */
  postStored(record: RecordDraft, signal: AbortSignal): Promise<void>;
  /** Takes a log line. Never waits, never throws; what it holds is bounded. */
  postLog(record: LogDraft): void;
}
