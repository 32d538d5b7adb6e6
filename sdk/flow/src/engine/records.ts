import type { FlowRecordInput } from "@towpath/contract";

type WithoutSeq<Record> = Record extends unknown ? Omit<Record, "seq"> : never;

/** A record without its sequence number. */
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
  /** Accepts a record. Resolves when there is room for the next one: this is the backpressure. */
  post(record: RecordDraft): Promise<void>;
  /** Accepts a record, and resolves once the worker holds it and all records before it. */
  postHeld(record: RecordDraft): Promise<void>;
  /**
   * Accepts a record, and resolves once the control plane has stored it and all records before it.
   * @throws The signal's reason if it aborts first.
   */
  postStored(record: RecordDraft, signal: AbortSignal): Promise<void>;
  /** Accepts a log line. Never waits, never throws, and holds a limited number of lines. */
  postLog(record: LogDraft): void;
}
