import { type Assignment, type BulkRecord, ControlRecord, type Rejection, uuidv7 } from "@towpath/contract";

/** What a test submits. */
export interface Submission {
  readonly deployment: string;
  readonly version: number;
  readonly spec: string;
  /** @default a new one */
  readonly runId?: string;
  readonly parameters?: Assignment["parameters"];
  /** How long the whole run may take, milliseconds. */
  readonly endsInMs?: number;
}

/** One attempt in the fake control plane. */
export interface FakeAttempt extends Submission {
  readonly attemptId: string;
  readonly runId: string;
  epoch: number;
  nonce: string;
  state: "ready" | "claimed" | "running" | "cancelling" | "ended";
  notBeforeMs: number;
  outcome: { state: string; cause: string | null } | null;
  control: ControlRecord[];
  bulk: BulkRecord[];
  controlAcked: number;
  bulkAcked: number;
  stale: number;
}

/** An attempt that was never claimed. */
export function newAttempt(submission: Submission): FakeAttempt {
  return {
    ...submission,
    attemptId: uuidv7(Date.now()),
    runId: submission.runId ?? uuidv7(Date.now()),
    epoch: 0,
    nonce: "",
    state: "ready",
    notBeforeMs: 0,
    outcome: null,
    control: [],
    bulk: [],
    controlAcked: 0,
    bulkAcked: 0,
    stale: 0,
  };
}

/** The assignment of an attempt. */
export function assignmentOf(
  attempt: FakeAttempt,
  given: Pick<Assignment, "ordinal" | "leaseMs">,
): Assignment {
  const { attemptId, epoch, nonce, runId } = attempt;
  const { deployment, version, spec, parameters = {}, endsInMs = null } = attempt;
  const scheduledAt = new Date().toISOString();
  const trigger = { kind: "person" as const, name: "test" };
  const what = { runId, deployment, version, spec, parameters, endsInMs };
  return { attemptId, epoch, nonce, ...what, ...given, trigger, scheduledAt };
}

/** The `ended` record of an attempt, if there is one. */
export function endOf(attempt: FakeAttempt): Extract<ControlRecord, { type: "ended" }> | undefined {
  return attempt.control.find((record) => record.type === "ended");
}

/** Every log line of an attempt, in order, as `stream: text`. */
export function linesOf(attempt: FakeAttempt): string[] {
  return attempt.bulk.flatMap((record) =>
    record.type === "log" ? record.lines.map(({ stream, text }) => `${stream}: ${text}`) : [],
  );
}

/** The numbers of all log lines, in order of arrival. */
export function lineNumbersOf(attempt: FakeAttempt): number[] {
  return attempt.bulk.flatMap((record) => {
    if (record.type === "log") return record.lines.map((_, index) => record.firstLine + index);
    if (record.type === "gap")
      return Array.from({ length: record.lines }, (_, index) => record.firstLine + index);
    return [];
  });
}

/** Takes one control record of a report, in sequence. */
export function applyControl(
  attempt: FakeAttempt,
  raw: { seq: number },
  rejects: (record: ControlRecord) => boolean,
): Rejection[] {
  // A duplicate is ignored, and so is a record after a gap.
  if (raw.seq !== attempt.controlAcked + 1) return [];
  attempt.controlAcked = raw.seq;
  const { data: record } = ControlRecord.safeParse(raw);
  if (!record) return [{ lane: "control", seq: raw.seq, code: "bad-request", detail: "unreadable" }];
  if (rejects(record)) return [{ lane: "control", seq: record.seq, code: "illegal", detail: "no" }];
  attempt.control.push(record);
  if (record.type === "started" && attempt.state === "claimed") attempt.state = "running";
  if (record.type === "released") {
    attempt.state = "ready";
    attempt.notBeforeMs = Date.now() + 60_000;
  }
  if (record.type === "ended" && attempt.state !== "ended") {
    attempt.state = "ended";
    attempt.outcome = { state: record.outcome, cause: record.cause };
  }
  return [];
}

interface AttemptSoFar {
  readonly state: string;
  readonly epoch: number;
  readonly control: readonly ControlRecord[];
  readonly bulk: readonly unknown[];
}

/** Describes what attempts have reported, for the message of a wait that fails. */
export function describeAttempts(attempts: readonly AttemptSoFar[]): string {
  const each = attempts.map(({ state, epoch, control, bulk }) => {
    const records = control.map(sayRecord).join(", ") || "nothing";
    return `${state} by claim ${epoch} with ${bulk.length} of bulk: ${records}`;
  });
  return `the attempts have reported: ${each.join("; ") || "there is none"}`;
}

function sayRecord(record: ControlRecord): string {
  const why = record.type === "released" ? record.reason : "error" in record && record.error?.message;
  return why ? `${record.type} (${why})` : record.type;
}
