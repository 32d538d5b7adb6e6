import type { Cause, ControlRecord, FlowCause, Ref, RunError, Spec } from "@towpath/contract";
import type { z } from "zod";
import type { Unnumbered } from "../secrets/index.ts";
import type { CommandExit } from "./run-command.ts";
import type { ExitStatus } from "./runner-process.ts";

/**
 * Why a worker stops an attempt's process, and how the attempt then ends. Below a sentence, command line and dashboard
 * print the advice of its cause: a next step in the sentence adds to that one.
 */
export const STOPS = {
  user: { outcome: "cancelled", cause: "user", sentence: "Somebody cancelled the run." },
  timeout: {
    outcome: "failed",
    cause: "timeout",
    sentence: "The attempt exceeded its time limit, `timeoutMs`: let it do less, or mend what it hangs in.",
  },
  "run-timeout": {
    outcome: "failed",
    cause: "run-timeout",
    sentence:
      "The run as a whole exceeded its time limit, `runTimeoutMs`: give it fewer retries, shorter waits or a pool with more room.",
  },
  evicted: {
    outcome: "failed",
    cause: "evicted",
    sentence: "The worker was drained before the run had finished.",
  },
  lost: {
    outcome: "failed",
    cause: "lost",
    sentence:
      "The lease ran out while the control plane could not be reached, and the deployment asks to stop then.",
  },
  "journal-full": {
    outcome: "failed",
    cause: "journal-full",
    sentence: "The worker could not keep the run's records on its disk. Free space there.",
  },
  "output-too-long": {
    outcome: "failed",
    cause: "journal-full",
    sentence:
      "The process printed more than 1 GiB, and the worker's file system cannot give back the space of what was read. Print less, or write to a file.",
  },
  "secrets-changed": {
    outcome: "failed",
    cause: "killed",
    sentence:
      "The worker was restarted and its secrets are no longer those that the process was started with, so its output could not be redacted.",
  },
  /** The flow has said how it ended, but its process stays. */
  lingering: { outcome: "failed", cause: "killed", sentence: "The process stayed after its flow had ended." },
  /** The attempt belongs to somebody else now: nothing is reported. */
  abandoned: { outcome: "failed", cause: "lost", sentence: "The attempt is no longer this worker's." },
} as const satisfies Record<string, { outcome: "cancelled" | "failed"; cause: Cause; sentence: string }>;

/** One reason to stop a process. */
export type StopReason = keyof typeof STOPS;

/** How a flow said that it ended. */
export interface FlowOutcome {
  readonly outcome: "completed" | "failed" | "cancelled" | "suspended";
  /** Of a suspension: the paths of what it waits for. */
  readonly waits?: string[] | undefined;
  /** Of `suspended`: there are more than `waits` names. */
  readonly moreWaits?: boolean | undefined;
  readonly cause?: z.infer<typeof FlowCause> | undefined;
  /** Paths of the task calls that it failed by. Missing: it does not say, and it may be any. */
  readonly failedBy?: string[] | undefined;
  readonly error?: RunError | undefined;
  readonly result?: Ref | undefined;
}

/** All that is known when a process is gone. */
export interface EndingFacts {
  readonly entry: Spec["entry"]["kind"];
  readonly outcome: FlowOutcome | null;
  /** For commands: what the runner wrote down. */
  readonly commandExit: CommandExit | null;
  readonly exit: ExitStatus;
  readonly stop: StopReason | null;
  /** Whether the kernel's memory killer is known to have struck; asked only about a SIGKILL that we did not send. */
  readonly oomKilled: () => boolean;
}

/** How an attempt ended: the `ended` record without its place in time and lanes. */
export type Ending = Pick<
  Extract<Unnumbered<ControlRecord>, { type: "ended" }>,
  "outcome" | "cause" | "waits" | "moreWaits" | "failedBy" | "error" | "result" | "exitCode"
>;

/**
 * Decides how an attempt ended. Completion is believed before anything else (truth beats intent); then what the
 * worker itself did; then what the flow said; then the exit code or signal.
 */
export function decideEnding(facts: EndingFacts): Ending {
  const exitCode = facts.commandExit ? facts.commandExit.code : facts.exit.code;
  if (facts.outcome?.outcome === "completed" || completedCommand(facts)) {
    const result = facts.outcome?.result;
    return { outcome: "completed", cause: null, exitCode, ...(result && { result }) };
  }
  const told = { exitCode, ...failedByOf(facts.outcome) };
  if (facts.stop !== null && facts.stop !== "lingering") return { ...stopped(facts.stop), ...told };
  if (facts.outcome) return { ...toldEnding(facts.outcome), ...told };
  if (facts.stop !== null) return { ...stopped(facts.stop), ...told };
  return { ...untoldEnding(facts), ...told };
}

/** A process that is gone without a word failed by none of its tasks: what they threw, the flow has dealt with. */
function failedByOf(outcome: FlowOutcome | null): { failedBy?: string[] } {
  if (outcome === null) return { failedBy: [] };
  return outcome.failedBy === undefined ? {} : { failedBy: outcome.failedBy };
}

function completedCommand(facts: EndingFacts): boolean {
  const code = facts.commandExit ? facts.commandExit.code : facts.exit.code;
  // A command may report an outcome of its own; only when it does not, its exit code speaks.
  return facts.entry === "command" && facts.outcome === null && code === 0;
}

function stopped(stop: StopReason): Omit<Ending, "exitCode"> {
  const { outcome, cause, sentence } = STOPS[stop];
  return { outcome, cause, error: { name: "Stopped", message: sentence } };
}

function toldEnding(told: FlowOutcome): Omit<Ending, "exitCode"> {
  return {
    outcome: told.outcome,
    cause: told.outcome === "failed" ? (told.cause ?? "error") : null,
    ...(told.waits && { waits: told.waits }),
    ...(told.moreWaits && { moreWaits: true }),
    ...(told.error && { error: told.error }),
    ...(told.result && { result: told.result }),
  };
}

/** What exit codes say by the custom of shells, with the next step. */
const EXIT_CODES: Readonly<Record<number, string>> = {
  126: "It was found and may not be executed: make it executable in the project (`chmod +x`) and deploy.",
  127: "A shell says so of a program that it does not find: correct its name, or install it on the worker's machine.",
  130: "A shell says so when SIGINT ended what it ran: look on the worker's machine for who sent it.",
  134: "A shell says so when SIGABRT ended what it ran: see its last lines for what it gave up on.",
  137: "A shell says so when SIGKILL ended what it ran, mostly for want of memory: see the machine's `dmesg`, and give it more.",
  139: "A shell says so when what it ran touched memory that is not its own (SIGSEGV): look for native code in it.",
  143: "A shell says so when SIGTERM ended what it ran: look on the worker's machine for who sent it.",
};

/** The next step where neither a code nor a signal tells more. */
const LAST_LINES = "See its last lines for what it was at.";

/** What signals say, with the next step. */
const SIGNALS: Readonly<Record<string, string>> = {
  SIGKILL: "Look in the machine's `dmesg` and among its administrators for who did.",
  SIGSEGV: "It touched memory that is not its own: look for native code in it.",
  SIGABRT: "It gave up by itself: see its last lines.",
  SIGBUS: "A file that it had mapped shrank, or its disk is full.",
};

function untoldEnding(facts: EndingFacts): Omit<Ending, "exitCode"> {
  const { commandExit, exit } = facts;
  if (commandExit?.error)
    return failed("error", `The command could not be started: ${commandExit.error}. Check its path.`);
  const signal = commandExit ? commandExit.signal : exit.signal;
  const code = commandExit ? commandExit.code : exit.code;
  if (signal === "SIGKILL" && facts.oomKilled())
    return failed(
      "oom",
      "The operating system killed the process for want of memory: see the machine's `dmesg` for how much it held.",
    );
  if (signal !== null)
    return failed(
      "killed",
      `The process was ended by ${signal}, which the worker did not send. ${SIGNALS[signal] ?? LAST_LINES}`,
    );
  if (code === null)
    return failed(
      "killed",
      "The process ended while the worker was away, without saying how; nobody saw its exit. See its last lines, and the machine's `uptime` for whether it was restarted.",
    );
  if (facts.entry === "flow" && code === 0)
    return failed(
      "error",
      "The process ended with code 0 before the flow had ended. Does it call process.exit?",
    );
  const what = facts.entry === "flow" ? "process" : "command";
  return failed("error", `The ${what} ended with code ${code}. ${EXIT_CODES[code] ?? LAST_LINES}`);
}

function failed(cause: Cause, message: string): Omit<Ending, "exitCode"> {
  return { outcome: "failed", cause, error: { name: "ProcessEnded", message } };
}
