import {
  type BulkRecord,
  type Call,
  type Called,
  type CheckpointPage,
  type Context,
  codeVersionOf,
  deploymentNameOf,
  derivedId,
  type FlowCall,
  isDue,
  LIMITS,
  type LogLine,
  Problem,
  type RecordsAnswer,
  type Ref,
  remoteTaskIn,
  remoteTaskOf,
  startableNames,
  type Trigger,
} from "@towpath/contract";
import { type GatewayHost, mapFlowRecord } from "../gateway/index.ts";
import { failpoint } from "../host/failpoint.ts";
import { JournalError } from "../journal/index.ts";
import type { FlowOutcome } from "../launch/index.ts";
import { isPassing } from "../protocol/index.ts";
import { openCalled, openCheckpoints, type SealedRun, sealCall } from "../sealing/index.ts";
import { redactCall, type Unnumbered } from "../secrets/index.ts";
import { withoutContent } from "../store/sign-refs.ts";
import { AttemptRefs, refusedText } from "./attempt-refs.ts";
import type { StoredAttempt } from "./attempt-store.ts";
import { originOf } from "./chain.ts";
import type { ClaimedAttempt } from "./claimed-attempt.ts";
import type { AttemptDeps } from "./deps.ts";
import type { AttemptOutput } from "./output.ts";
import { type Prepared, parametersOf } from "./prepare.ts";
import type { FlowBatch, Spool } from "./spool.ts";
import { watchLinger } from "./stop.ts";
import { StoredArtifacts } from "./stored-artifacts.ts";

/** What the gateway of a running attempt answers from. */
export interface Running {
  readonly claimed: ClaimedAttempt;
  readonly stored: StoredAttempt;
  readonly spool: Spool;
  readonly prepared: Prepared;
  /** Its address, as the worker knows it. */
  readonly controlPlane: string;
  /** The largest body of an artifact, bytes. */
  readonly artifactBytes: number;
  /** Reads the process's output. Null for the process of a hook, whose output is read after its end, and for a muted one. */
  readonly output: AttemptOutput | null;
  /** True when the process has no gateway, because its secrets are unknown and nothing could be redacted. */
  readonly muted: boolean;
}

/**
 * How long a journal may be full without an acknowledgement, milliseconds. Until then the flow gets a retryable problem, so
 * it slows down.
 */
const FULL_MOST_MS = 60_000;

/** Since when a journal has been full, and how far it was acknowledged then. */
interface Fullness {
  since: { readonly ms: number; readonly acked: number } | null;
}

/** What is kept of a flow from one batch to the next. */
interface Kept {
  readonly fullness: Fullness;
  readonly artifactKeys: ArtifactKeys;
  readonly artifacts: StoredArtifacts;
  readonly refs: AttemptRefs;
}

/** The log gets one warning about refused results. */
function attemptRefs({ claimed, stored, prepared: { refs } }: Running): AttemptRefs {
  return new AttemptRefs({ ...stored, refs }, (what) => {
    claimed.note("warn", refusedText(what)).catch(() => {});
  });
}

/** Answers one attempt's flow process. */
export function flowHost(deps: AttemptDeps, running: Running): GatewayHost {
  let turn: Promise<unknown> = Promise.resolve();
  const refs = attemptRefs(running);
  const artifacts = new StoredArtifacts(deps.keyring, running);
  const kept: Kept = { fullness: { since: null }, artifactKeys: new ArtifactKeys(), artifacts, refs };
  return {
    context() {
      running.claimed.board.greeted();
      return contextOf(running);
    },
    async records(lines) {
      // One batch after the other: records keep the order in which the flow wrote them.
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
    call: (call, signal) => forwardCall(deps, running, { call, signal, refs }),
    checkpoints: (after, signal) => listCheckpoints(deps, running, { after, signal, refs }),
    stored({ seq, ...wait }) {
      const stored = running.spool.stored.until(seq, wait);
      // A record that the flow waits for leaves at once.
      deps.wake.report();
      return stored;
    },
  };
}

/** The instant of the schedule that the run is for. */
function dueOf(trigger: Trigger): Context["due"] {
  if (!isDue(trigger)) return null;
  return { schedule: trigger.schedule, at: trigger.dueAt, intervalStart: trigger.intervalStart };
}

/** The task of another run that this run carries out. */
function taskOf(trigger: Trigger, argument: Ref | null): Context["task"] {
  const task = remoteTaskOf(trigger);
  return task && { name: task.name, input: argument ?? withoutContent(task.input) };
}

function resumeOf({ assignment, spec }: StoredAttempt): Context["resume"] {
  const origin = originOf(assignment);
  return {
    origin,
    earlier: assignment.ordinal > 1 || origin !== assignment.runId,
    // A process in Python computes them itself: the versions of its packages count, and may differ from those at the deploy.
    codeVersions: spec.entry.kind === "python" ? {} : spec.tasks,
    code: codeVersionOf(spec),
  };
}

/** The context that a flow gets. */
export function contextOf(running: Running): Context {
  const { stored, spool, prepared } = running;
  const { assignment, spec } = stored;
  return {
    runId: assignment.runId,
    attemptId: assignment.attemptId,
    attempt: assignment.ordinal,
    workspaceId: stored.workspaceId,
    deployment: deploymentNameOf(spec),
    version: spec.version,
    parameters: parametersOf(prepared),
    scheduledAt: assignment.scheduledAt,
    controlPlane: running.controlPlane,
    due: dueOf(assignment.trigger),
    secrets: Object.fromEntries(prepared.secrets),
    store: prepared.store,
    resume: resumeOf(stored),
    task: taskOf(assignment.trigger, prepared.argument),
    ...(running.artifactBytes > LIMITS.artifactBytes && { artifactBytes: running.artifactBytes }),
    acked: spool.flowTaken,
  };
}

async function takeRecords(
  deps: AttemptDeps,
  running: Running,
  { lines, fullness, artifactKeys, artifacts, refs }: Kept & { lines: readonly string[] },
): Promise<RecordsAnswer> {
  const { claimed, spool } = running;
  const sorted = sortRecords(running, { lines, artifactKeys, artifacts, refs });
  const placed = await artifacts.place(sorted.bulk, { after: spool.flowTaken });
  const batch = { ...sorted, bulk: placed.bulk, rejected: [...sorted.rejected, ...placed.rejected] };
  try {
    if (running.output) await running.output.take(batch);
    else await spool.flow(batch);
    if (batch.outcome) await keepOutcome(deps, running, batch.outcome);
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    if (!mayWait(deps, { spool, fullness, error })) {
      deps.log.error({ attempt: claimed.name, error: error.message }, "the journal refused a flow's records");
      claimed.requestStop({ reason: "journal-full" });
    }
    throw new Problem("unavailable", "The worker has no room for the run's records.");
  } finally {
    // Also after a failure: what is in the journal need not wait for the rest.
    deps.wake.report();
  }
  fullness.since = null;
  return { acked: spool.flowTaken, rejected: batch.rejected };
}

/** Whether a full journal may still get room. While acknowledgements come in, the flow only waits. */
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
  args: Pick<Kept, "artifactKeys" | "artifacts" | "refs"> & { lines: readonly string[] },
): SortedBatch {
  const { lines, artifactKeys, refs } = args;
  const { isPossible: mayStore } = args.artifacts;
  const control: FlowBatch["control"][number][] = [];
  const bulk: FlowBatch["bulk"][number][] = [];
  const rejected: RecordsAnswer["rejected"] = [];
  let outcome: FlowOutcome | null = null;
  let throughSeq = spool.flowTaken;
  for (const text of lines) {
    const mapped = mapFlowRecord(prepared.redactor, text, { mayStore });
    const { seq } = mapped;
    const refused =
      mapped.lane === "bulk" && mapped.record.type === "artifact"
        ? artifactKeys.refuse(mapped.record, { seq })
        : null;
    if (refused !== null) {
      rejected.push({ seq, detail: refused.detail });
      if (refused.line !== null) bulk.push({ seq, item: refused.line });
    } else if (mapped.lane === "control") control.push({ seq, record: refs.record(mapped.record) });
    else if (mapped.lane === "bulk") bulk.push({ seq, item: mapped.record });
    else if (mapped.lane === "line") bulk.push({ seq, item: mapped.line, printed: mapped.printed });
    else if (mapped.lane === "outcome") outcome = refs.outcome(mapped.outcome);
    else rejected.push({ seq, detail: mapped.detail });
    // The number of a rejected record is acknowledged too, so that it is not sent forever.
    throughSeq = Math.max(throughSeq, seq);
  }
  return { control, bulk, rejected, outcome, throughSeq };
}

async function keepOutcome(deps: AttemptDeps, running: Running, outcome: FlowOutcome): Promise<void> {
  const { claimed } = running;
  // The first outcome stays. The process of a hook has no say in how the flow ended.
  if (!claimed.stored || claimed.stored.outcome || claimed.stored.cleanedUp) return;
  try {
    await claimed.update({ outcome });
  } catch (error) {
    // It is not stored: the flow sends it again.
    claimed.stored = { ...claimed.stored, outcome: null };
    throw error;
  }
  watchLinger(deps, claimed);
}

async function forwardCall(
  deps: AttemptDeps,
  { claimed, stored, prepared }: Running,
  { call: { path, call }, signal, refs }: { call: FlowCall; signal: AbortSignal; refs: AttemptRefs },
): Promise<Called> {
  if (call.kind === "start-run" && startableNames(stored.spec, call.deployment).length === 0) {
    throw new Problem(
      "forbidden",
      `The signed spec does not let this flow start "${call.deployment}". Add it to mayStart and deploy again.`,
    );
  }
  if (call.kind === "start-task") checkRemoteTask(stored, call);
  // An id of the path itself would tell which of a few titles it has.
  const callId = await derivedId(stored.assignment.runId, prepared.redactor.hide?.(path) ?? path);
  const signed = refs.call(redactCall(prepared.redactor, { path, call }), callId);
  const run = sealedRunOf({ stored, prepared });
  const { sealedOnly } = prepared;
  const { keyring } = deps;
  const send = async (codes: boolean) => {
    const asked = keyring === null ? signed : sealCall(keyring, run, { callId, call: signed, codes });
    const body = { ...claimed.fence, callId, call: asked };
    const { answer } = await deps.connection.call("call", body, { signal });
    return { asked, answer };
  };
  return await asProblem(async () => {
    const { asked, answer } = await send(sealedOnly).catch((error: unknown) => {
      // The workspace was sealed after this attempt began.
      if (keyring !== null && error instanceof Problem && error.code === "plain-value") return send(true);
      throw error;
    });
    noteJob(deps, asked);
    const opener = { keyring: deps.keyring, run, sealedOnly };
    const opened = openCalled(opener, { called: answer, callId, call });
    return grantedAsAsked({ call, asked }, await refs.answer(opened, { call, callId }));
  });
}

/** The run whose values are sealed and opened. */
function sealedRunOf({ stored, prepared }: Pick<Running, "stored" | "prepared">): SealedRun {
  const { workspaceId: workspace, spec } = prepared;
  return { workspace, deployment: deploymentNameOf(spec), runId: stored.assignment.runId };
}

/** The granted keys as the flow wrote them. They left redacted. */
function grantedAsAsked(
  { call, asked }: { call: FlowCall["call"]; asked: Call["call"] },
  answer: Called,
): Called {
  if (call.kind !== "take-slots" || asked.kind !== "take-slots" || !("granted" in answer)) return answer;
  const asWritten = (redacted: readonly string[] = []) =>
    call.requests
      .filter((_, index) => redacted.includes(asked.requests[index]?.key ?? ""))
      .map(({ key }) => key);
  return {
    ...answer,
    granted: asWritten(answer.granted),
    withoutSlots: asWritten(answer.withoutSlots),
  };
}

/** @throws Problem `forbidden` */
function checkRemoteTask(
  { spec }: StoredAttempt,
  { task, pool }: Extract<FlowCall["call"], { kind: "start-task" }>,
): void {
  if (remoteTaskIn(spec, task.name)?.pools.includes(pool)) return;
  throw new Problem(
    "forbidden",
    `The signed spec does not let this flow run its task "${task.name}" in the pool "${pool}". Write the pool's name where the task is called, and deploy again.`,
  );
}

/** Failpoints for external jobs. A new handle wakes the loop that tends jobs. */
function noteJob(deps: AttemptDeps, asked: Call["call"]): void {
  if (asked.kind === "wait" && asked.wait.kind === "job") failpoint("intend");
  if (asked.kind !== "job-handle") return;
  failpoint("handle");
  deps.wake.tend();
}

/** The checkpoints of earlier attempts. The flow waits while the control plane is away. */
async function listCheckpoints(
  deps: AttemptDeps,
  { claimed, stored, prepared }: Running,
  { after, signal, refs }: { after: string | null; signal: AbortSignal; refs: AttemptRefs },
): Promise<CheckpointPage> {
  return await asProblem(async () => {
    const { attemptId, epoch, nonce } = claimed.fence;
    const asked = { attemptId, epoch, nonce, after };
    const { answer: sent } = await deps.connection.call("listCheckpoints", asked, { signal });
    const { sealedOnly } = prepared;
    const run = sealedRunOf({ stored, prepared });
    const page = refs.page(openCheckpoints({ keyring: deps.keyring, run, sealedOnly }, sent));
    // Under the paths that the flow knows.
    const items = page.items.map((one) => ({ ...one, path: prepared.redactor.restore(one.path) }));
    return { ...page, items };
  });
}

/** Passes on the control plane's problems. If it cannot be reached, the flow gets a retryable problem. */
async function asProblem<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof Problem || !isPassing(error)) throw error;
    throw new Problem("unavailable", "The control plane cannot be reached now. Try again.");
  }
}

type ShownArtifact = Extract<Unnumbered<BulkRecord>, { type: "artifact" }>;

/** What a flow and its log hear of an artifact above the limit. The log hears it once. */
export interface Refused {
  readonly detail: string;
  readonly line: LogLine | null;
}

/**
 * Counts the artifacts of one attempt, by key. After a restart the count begins anew. The control plane counts
 * too, and rejects what is above the limit.
 */
export class ArtifactKeys {
  readonly #keys = new Set<string>();
  readonly #max: number;
  /** The flow's number of the first artifact above the limit. If the flow sends it again, the line goes with it again. */
  #firstAt: number | null = null;

  constructor(max: number = LIMITS.artifactKeys) {
    this.#max = max;
  }

  /** @param args.seq The flow's number of the record. @returns null if there is room for it. */
  refuse(artifact: ShownArtifact, args: { seq: number }): Refused | null {
    if (this.#keys.has(artifact.key)) return null;
    if (this.#keys.size < this.#max) {
      this.#keys.add(artifact.key);
      return null;
    }
    const detail = `An attempt can have at most ${this.#max} artifacts. Reuse a key, or put the other values in a table.`;
    this.#firstAt ??= args.seq;
    if (this.#firstAt !== args.seq) return { detail, line: null };
    const text = `The artifact "${artifact.key}" and further new ones are not shown. ${detail}`;
    return { detail, line: { at: artifact.at, level: "warn", stream: "worker", text } };
  }
}
