import type { Fault } from "@towpath/contract/words";

/** Options of an SDK error. */
export interface TowpathErrorOptions {
  /** The next step, as a sentence. */
  readonly next?: string;
  readonly cause?: unknown;
}

/** The base class of every error of this SDK. `code` is stable. `next` says what to do; the message ends with it. */
export class TowpathError extends Error {
  override readonly name: string = "TowpathError";
  readonly code: string;
  readonly next: string | null;

  constructor(code: string, message: string, options: TowpathErrorOptions = {}) {
    const text = options.next === undefined ? message : `${message} ${options.next}`;
    super(text, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.next = options.next ?? null;
  }
}

/** A flow or task was declared with invalid options. Thrown at its declaration. */
export class InvalidDefinition extends TowpathError {
  override readonly name = "InvalidDefinition";
  constructor(message: string) {
    super("invalid-definition", message);
  }
}

function linesOf(faults: readonly Fault[]): string {
  const lines = faults.map(
    (fault) => `\n  ${fault.path}: ${fault.message}${fault.suggestion ? `; ${fault.suggestion}` : ""}`,
  );
  return lines.join("");
}

/** The settings of a resource do not match its schema. `faults` names each field. */
export class InvalidResource extends TowpathError {
  override readonly name = "InvalidResource";
  readonly faults: readonly Fault[];
  constructor(resource: string, faults: readonly Fault[]) {
    super("invalid-resource", `The settings of resource "${resource}" are not valid:${linesOf(faults)}`);
    this.faults = faults;
  }
}

/** The parameters do not match the flow's schema. `faults` names each field. */
export class InvalidParameters extends TowpathError {
  override readonly name = "InvalidParameters";
  readonly faults: readonly Fault[];
  constructor(flow: string, faults: readonly Fault[]) {
    super("invalid-parameters", `The parameters of flow "${flow}" are not valid:${linesOf(faults)}`);
    this.faults = faults;
  }
}

/** A function that needs a run was called outside of one. */
export class OutsideOfRun extends TowpathError {
  override readonly name = "OutsideOfRun";
  constructor(what: string, next: string) {
    super("outside-of-run", `${what} was used outside of a running flow.`, { next });
  }
}

/** The run was asked to stop. It is the reason of every aborted signal in it. */
export class Cancelled extends TowpathError {
  override readonly name = "Cancelled";
  readonly reason: string;
  /** The cause: `user`, or the attempt's cause `timeout`, `run-timeout` or `evicted` (its worker is drained). */
  readonly runCause: string;
  constructor(reason: string, runCause = "user") {
    const message = reason === "" ? "The run was cancelled." : `The run was cancelled: ${reason}`;
    super("cancelled", runCause === "user" || reason === "" ? message : reason);
    this.reason = reason;
    this.runCause = runCause;
  }
}

/** The worker stopped the attempt: it, or its run as a whole, exceeded its time limit, or the worker's disk is full. */
export class Stopped extends TowpathError {
  override readonly name = "Stopped";
  /** The attempt's cause: `timeout`, `run-timeout`, or `journal-full` if the worker's disk is full. */
  readonly runCause: string;
  /** @param thrown The flow's error after it was asked to stop. */
  constructor(stop: Cancelled, thrown: unknown) {
    super("stopped", stop.reason, thrown === stop ? {} : { cause: thrown });
    this.runCause = stop.runCause;
  }
}

/** The process of an attempt ended before the flow did: it was killed, ran out of memory or time, or exited by itself. */
export class ProcessEnded extends TowpathError {
  override readonly name = "ProcessEnded";
  /** The attempt's cause: `killed`, `oom`, `timeout` or `error`. */
  readonly runCause: string;
  constructor(runCause: string, message: string) {
    super("process-ended", message);
    this.runCause = runCause;
  }
}

/** A wait passed its deadline. */
export class WaitExpired extends TowpathError {
  override readonly name = "WaitExpired";
  readonly path: string;
  constructor(path: string) {
    super("wait-expired", `The wait at ${path} passed its deadline without an answer.`);
    this.path = path;
  }
}

/**
 * A task called a function that suspends the run. Only the flow's own function can, because a started task would start
 * again.
 */
export class SuspendInTask extends TowpathError {
  override readonly name = "SuspendInTask";
  constructor(what: string, path: string) {
    super("suspend-in-task", `${what} was called in the task run ${path}.`, {
      next: "Call it in the flow's own function, between two tasks.",
    });
  }
}

/** A task cannot run in another pool. */
export class NotRemote extends TowpathError {
  override readonly name = "NotRemote";
  constructor(task: string, why: string, next: string) {
    super("not-remote", `Task "${task}" cannot run in another pool: ${why}`, { next });
  }
}

/** An answer or event does not match its schema. `faults` names each field. */
export class InvalidAnswer extends TowpathError {
  override readonly name = "InvalidAnswer";
  readonly faults: readonly Fault[];
  constructor(what: string, faults: readonly Fault[]) {
    const lines = faults.map((fault) => `\n  ${fault.path}: ${fault.message}`).join("");
    super("invalid-answer", `The value received for the ${what} does not match its schema:${lines}`);
    this.faults = faults;
  }
}

/** A run that the flow waited for did not complete. */
export class ChildFailed extends TowpathError {
  override readonly name = "ChildFailed";
  readonly runId: string;
  readonly state: string;
  readonly runCause: string | null;
  constructor(child: {
    /** The deployment, or the task of this one, that ran. */
    what: string;
    runId: string;
    state: string;
    cause: string | null;
  }) {
    const why = child.cause === null ? "" : `, cause ${child.cause}`;
    super("child-failed", `Run ${child.runId} of ${child.what} ended with state ${child.state}${why}.`);
    this.runId = child.runId;
    this.state = child.state;
    this.runCause = child.cause;
  }
}

/** An external job that the flow waited for failed. */
export class JobFailed extends TowpathError {
  override readonly name = "JobFailed";
  readonly job: string;
  constructor(job: string, message: string) {
    const head = `Job "${job}" has failed: `;
    // The recorded message of an earlier attempt begins with it already.
    super("job-failed", message.startsWith(head) ? message : `${head}${message}`);
    this.job = job;
  }
}

/**
 * A process died while it submitted an external job, and it is unknown whether the job was submitted. It is not
 * submitted again.
 */
export class JobOutcomeUnknown extends TowpathError {
  override readonly name = "JobOutcomeUnknown";
  readonly job: string;
  /** The key of the submission. */
  readonly key: string;
  constructor(job: string, key: string, { cause }: { cause?: unknown }) {
    const why = cause === undefined ? "the job has no find function" : "its find function failed";
    super(
      "unknown-outcome",
      `It is unknown whether job "${job}" was submitted with the key ${key}, because ${why}.`,
      {
        next: "Look for it at its backend. Give the job a find(key), or idempotent: true if its backend accepts each key once.",
        cause,
      },
    );
    this.job = job;
    this.key = key;
  }
}

/** A try of a task exceeded its `timeoutMs`. It may be retried like any other failure, unless it was `ignored`. */
export class TaskTimeout extends TowpathError {
  override readonly name = "TaskTimeout";
  readonly timeoutMs: number;
  /** Whether its function ignores the time limit, and the task's options say that the attempt's process ends then. */
  readonly ignored: boolean;
  /** @param ignoredMs How long its function has ignored the aborted signal, if the process ends because of it. */
  constructor(task: string, timeoutMs: number, ignoredMs: number | null = null) {
    const tooLong = `Task "${task}" took longer than its ${timeoutMs} ms`;
    const message = `${tooLong} and did not end within ${ignoredMs} ms after its signal aborted. So the process ends.`;
    super("task-timeout", ignoredMs === null ? `${tooLong}.` : message, {
      next:
        ignoredMs === null
          ? "Raise timeoutMs, or pass ctx.signal to the calls that it waits for."
          : "Pass ctx.signal to the calls that it waits for, raise timeoutMs or timeoutGraceMs, or give it thread: true.",
    });
    this.timeoutMs = timeoutMs;
    this.ignored = ignoredMs !== null;
  }
}

/** Throw it from a task, or use it as the `cause` of an error, if a retry cannot help. */
export class NonRetryable extends TowpathError {
  override readonly name = "NonRetryable";
  constructor(message: string, options: { cause?: unknown } = {}) {
    super("non-retryable", message, options);
  }
}

/** A call cannot be identified. The message says which rule it breaks. */
export class TaskIdentityUnknown extends TowpathError {
  override readonly name: string = "TaskIdentityUnknown";
  constructor(message: string, next = 'Give the call a key: task.with({ key: "…" })(…).') {
    super("task-identity-unknown", message, { next });
  }
}

/**
 * An argument is not plain data, so calls with different arguments could not be distinguished. `place` names the part.
 */
export class NotData extends TaskIdentityUnknown {
  override readonly name: string = "NotData";
  /** Such as `argument 1, field "pattern"`. */
  readonly place: string;
  constructor(call: string, args: { place: string; found: string; next: string }) {
    super(`${call} cannot be identified by its arguments: ${args.place} is ${args.found}.`, args.next);
    this.place = args.place;
  }
}

/** A value cannot be stored with the codec. `path` names the part. */
export class NotSerialisable extends TowpathError {
  override readonly name = "NotSerialisable";
  readonly path: string;
  constructor(path: string, found: string) {
    super("not-serialisable", `${path} is ${found}, which JSON cannot store.`, {
      next: "Use plain data (objects, arrays, strings, finite numbers, booleans, null), or the codec bytes or text.",
    });
    this.path = path;
  }
}

/** The store refused a ref or could not store a value. */
export class StoreFault extends TowpathError {
  override readonly name = "StoreFault";
  constructor(message: string, options: TowpathErrorOptions = {}) {
    super("store-fault", message, options);
  }
}

/** The run has no secret of this name. */
export class SecretMissing extends TowpathError {
  override readonly name = "SecretMissing";
  constructor(secret: string, next: string) {
    super("secret-missing", `There is no secret "${secret}" in this run.`, { next });
  }
}

/** An artifact exceeds a limit of inline content. */
export class ArtifactRefused extends TowpathError {
  override readonly name = "ArtifactRefused";
  constructor(key: string, message: string) {
    super("artifact-refused", `Artifact "${key}" ${message}.`, {
      next: "Show a part of it, and save the rest with ctx.save.",
    });
  }
}

/** The worker's gateway refused a request, and a repetition would not help. */
export class GatewayRefused extends TowpathError {
  override readonly name = "GatewayRefused";
  constructor(message: string, options: TowpathErrorOptions = {}) {
    super("gateway-refused", message, options);
  }
}

/** The control plane refused a call that the flow made through its worker. */
export class CallRefused extends TowpathError {
  override readonly name = "CallRefused";
  constructor(code: string, detail: string) {
    super(code, detail);
  }
}

/**
 * A task that holds slots of a limit called another one that needs some. If such tasks held all slots, none could
 * continue.
 */
export class SlotsHeld extends TowpathError {
  override readonly name = "SlotsHeld";
  constructor(task: string, holder: string) {
    const next = `Give "${holder}" the limits and tags of "${task}", or call "${task}" from the flow.`;
    super("slots-held", `Task "${task}" needs slots, but "${holder}", which calls it, already holds slots.`, {
      next,
    });
  }
}

/** A task in a thread used something that only the run's own thread has, or that cannot be copied to a thread. */
export class NotInThread extends TowpathError {
  override readonly name = "NotInThread";
  constructor(what: string, options: TowpathErrorOptions = {}) {
    const next = "Do it in the flow or another task, and pass the result as an argument.";
    super("not-in-thread", `${what} in a task with thread: true.`, { next, ...options });
  }
}

/** The thread of a task ended before the task did: it ran out of memory, or something ended it. */
export class ThreadEnded extends TowpathError {
  override readonly name = "ThreadEnded";
  constructor(task: string, cause: unknown) {
    const why = cause instanceof Error ? `: ${cause.message}` : ".";
    super("thread-ended", `The thread of task "${task}" ended before the task did${why}`, { cause });
  }
}

/** A rejected promise or an exception in a callback was not handled by the flow. */
export class Unhandled extends TowpathError {
  override readonly name = "Unhandled";
  constructor(what: "rejection" | "exception", cause: unknown) {
    const text = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    const subject = what === "rejection" ? "A rejected promise" : "An exception";
    super("unhandled", `${subject} that nothing in the flow handled: ${text}`, { cause });
    // The error comes from a listener of ours. The place to look at is where its cause was made.
    const frames =
      cause instanceof Error ? (cause.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line)) : [];
    if (frames.length > 0) this.stack = [`${this.name}: ${this.message}`, ...frames].join("\n");
  }
}
