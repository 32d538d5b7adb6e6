import type { Fault } from "@towpath/contract/words";

/** What an SDK error says beside its message. */
export interface TowpathErrorOptions {
  /** The next step: a sentence that says what to do. */
  readonly next?: string;
  readonly cause?: unknown;
}

/**
 * The base of every error that this SDK throws on purpose. `code` is stable; `next` says what to do about it and is the
 * end of the message.
 */
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

/** A flow or task was declared with options that make no sense. Thrown where it is declared. */
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

/** The settings of a resource do not satisfy its schema. `faults` names each field. */
export class InvalidResource extends TowpathError {
  override readonly name = "InvalidResource";
  readonly faults: readonly Fault[];
  constructor(resource: string, faults: readonly Fault[]) {
    super("invalid-resource", `The settings of resource "${resource}" are not valid:${linesOf(faults)}`);
    this.faults = faults;
  }
}

/** The parameters do not satisfy the flow's schema. `faults` names each field. */
export class InvalidParameters extends TowpathError {
  override readonly name = "InvalidParameters";
  readonly faults: readonly Fault[];
  constructor(flow: string, faults: readonly Fault[]) {
    super("invalid-parameters", `The parameters of flow "${flow}" are not valid:${linesOf(faults)}`);
    this.faults = faults;
  }
}

/** Something that belongs to a run was used where no flow is running. */
export class OutsideOfRun extends TowpathError {
  override readonly name = "OutsideOfRun";
  constructor(what: string, next: string) {
    super("outside-of-run", `${what} was used outside of a running flow.`, { next });
  }
}

/** The run was asked to stop. The reason of every aborted signal in it. */
export class Cancelled extends TowpathError {
  override readonly name = "Cancelled";
  readonly reason: string;
  /** What for: `user`; or, as the attempt's cause, `timeout`, `run-timeout` or `evicted` (its worker is drained). */
  readonly runCause: string;
  constructor(reason: string, runCause = "user") {
    const message = reason === "" ? "The run was cancelled." : `The run was cancelled: ${reason}`;
    super("cancelled", runCause === "user" || reason === "" ? message : reason);
    this.reason = reason;
    this.runCause = runCause;
  }
}

/** The attempt has failed, since its worker had to stop it: it, or its run as a whole, exceeded its time limit. */
export class Stopped extends TowpathError {
  override readonly name = "Stopped";
  /** `timeout`, `run-timeout`, or `journal-full` where the worker's disk is, as the attempt's cause. */
  readonly runCause: string;
  /** @param thrown What the flow threw when it was asked to stop. */
  constructor(stop: Cancelled, thrown: unknown) {
    super("stopped", stop.reason, thrown === stop ? {} : { cause: thrown });
    this.runCause = stop.runCause;
  }
}

/** The process of an attempt ended before the flow had: killed, out of memory, out of time, or by an exit of its own. */
export class ProcessEnded extends TowpathError {
  override readonly name = "ProcessEnded";
  /** `killed`, `oom`, `timeout` or `error`, as the attempt's cause. */
  readonly runCause: string;
  constructor(runCause: string, message: string) {
    super("process-ended", message);
    this.runCause = runCause;
  }
}

/** What a flow waited for did not come before its deadline. */
export class WaitExpired extends TowpathError {
  override readonly name = "WaitExpired";
  readonly path: string;
  constructor(path: string) {
    super("wait-expired", `What the run waited for at ${path} did not come before its deadline.`);
    this.path = path;
  }
}

/** A task wanted to suspend its run. Only the flow's own function can: a task that has begun would begin anew. */
export class SuspendInTask extends TowpathError {
  override readonly name = "SuspendInTask";
  constructor(what: string, path: string) {
    super("suspend-in-task", `${what} was called in the task run ${path}.`, {
      next: "Call it in the flow's own function, between two tasks.",
    });
  }
}

/** A task was called in another pool that cannot be run there. */
export class NotRemote extends TowpathError {
  override readonly name = "NotRemote";
  constructor(task: string, why: string, next: string) {
    super("not-remote", `Task "${task}" cannot run in another pool: ${why}`, { next });
  }
}

/** What came does not satisfy the schema that it was waited for with. `faults` names each field. */
export class InvalidAnswer extends TowpathError {
  override readonly name = "InvalidAnswer";
  readonly faults: readonly Fault[];
  constructor(what: string, faults: readonly Fault[]) {
    const lines = faults.map((fault) => `\n  ${fault.path}: ${fault.message}`).join("");
    super("invalid-answer", `What came for the ${what} does not satisfy its schema:${lines}`);
    this.faults = faults;
  }
}

/** A run that the flow had started and waited for did not complete. */
export class ChildFailed extends TowpathError {
  override readonly name = "ChildFailed";
  readonly runId: string;
  readonly state: string;
  readonly runCause: string | null;
  constructor(child: {
    /** What ran: a deployment, or a task of this one. */
    what: string;
    runId: string;
    state: string;
    cause: string | null;
  }) {
    const why = child.cause === null ? "" : `, cause ${child.cause}`;
    super("child-failed", `Run ${child.runId} of ${child.what} is ${child.state}${why}.`);
    this.runId = child.runId;
    this.state = child.state;
    this.runCause = child.cause;
  }
}

/** An external job that the flow had submitted and waited for has failed. */
export class JobFailed extends TowpathError {
  override readonly name = "JobFailed";
  readonly job: string;
  constructor(job: string, message: string) {
    const head = `Job "${job}" has failed: `;
    // What an earlier attempt has recorded of it says so already.
    super("job-failed", message.startsWith(head) ? message : `${head}${message}`);
    this.job = job;
  }
}

/**
 * A process died while it submitted an external job, and nobody can tell whether it got that far. Nothing is submitted again
 * without knowing.
 */
export class JobOutcomeUnknown extends TowpathError {
  override readonly name = "JobOutcomeUnknown";
  readonly job: string;
  /** What it was, or would have been, submitted with. */
  readonly key: string;
  constructor(job: string, key: string, { cause }: { cause?: unknown }) {
    const why = cause === undefined ? "it has no find" : "its find has failed";
    super(
      "unknown-outcome",
      `Whether job "${job}" was submitted under the key ${key} is not known: ${why}.`,
      {
        next: "Look for it at its backend. Give the job a find(key), or idempotent: true if its backend takes each key once.",
        cause,
      },
    );
    this.job = job;
    this.key = key;
  }
}

/** A try of a task took longer than its `timeoutMs`. It may be retried like any other failure, unless it was `ignored`. */
export class TaskTimeout extends TowpathError {
  override readonly name = "TaskTimeout";
  readonly timeoutMs: number;
  /** Whether its function runs on all the same, and the task says that the process of the attempt ends for it. */
  readonly ignored: boolean;
  /** @param ignoredMs How long its function has ignored that its signal was aborted, if the process ends for it. */
  constructor(task: string, timeoutMs: number, ignoredMs: number | null = null) {
    const tooLong = `Task "${task}" took longer than its ${timeoutMs} ms`;
    const message = `${tooLong} and did not end within ${ignoredMs} ms of its signal's abort, so the attempt's process ends.`;
    super("task-timeout", ignoredMs === null ? `${tooLong}.` : message, {
      next:
        ignoredMs === null
          ? "Raise timeoutMs, or pass ctx.signal to what it waits for."
          : "Pass ctx.signal to what it waits for, raise timeoutMs or timeoutGraceMs, or give it thread: true.",
    });
    this.timeoutMs = timeoutMs;
    this.ignored = ignoredMs !== null;
  }
}

/** Throw it from a task (or throw an error with it as `cause`) when trying again cannot help. */
export class NonRetryable extends TowpathError {
  override readonly name = "NonRetryable";
  constructor(message: string, options: { cause?: unknown } = {}) {
    super("non-retryable", message, options);
  }
}

/** A task run's identity cannot be told: see the message for which of the rules it breaks. */
export class TaskIdentityUnknown extends TowpathError {
  override readonly name: string = "TaskIdentityUnknown";
  constructor(message: string, next = 'Give the call a key: task.with({ key: "…" })(…).') {
    super("task-identity-unknown", message, { next });
  }
}

/** An argument is no plain data, so that different arguments could not be told apart. `place` says which part of it. */
export class NotData extends TaskIdentityUnknown {
  override readonly name: string = "NotData";
  /** Such as `argument 1, field "pattern"`. */
  readonly place: string;
  constructor(call: string, args: { place: string; found: string; next: string }) {
    super(`${call} cannot be told apart by its input: ${args.place} is ${args.found}.`, args.next);
    this.place = args.place;
  }
}

/** A value cannot be kept with the codec asked for. `path` says which part of it. */
export class NotSerialisable extends TowpathError {
  override readonly name = "NotSerialisable";
  readonly path: string;
  constructor(path: string, found: string) {
    super("not-serialisable", `${path} is ${found}, which JSON cannot hold.`, {
      next: "Use plain data (objects, arrays, strings, finite numbers, booleans, null), or the codec bytes or text.",
    });
    this.path = path;
  }
}

/** The store refused a reference or could not keep a value. */
export class StoreFault extends TowpathError {
  override readonly name = "StoreFault";
  constructor(message: string, options: TowpathErrorOptions = {}) {
    super("store-fault", message, options);
  }
}

/** A secret was asked for that this run was not given. */
export class SecretMissing extends TowpathError {
  override readonly name = "SecretMissing";
  constructor(secret: string, next: string) {
    super("secret-missing", `There is no secret "${secret}" in this run.`, { next });
  }
}

/** An artifact breaks one of the limits of what travels inline. */
export class ArtifactRefused extends TowpathError {
  override readonly name = "ArtifactRefused";
  constructor(key: string, message: string) {
    super("artifact-refused", `Artifact "${key}" ${message}.`, {
      next: "Show a part of it, and keep the whole with ctx.save.",
    });
  }
}

/** The worker's gateway answered in a way that trying again cannot mend. */
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
 * A task that has slots of a limit called another that needs some: with all slots taken by such tasks, none of them would
 * ever get what it lacks.
 */
export class SlotsHeld extends TowpathError {
  override readonly name = "SlotsHeld";
  constructor(task: string, holder: string) {
    const next = `Name in the limits of "${holder}" all that both need, or call "${task}" from the flow.`;
    super("slots-held", `Task "${task}" needs slots, and "${holder}", which calls it, has some.`, { next });
  }
}

/** A task that runs in a thread used something that only its run's own thread can do, or that no thread can be given. */
export class NotInThread extends TowpathError {
  override readonly name = "NotInThread";
  constructor(what: string, options: TowpathErrorOptions = {}) {
    const next = "Do it in the flow or another task, and pass what comes of it as an argument.";
    super("not-in-thread", `${what} in a task with thread: true.`, { next, ...options });
  }
}

/** The thread of a task ended before the task had: it ran out of memory, or something in it ended the thread. */
export class ThreadEnded extends TowpathError {
  override readonly name = "ThreadEnded";
  constructor(task: string, cause: unknown) {
    const why = cause instanceof Error ? `: ${cause.message}` : ".";
    super("thread-ended", `The thread of task "${task}" ended before the task had${why}`, { cause });
  }
}

/** A promise was rejected, or an error thrown in a callback, and nothing in the flow handled it. */
export class Unhandled extends TowpathError {
  override readonly name = "Unhandled";
  constructor(what: "rejection" | "exception", cause: unknown) {
    const text = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    const subject = what === "rejection" ? "A rejected promise" : "An exception";
    super("unhandled", `${subject} that nothing in the flow handled: ${text}`, { cause });
  }
}
