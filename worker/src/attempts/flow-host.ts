import {
  type BulkRecord,
  type Call,
  type Called,
  type CheckpointPage,
  type Context,
  codeVersionOf,
  derivedId,
  type FlowCall,
  isDue,
  LIMITS,
  type LogLine,
  Problem,
  type RecordsAnswer,
  remoteTaskIn,
  remoteTaskOf,
  type Trigger,
} from "@towpath/contract";
import { type GatewayHost, mapFlowRecord } from "../gateway/index.ts";
import { failpoint } from "../host/failpoint.ts";
import { JournalError } from "../journal/index.ts";
import type { FlowOutcome } from "../launch/index.ts";
import { isPassing } from "../protocol/index.ts";
import { redactCall, type Unnumbered } from "../secrets/index.ts";
import type { StoredAttempt } from "./attempt-store.ts";
import type { ClaimedAttempt } from "./claimed-attempt.ts";
import type { AttemptDeps } from "./deps.ts";
import { type Prepared, parametersOf } from "./prepare.ts";
import type { FlowBatch, Spool } from "./spool.ts";
import { watchLinger } from "./stop.ts";

/** What a running attempt answers from. */
export interface Running {
  readonly claimed: ClaimedAttempt;
  readonly stored: StoredAttempt;
  readonly spool: Spool;
  readonly prepared: Prepared;
  /** Its address, as the worker knows it. */
  readonly controlPlane: string;
  /** Whether the process must not be listened to, since its secrets are not known and nothing could be redacted. */
  readonly muted: boolean;
}

/**
 * How long a journal may be full without the control plane acknowledging anything of it, milliseconds: until then the flow is told to
 * come back, and so is slowed to what can be reported.
 */
const FULL_MOST_MS = 60_000;

/** Since when a journal has been full, and how far it was acknowledged then. */
interface Fullness {
  since: { readonly ms: number; readonly acked: number } | null;
}

/** What is known of a flow from one batch of its records to the next. */
interface Kept {
  readonly fullness: Fullness;
  readonly artifactKeys: ArtifactKeys;
}

/** Answers one attempt's flow process. */
export function flowHost(deps: AttemptDeps, running: Running): GatewayHost {
  let turn: Promise<unknown> = Promise.resolve();
  const kept: Kept = { fullness: { since: null }, artifactKeys: new ArtifactKeys() };
  return {
    context() {
      running.claimed.board.greeted();
      return contextOf(running);
    },
    async records(lines) {
      // In turn, because a record's place in the lanes is the order in which the flow wrote it.
      const own = turn.then(() => takeRecords(deps, running, { lines, ...kept }));
      turn = own.catch(() => {});
      return await own;
    },
    async commands(a) {
      const commands = await running.claimed.board.waitFor(a);
      return {
        ...commands,
        answers: commands.answers.map((path) => running.prepared.redactor.restore(path)),
      };
    },
    call: (call, signal) => forwardCall(deps, running, { call, signal }),
    checkpoints: (after, signal) => listCheckpoints(deps, running, { after, signal }),
    stored({ seq, ...wait }) {
      const stored = running.spool.stored.until(seq, wait);
      // What is waited for leaves at once.
      deps.wake.report();
      return stored;
    },
  };
}

/** The instant of a schedule that a run is for. */
function dueOf(trigger: Trigger): Context["due"] {
  if (!isDue(trigger)) return null;
  return { schedule: trigger.schedule, at: trigger.dueAt, intervalStart: trigger.intervalStart };
}

/** The task of another run that a run stands for. */
function taskOf(trigger: Trigger): Context["task"] {
  const task = remoteTaskOf(trigger);
  return task && { name: task.name, input: task.input };
}

function resumeOf({ assignment, spec }: StoredAttempt): Context["resume"] {
  const { trigger, runId, ordinal } = assignment;
  const resumed = trigger.kind === "rerun" && trigger.fromFailure ? trigger : null;
  return {
    origin: resumed?.origin ?? runId,
    earlier: ordinal > 1 || resumed !== null,
    codeVersions: spec.tasks,
    code: codeVersionOf(spec),
  };
}

/** What a flow is told about its run. */
export function contextOf(running: Running): Context {
  const { stored, spool, prepared } = running;
  const { assignment, spec } = stored;
  return {
    runId: assignment.runId,
    attemptId: assignment.attemptId,
    attempt: assignment.ordinal,
    workspaceId: stored.workspaceId,
    deployment: spec.deployment,
    version: spec.version,
    parameters: parametersOf(assignment, spec),
    scheduledAt: assignment.scheduledAt,
    controlPlane: running.controlPlane,
    due: dueOf(assignment.trigger),
    secrets: Object.fromEntries(prepared.secrets),
    store: prepared.store,
    resume: resumeOf(stored),
    task: taskOf(assignment.trigger),
    acked: spool.flowTaken,
  };
}

async function takeRecords(
  deps: AttemptDeps,
  running: Running,
  { lines, fullness, artifactKeys }: Kept & { lines: readonly string[] },
): Promise<RecordsAnswer> {
  const { claimed, spool } = running;
  const batch = sortRecords(running, { lines, artifactKeys });
  try {
    await spool.flow(batch);
    if (batch.outcome) await keepOutcome(deps, running, batch.outcome);
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    if (!mayWait(deps, { spool, fullness, error })) {
      deps.log.error({ attempt: claimed.name, error: error.message }, "the journal refused a flow's records");
      claimed.requestStop({ reason: "journal-full" });
    }
    throw new Problem("unavailable", "The worker has no room for the run's records.");
  } finally {
    // Also where not all of it could be written: what is in the journal need not wait for the rest.
    deps.wake.report();
  }
  fullness.since = null;
  return { acked: spool.flowTaken, rejected: batch.rejected };
}

/** Whether a full journal may still empty: while acknowledgements come in, the flow only has to wait. */
function mayWait(
  deps: AttemptDeps,
  { spool, fullness, error }: { spool: Spool; fullness: Fullness; error: JournalError },
): boolean {
  if (!error.retryable) return false;
  const nowMs = deps.bootClock.nowMs();
  if (fullness.since === null || fullness.since.acked !== spool.controlAcked)
    fullness.since = { ms: nowMs, acked: spool.controlAcked };
  return nowMs - fullness.since.ms < FULL_MOST_MS;
}

interface SortedBatch extends FlowBatch {
  readonly outcome: FlowOutcome | null;
  readonly rejected: RecordsAnswer["rejected"];
}

function sortRecords(
  { prepared, spool }: Running,
  { lines, artifactKeys }: { lines: readonly string[]; artifactKeys: ArtifactKeys },
): SortedBatch {
  const control: FlowBatch["control"][number][] = [];
  const bulk: FlowBatch["bulk"][number][] = [];
  const rejected: RecordsAnswer["rejected"] = [];
  let outcome: FlowOutcome | null = null;
  let throughSeq = spool.flowTaken;
  for (const text of lines) {
    const mapped = mapFlowRecord(prepared.redactor, text);
    const { seq } = mapped;
    const refused =
      mapped.lane === "bulk" && mapped.record.type === "artifact"
        ? artifactKeys.refuse(mapped.record, { seq })
        : null;
    if (refused !== null) {
      rejected.push({ seq, detail: refused.detail });
      if (refused.line !== null) bulk.push({ seq, item: refused.line });
    } else if (mapped.lane === "control") control.push({ seq, record: mapped.record });
    else if (mapped.lane === "bulk") bulk.push({ seq, item: mapped.record });
    else if (mapped.lane === "line") bulk.push({ seq, item: mapped.line });
    else if (mapped.lane === "outcome") outcome = mapped.outcome;
    else rejected.push({ seq, detail: mapped.detail });
    // A rejected record is done with too: its number is acknowledged, so that it is not sent for ever.
    throughSeq = Math.max(throughSeq, seq);
  }
  return { control, bulk, rejected, outcome, throughSeq };
}

async function keepOutcome(deps: AttemptDeps, running: Running, outcome: FlowOutcome): Promise<void> {
  const { claimed } = running;
  // The first one stands: a flow ends once, and what runs a hook after its process is gone says nothing of how it ended.
  if (!claimed.stored || claimed.stored.outcome || claimed.stored.cleanedUp) return;
  try {
    await claimed.update({ outcome });
  } catch (error) {
    // Not held yet: the flow sends it again, and it is written then.
    claimed.stored = { ...claimed.stored, outcome: null };
    throw error;
  }
  watchLinger(deps, claimed);
}

async function forwardCall(
  deps: AttemptDeps,
  { claimed, stored, prepared }: Running,
  { call: { path, call }, signal }: { call: FlowCall; signal: AbortSignal },
): Promise<Called> {
  if (call.kind === "start-run" && !stored.spec.mayStart.includes(call.deployment)) {
    throw new Problem(
      "forbidden",
      `The signed spec does not let this flow start "${call.deployment}"; add it to mayStart and deploy again.`,
    );
  }
  if (call.kind === "start-task") checkRemoteTask(stored, call);
  const callId = await derivedId(stored.assignment.runId, path);
  const asked = redactCall(prepared.redactor, { path, call });
  return await asProblem(async () => {
    const { answer } = await deps.connection.call(
      "call",
      { ...claimed.fence, callId, call: asked },
      { signal },
    );
    noteJob(deps, asked);
    return grantedAsAsked({ call, asked }, answer);
  });
}

/** The keys that have their slots, as the flow calls them: they left without secrets. */
function grantedAsAsked(
  { call, asked }: { call: FlowCall["call"]; asked: Call["call"] },
  answer: Called,
): Called {
  if (call.kind !== "take-slots" || asked.kind !== "take-slots" || !("granted" in answer)) return answer;
  const granted = new Set(answer.granted);
  const keys = call.requests.filter((_, index) => granted.has(asked.requests[index]?.key ?? ""));
  return { ...answer, granted: keys.map(({ key }) => key) };
}

/** @throws Problem `forbidden` */
function checkRemoteTask(
  { spec }: StoredAttempt,
  { task, pool }: Extract<FlowCall["call"], { kind: "start-task" }>,
): void {
  if (remoteTaskIn(spec, task.name)?.pools.includes(pool)) return;
  throw new Problem(
    "forbidden",
    `The signed spec does not let this flow run its task "${task.name}" in the pool "${pool}"; write the pool's name where the task is called, and deploy again.`,
  );
}

/** Strikes where an external job is known to be wanted, or submitted; and has the worker look for jobs to tend. */
function noteJob(deps: AttemptDeps, asked: Call["call"]): void {
  if (asked.kind === "wait" && asked.wait.kind === "job") failpoint("intend");
  if (asked.kind !== "job-handle") return;
  failpoint("handle");
  deps.wake.tend();
}

/** What earlier attempts have left; the flow waits for it as long as the control plane is away. */
async function listCheckpoints(
  deps: AttemptDeps,
  { claimed, prepared }: Running,
  { after, signal }: { after: string | null; signal: AbortSignal },
): Promise<CheckpointPage> {
  return await asProblem(async () => {
    const { attemptId, epoch, nonce } = claimed.fence;
    const asked = { attemptId, epoch, nonce, after };
    const { answer } = await deps.connection.call("listCheckpoints", asked, { signal });
    // Under the paths by which the flow knows its calls.
    const items = answer.items.map((one) => ({ ...one, path: prepared.redactor.restore(one.path) }));
    return { ...answer, items };
  });
}

/** The control plane's own refusals, and for its absence one that says to try again. */
async function asProblem<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof Problem || !isPassing(error)) throw error;
    throw new Problem("unavailable", "The control plane cannot be reached now; try again.");
  }
}

/** The most bytes of one line that a tail keeps: a cut must not leave half a secret unrecognised. */
export function outputLineBytes(prepared: Pick<Prepared, "redactor">): number {
  return LIMITS.logLineBytes + prepared.redactor.longest * 4;
}

type ShownArtifact = Extract<Unnumbered<BulkRecord>, { type: "artifact" }>;

/** What becomes of an artifact that is one too many: the flow is told each time, its log once. */
export interface Refused {
  readonly detail: string;
  readonly line: LogLine | null;
}

/**
 * Counts the artifacts that one attempt shows, by key. After a restart of the worker the count begins anew, and the
 * control plane, which counts too, refuses what is over.
 */
export class ArtifactKeys {
  readonly #keys = new Set<string>();
  readonly #max: number;
  /** The flow's number of the first one too many: if the flow has to send it again, the line goes with it again. */
  #toldAt: number | null = null;

  constructor(max: number = LIMITS.artifactKeys) {
    this.#max = max;
  }

  /** @param args.seq the flow's number of the record. @returns null if there is room for it. */
  refuse(artifact: ShownArtifact, args: { seq: number }): Refused | null {
    if (this.#keys.has(artifact.key)) return null;
    if (this.#keys.size < this.#max) {
      this.#keys.add(artifact.key);
      return null;
    }
    const detail = `An attempt shows at most ${this.#max} artifacts; use a key again, or show the rest in a table.`;
    this.#toldAt ??= args.seq;
    if (this.#toldAt !== args.seq) return { detail, line: null };
    const text = `The artifact "${artifact.key}" and further new ones are not shown. ${detail}`;
    return { detail, line: { at: artifact.at, level: "warn", stream: "worker", text } };
  }
}
