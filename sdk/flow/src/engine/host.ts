import type { AskedWait, CalledRun, CalledWait, Context, FlowCall } from "@towpath/contract";
import type { PageSource } from "../checkpoint/earlier.ts";
import type { Clock } from "../clock.ts";
import type { Store } from "../store/store.ts";
import type { RecordSink } from "./records.ts";
import type { Watchdog } from "./watchdog.ts";

/** Reports which waits have ended to a listener. */
export class Hearing {
  #listener: (paths: readonly string[]) => void = () => {};
  #told: readonly string[] = [];

  /** Reports all waits that have ended, including those reported before. */
  tell(paths: readonly string[]): void {
    this.#told = paths;
    if (paths.length > 0) this.#listener(paths);
  }

  /** Sets the listener. It is called at once if something was reported before, and at each later report. */
  listen(listener: (paths: readonly string[]) => void): void {
    this.#listener = listener;
    if (this.#told.length > 0) listener(this.#told);
  }
}

/** What a run resumes from, and how it tells whether an earlier result is still valid. */
export interface Resume {
  /** The first run of a chain of reruns. */
  readonly origin: string;
  /** Versions of tasks by name. */
  readonly codeVersions: Readonly<Record<string, string>>;
  /** The version of every other task; null where nobody knows: its function's own text counts. */
  readonly code: string | null;
  /** Where results of earlier attempts come from; null for a first attempt. */
  readonly earlier: PageSource | null;
  /** Whether results are kept unless a task says so: only where a later attempt can find them. */
  readonly keeps: boolean;
  /**
   * Whether the reader of this attempt's records also has the records of earlier attempts. Then unchanged results and failures
   * are not recorded again, so a resume costs no record for each completed task. @default false
   */
  readonly knowsEarlier?: boolean;
}

/** Facts about a run that its flow can read. */
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
  | "artifactBytes"
>;

/** A flow's call about a run. */
export interface RunCall extends FlowCall {
  readonly call: Exclude<FlowCall["call"], { kind: "wait" }>;
}

/** A call of a flow for something that it waits for. */
export interface WaitCall {
  readonly path: string;
  readonly call: { readonly kind: "wait"; readonly wait: AskedWait };
}

/** Stores the waits of a flow. */
export interface WaitHost {
  /** Returns the state of a wait. The first call creates it. Idempotent by its path. */
  readonly ask: (call: WaitCall, signal: AbortSignal) => Promise<CalledWait>;
  /** Reports which waits have ended. */
  readonly heard: Hearing;
  /** Whether the process ends while the flow only waits. If false, the flow waits in its process. */
  readonly suspends: boolean;
}

/** The environment of a running flow: a worker's gateway, a terminal or a test. The engine is the same in all of them. */
export interface Host {
  readonly facts: RunFacts;
  readonly parameters: unknown;
  readonly records: RecordSink;
  readonly store: Store;
  readonly resume: Resume;
  readonly clock: Clock;
  /** Numbers in [0, 1) for jitter. */
  readonly random: () => number;
  /** The value of a secret, or the next step if it is missing. */
  readonly secret: (name: string) => { readonly value: string } | { readonly next: string };
  /** A test's fake of a resource, or the stage's settings for it. */
  readonly resource: (name: string) => { readonly fake: unknown } | { readonly overrides: unknown };
  /** A call to the control plane. Idempotent by its path. */
  readonly call: (call: RunCall, signal: AbortSignal) => Promise<CalledRun>;
  readonly waits: WaitHost;
  /** The pool of this stage for a pool that the code names; null if tasks run in this process. */
  readonly poolOf: ((pool: string) => string) | null;
  /** The task to run and its arguments; null to run the whole flow. */
  readonly task: Context["task"];
  /** Kills the process if a try with a time limit blocks it; null if nothing may be killed. */
  readonly watchdog: Watchdog | null;
  /** Aborts when the run must stop. Its reason is a `Cancelled`. */
  readonly cancelled: AbortSignal;
  /** Aborts when a test ends the simulated process. Only tests have it. */
  readonly killed?: AbortSignal;
}
