import type { AskedWait, CalledRun, CalledWait, Context, FlowCall } from "@towpath/contract";
import type { Resume } from "../checkpoint/resume.ts";
import type { Clock } from "../clock.ts";
import type { Store } from "../store/store.ts";
import type { Hearing } from "./hearing.ts";
import type { RecordSink } from "./records.ts";
import type { Watchdog } from "./watchdog.ts";

/** What a flow may know about the run it is in. */
export type RunFacts = Pick<
  Context,
  | "runId"
  | "attemptId"
  | "attempt"
  | "workspaceId"
  | "deployment"
  | "version"
  | "scheduledAt"
  | "due"
  | "controlPlane"
>;

/** A flow's call about a run. */
export interface RunCall extends FlowCall {
  readonly call: Exclude<FlowCall["call"], { kind: "wait" }>;
}

/** A flow's call for something that it waits for. */
export interface WaitCall {
  readonly path: string;
  readonly call: { readonly kind: "wait"; readonly wait: AskedWait };
}

/** Who keeps what a flow waits for. */
export interface WaitHost {
  /** How a wait stands, made by the first call. Idempotent by its path. */
  readonly ask: (call: WaitCall, signal: AbortSignal) => Promise<CalledWait>;
  /** Where it is told which waits are over by now. */
  readonly heard: Hearing;
  /** Whether a flow that only waits ends its process; else it waits in it. */
  readonly suspends: boolean;
}

/**
 * What stands around a running flow: a worker's gateway, a terminal, or a test. The engine is the same in all of them.
 */
export interface Host {
  readonly facts: RunFacts;
  readonly parameters: unknown;
  readonly records: RecordSink;
  readonly store: Store;
  readonly resume: Resume;
  readonly clock: Clock;
  /** Numbers in [0, 1) for jitter. */
  readonly random: () => number;
  /** The value of a secret, or the next step for someone who misses it. */
  readonly secret: (name: string) => { readonly value: string } | { readonly next: string };
  /** What a resource of this name is here: a fake, or its settings with those of the stage. */
  readonly resource: (name: string) => { readonly fake: unknown } | { readonly overrides: unknown };
  /** What only the control plane can answer. Idempotent by its path. */
  readonly call: (call: RunCall, signal: AbortSignal) => Promise<CalledRun>;
  readonly waits: WaitHost;
  /** The pool that stands here for one that a task is called with; null where tasks run in place. */
  readonly poolOf: ((pool: string) => string) | null;
  /** The one task that is to be run of the flow, and its arguments; null: the whole flow. */
  readonly task: Context["task"];
  /** Kills the process when a try with a time limit blocks it; null where nothing may be killed. */
  readonly watchdog: Watchdog | null;
  /** Aborts, with a `Cancelled` as its reason, when the run is to stop. */
  readonly cancelled: AbortSignal;
  /** Aborts when the process that this stands for is dead, though this one is not. Only tests have it. */
  readonly killed?: AbortSignal;
}
