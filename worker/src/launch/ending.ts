import type { Cause, ControlRecord, FlowCause, Ref, RunError, Spec } from "@towpath/contract";
import type { z } from "zod";
import type { Unnumbered } from "../secrets/index.ts";
import { crashedAt, isHeapFull, printedError } from "./last-error.ts";
import type { CommandExit } from "./run-command.ts";
import type { ExitStatus } from "./runner-process.ts";

/**
 * Why a worker stops an attempt's process, and how the attempt then ends. CLI and dashboard print the advice of
 * the cause below the sentence.
 */
export const STOPS = {
  user: { outcome: "cancelled", cause: "user", sentence: "A person cancelled the run." },
  timeout: {
    outcome: "failed",
    cause: "timeout",
    sentence:
      "The attempt exceeded its time limit, `timeoutMs`. Find out what took so long, or raise the limit.",
  },
  "run-timeout": {
    outcome: "failed",
    cause: "run-timeout",
    sentence:
      "The run exceeded its total time limit, `runTimeoutMs`. Give it fewer retries, shorter waits, or a pool with more free slots.",
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
      "The lease expired while the control plane could not be reached, and the deployment has `onDisconnect: stop`.",
  },
  "journal-full": {
    outcome: "failed",
    cause: "journal-full",
    sentence: "The worker could not store the run's records on its disk. Free space there.",
  },
  "output-too-long": {
    outcome: "failed",
    cause: "journal-full",
    sentence:
      "The process printed more than 1 GiB, and the worker's file system cannot free the space of lines that were read. Print less, or write to a file.",
  },
  "secrets-changed": {
    outcome: "failed",
    cause: "killed",
    sentence:
      "The worker was restarted with other secrets than the process has, so it could not redact the output.",
  },
  /** The flow has ended, but its process stays. */
  lingering: {
    outcome: "failed",
    cause: "killed",
    sentence:
      "The flow had ended, but its process stayed for 30 s, so the worker stopped it. The run keeps the flow's outcome. End threads, close connections and wait for child processes before the flow ends.",
  },
  /** The attempt belongs to another claim. Nothing is reported. */
  abandoned: { outcome: "failed", cause: "lost", sentence: "The attempt no longer belongs to this worker." },
} as const satisfies Record<string, { outcome: "cancelled" | "failed"; cause: Cause; sentence: string }>;

/** One reason to stop a process. */
export type StopReason = keyof typeof STOPS;

/** How a flow said that it ended. */
export interface FlowOutcome {
  readonly outcome: "completed" | "failed" | "cancelled" | "suspended";
  /** The paths that a suspended flow waits for. */
  readonly waits?: string[] | undefined;
  /** A suspended flow waits for more than `waits` names. */
  readonly moreWaits?: boolean | undefined;
  readonly cause?: z.infer<typeof FlowCause> | undefined;
  /** Paths of the task calls that failed it. Missing: unknown, so it may be any. */
  readonly failedBy?: string[] | undefined;
  readonly error?: RunError | undefined;
  readonly result?: Ref | undefined;
}

/** What is known when a process is gone. */
export interface EndingFacts {
  readonly entry: Spec["entry"]["kind"];
  readonly outcome: FlowOutcome | null;
  /** For commands: what the runner wrote down. */
  readonly commandExit: CommandExit | null;
  readonly exit: ExitStatus;
  readonly stop: StopReason | null;
  /** Whether the kernel killed the process for want of memory. Called only for a SIGKILL that the worker did not send. */
  readonly oomKilled: () => boolean;
  /** The last output of a process that reported no outcome, redacted: of stdout, then of stderr. */
  readonly printed: readonly string[];
}

/** How an attempt ended: the `ended` record without its time and numbers. */
export type Ending = Pick<
  Extract<Unnumbered<ControlRecord>, { type: "ended" }>,
  "outcome" | "cause" | "waits" | "moreWaits" | "failedBy" | "error" | "result" | "exitCode"
> & {
  /** What the worker notes in the log about a process that ended without an outcome. Not part of the record. */
  readonly note?: string;
};

/**
 * Decides how an attempt ended. A completion counts first. Then what the worker did, then what the flow said,
 * then the exit code or signal.
 */
export function decideEnding(facts: EndingFacts): Ending {
  const exitCode = facts.commandExit ? facts.commandExit.code : facts.exit.code;
  if (facts.outcome?.outcome === "completed" || completedCommand(facts)) {
    const result = facts.outcome?.result;
    return { outcome: "completed", cause: null, exitCode, ...(result && { result }) };
  }
  const common = { exitCode, ...failedByOf(facts.outcome) };
  if (facts.stop !== null && facts.stop !== "lingering") return { ...stopped(facts.stop), ...common };
  if (facts.outcome) return { ...reportedEnding(facts.outcome), ...common };
  if (facts.stop !== null) return { ...stopped(facts.stop), ...common };
  return { ...unreportedEnding(facts), ...common };
}

/** A process that ended without an outcome was failed by none of its tasks: the flow has handled their errors. */
function failedByOf(outcome: FlowOutcome | null): { failedBy?: string[] } {
  if (outcome === null) return { failedBy: [] };
  return outcome.failedBy === undefined ? {} : { failedBy: outcome.failedBy };
}

function completedCommand(facts: EndingFacts): boolean {
  const code = facts.commandExit ? facts.commandExit.code : facts.exit.code;
  // A command may report an outcome of its own. Its exit code counts only if it does not.
  return facts.entry === "command" && facts.outcome === null && code === 0;
}

function stopped(stop: StopReason): Omit<Ending, "exitCode"> {
  const { outcome, cause, sentence } = STOPS[stop];
  return { outcome, cause, error: { name: "Stopped", message: sentence } };
}

function reportedEnding(ended: FlowOutcome): Omit<Ending, "exitCode"> {
  return {
    outcome: ended.outcome,
    cause: ended.outcome === "failed" ? (ended.cause ?? "error") : null,
    ...(ended.waits && { waits: ended.waits }),
    ...(ended.moreWaits && { moreWaits: true }),
    ...(ended.error && { error: ended.error }),
    ...(ended.result && { result: ended.result }),
  };
}

/** What exit codes mean in shells, with the next step. */
const EXIT_CODES: Readonly<Record<number, string>> = {
  126: "The program was found but is not executable. Make it executable in the project (`chmod +x`) and deploy.",
  127: "The shell did not find the program. Correct its name, or install it on the worker's machine.",
  130: "The shell says that SIGINT ended the program. Find out on the worker's machine who sent it.",
  134: "The shell says that SIGABRT ended the program: it stopped itself. Its last lines say why.",
  137: "The shell says that SIGKILL ended the program, usually because memory ran out. Check the machine's `dmesg`, and give it more memory.",
  139: "The shell says that SIGSEGV ended the program: it used memory that is not its own. Look for a fault in native code.",
  143: "The shell says that SIGTERM ended the program. Find out on the worker's machine who sent it.",
};

/** The next step where neither a code nor a signal says more. */
const LAST_LINES = "Check its last log lines.";

/** What signals mean, with the next step. */
const SIGNALS: Readonly<Record<string, string>> = {
  SIGKILL: "Check the machine's `dmesg`, and ask its administrators.",
  SIGSEGV: "It used memory that is not its own. Look for a fault in native code.",
  SIGABRT: "It stopped itself. Its last lines say why.",
  SIGBUS: "A file that it had mapped became shorter, or its disk is full.",
};

const HEAP_FULL =
  "The process used up V8's heap, the memory of JavaScript objects. The machine may still have free memory. Work in smaller parts, or pass files instead of values.";

function unreportedEnding(facts: EndingFacts): Omit<Ending, "exitCode"> {
  const { commandExit, exit } = facts;
  if (commandExit?.error)
    return failed("error", `The command could not be started: ${commandExit.error}. Check its path.`);
  const signal = commandExit ? commandExit.signal : exit.signal;
  const code = commandExit ? commandExit.code : exit.code;
  if (code !== 0 && facts.printed.some(isHeapFull)) return failed("oom", HEAP_FULL);
  if (signal === "SIGKILL" && facts.oomKilled())
    return failed(
      "oom",
      "The operating system killed the process because memory ran out. The machine's `dmesg` says how much it used.",
    );
  if (signal !== null)
    return failed(
      "killed",
      `The process was ended by ${signal}, which the worker did not send. ${SIGNALS[signal] ?? LAST_LINES}${placeOf(facts)}`,
    );
  if (code === null)
    return failed(
      "killed",
      "The process ended while the worker was not running, so its exit code is unknown. Check its last log lines, and with `uptime` whether the machine was restarted.",
    );
  if (facts.entry !== "command" && code === 0)
    return failed(
      "error",
      `The process ended with code 0 before the flow had ended. Check whether it calls ${facts.entry === "python" ? "os._exit" : "process.exit"}.`,
    );
  const what = facts.entry === "command" ? "command" : "process";
  const meaning = EXIT_CODES[code];
  const ended = failed("error", `The ${what} ended with code ${code}. ${meaning ?? LAST_LINES}`);
  const error = meaning === undefined ? lastPrinted(facts) : null;
  return error === null ? ended : { ...ended, error };
}

/** Where Python was when native code ended it. Empty if it did not say. */
function placeOf({ printed }: EndingFacts): string {
  const place = printed.map(crashedAt).find((one) => one !== null);
  return place === undefined || place === null ? "" : ` Python was at ${place}.`;
}

function failed(cause: Cause, message: string): Omit<Ending, "exitCode"> & { readonly note: string } {
  return { outcome: "failed", cause, error: { name: "ProcessEnded", message }, note: message };
}

/**
 * The last error that the process printed: an error with a class first, then a command's last line on stderr. There a
 * flow's process has warnings of Node.
 */
function lastPrinted({ entry, printed: [stdout = "", stderr = ""] }: EndingFacts): RunError | null {
  const errors = [stderr, stdout].map(printedError);
  const said = entry === "command" ? (errors[0] ?? null) : null;
  const found = errors.find((one) => one !== null && one.name !== null) ?? said;
  if (found === null) return null;
  const { name, message, stack } = found;
  return { name: name ?? "ProcessEnded", message, ...(stack !== null && { stack }) };
}
