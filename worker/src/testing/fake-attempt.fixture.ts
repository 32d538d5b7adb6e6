import { type Assignment, type BulkRecord, type ControlRecord, uuidv7 } from "@towpath/contract";

/** What a test asks to have run. */
export interface Submission {
  readonly deployment: string;
  readonly version: number;
  readonly spec: string;
  readonly parameters?: Assignment["parameters"];
  /** How long the whole run may go on, milliseconds. */
  readonly endsInMs?: number;
}

/** One attempt as the fake control plane keeps it. */
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

/** An attempt of which nobody has heard yet. */
export function newAttempt(submission: Submission): FakeAttempt {
  return {
    ...submission,
    attemptId: uuidv7(Date.now()),
    runId: uuidv7(Date.now()),
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
