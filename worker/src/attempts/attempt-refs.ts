import {
  type Assignment,
  type Called,
  type CalledRun,
  type CalledWait,
  type CheckpointPage,
  type ControlRecord,
  deploymentNameOf,
  derivedId,
  type FlowCall,
  JobOutcome,
  type Json,
  Problem,
  type Ref,
  remoteTaskOf,
  type Spec,
} from "@towpath/contract";
import type { FlowOutcome } from "../launch/index.ts";
import type { Redactor, Unnumbered } from "../secrets/index.ts";
import { type RefOwner, type RefSigner, resultOwner, withoutContent } from "../store/sign-refs.ts";
import { Refusal } from "../trust/index.ts";
import { originOf } from "./chain.ts";
import { signedParameters } from "./parameter-refs.ts";

/** The most retries of a run for which a child's id is looked for. */
const RETRIES_MAX = 200;

/** The most jobs of one attempt whose kinds are remembered until their handles leave. */
const JOB_NAMES_MAX = 10_000;

/** A run whose refs are signed and checked. */
interface SignedRun {
  readonly assignment: Assignment;
  readonly spec: Spec;
  readonly refs: RefSigner;
}

type AskedCall = FlowCall["call"];

/** The refs of one attempt: they are signed when they leave, and checked when they come back. */
export class AttemptRefs {
  readonly #refs: RefSigner;
  readonly #runId: string;
  readonly #run: { readonly deployment: string; readonly originId: string };
  /** Gets the first refused ref. */
  readonly #onRefused: (what: string) => void;
  /** The kinds of jobs that this attempt has asked for, by their ids. A worker that takes over an attempt does not know them. */
  readonly #jobNames = new Map<string, string>();
  #hasRefused = false;

  constructor({ assignment, spec, refs }: SignedRun, onRefused: (what: string) => void) {
    this.#refs = refs;
    this.#runId = assignment.runId;
    this.#run = { deployment: deploymentNameOf(spec), originId: originOf(assignment) };
    this.#onRefused = onRefused;
  }

  /** A record as it leaves. */
  record(record: Unnumbered<ControlRecord>): Unnumbered<ControlRecord> {
    if (record.type !== "task" && record.type !== "kept") return record;
    if (record.result === undefined) return record;
    const owner = record.type === "task" ? resultOwner(this.#run, record) : this.#kept(record.path);
    return { ...record, result: this.#refs.signed(record.result, owner) };
  }

  /** An outcome as it is kept and leaves. */
  outcome(outcome: FlowOutcome): FlowOutcome {
    const { result } = outcome;
    return result ? { ...outcome, result: this.#refs.signed(result, ["run", this.#runId]) } : outcome;
  }

  /** A call as it leaves. */
  call<Asked extends { readonly kind: AskedCall["kind"] }>(call: Asked, callId: string): Asked;
  call(call: AskedCall, callId: string): AskedCall {
    const { deployment } = this.#run;
    if (call.kind === "wait" && call.wait.kind === "job") this.#noteJob(callId, call.wait.job);
    if (call.kind === "job-handle") {
      const name = this.#jobNames.get(callId);
      const owner = ["handle", deployment, callId, ...(name === undefined ? [] : [name])] as const;
      return { ...call, handle: this.#refs.signed(call.handle, owner) };
    }
    if (call.kind === "start-run")
      return { ...call, parameters: signedParameters(this.#refs, { ...call, runId: callId }) };
    if (call.kind !== "start-task") return call;
    const { task } = call;
    const input = this.#refs.signed(task.input, ["argument", deployment, callId, task.name]);
    return { ...call, task: { ...task, input } };
  }

  /** The checkpoints that are exactly as they were recorded. The others count as missing, so their tasks run again. */
  page(page: CheckpointPage): CheckpointPage {
    const items = page.items.flatMap((one) => {
      if (one.result === null) return [one];
      const owner = one.kind === "task" ? resultOwner(this.#run, one) : this.#kept(one.path);
      const result = this.#refs.checked(one.result, owner);
      if (result === null) this.#refused(`the result of ${one.path}`);
      return result === null ? [] : [{ ...one, result }];
    });
    const waits = page.waits?.flatMap((one) => {
      const checked = this.#jobAnswer(one.answer, one.waitId);
      // The flow asks for a refused one separately, and gets an error if it waits for a job.
      return checked === null ? [] : [{ ...one, ...checked }];
    });
    return { ...page, items, ...(waits !== undefined && { waits }) };
  }

  /**
   * The answer to a call.
   * @throws Problem `ref-refused` if the ref of a job's handle or result is not exactly as it was recorded, or if the answer
   * names another run than the call's.
   */
  async answer(answer: Called, { call, callId }: { call: AskedCall; callId: string }): Promise<Called> {
    if ("waitId" in answer) return this.#wait(answer, { call, callId });
    if (call.kind === "start-run" || call.kind === "start-task" || call.kind === "get-run") {
      const isOwn =
        call.kind === "get-run"
          ? answer.runId === call.runId
          : await isChildOf(callId, answer.runId, call.kind === "start-task" ? RETRIES_MAX : 0);
      if (!isOwn) throw refusedRun(answer.runId);
    }
    return this.#calledRun(answer);
  }

  #kept(path: string): RefOwner {
    // Not the run: a client may go on with what the first run of the chain has kept.
    return ["kept", this.#run.deployment, this.#run.originId, path];
  }

  /** A result that is refused cannot be loaded. The state of the run is known all the same. */
  #calledRun<Run extends CalledRun>(run: Run): Run {
    if (run.result === null) return run;
    const result = this.#refs.checked(run.result, ["run", run.runId]);
    if (result === null) this.#refused(`the result of run ${run.runId}`);
    return { ...run, result: result ?? withoutContent(run.result) };
  }

  #wait(answer: CalledWait, { call, callId }: { call: AskedCall; callId: string }): CalledWait {
    if (call.kind !== "wait") return answer;
    const { wait } = call;
    if (answer.waitId !== callId) throw refused("the answer to another wait");
    if (wait.kind === "run" && answer.run !== null) {
      if (answer.run.runId !== wait.runId) throw refusedRun(answer.run.runId);
      return { ...answer, run: this.#calledRun(answer.run) };
    }
    return wait.kind === "job" ? this.#jobWait(answer, { jobId: callId, name: wait.job }) : answer;
  }

  #noteJob(jobId: string, name: string): void {
    this.#jobNames.set(jobId, name);
    const [oldest] = this.#jobNames.keys();
    if (this.#jobNames.size > JOB_NAMES_MAX && oldest !== undefined) this.#jobNames.delete(oldest);
  }

  #jobWait(wait: CalledWait, { jobId, name }: { jobId: string; name: string }): CalledWait {
    const { job } = wait;
    const checked = this.#jobAnswer(wait.answer, jobId);
    if (checked === null) throw refused(`the result of job ${jobId}`);
    const { answer } = checked;
    if (job === undefined || job.handle === null) return { ...wait, answer };
    const { deployment } = this.#run;
    const handle = handleOf(this.#refs, { deployment, jobId, job: name, handle: job.handle });
    if (handle === null) throw refused(`the handle of job ${jobId}`);
    return { ...wait, answer, job: { ...job, handle } };
  }

  /** The answer of a wait, with its ref checked if it is the outcome of a job. Null: it is refused. */
  #jobAnswer(answer: Json, jobId: string): { readonly answer: Json } | null {
    const { success, data } = JobOutcome.safeParse(answer);
    if (!success || data.outcome !== "completed" || data.result === null) return { answer };
    const result = this.#refs.checked(data.result, ["job-result", this.#run.deployment, jobId]);
    const value = data.value === undefined ? {} : { value: data.value };
    return result && { answer: { outcome: data.outcome, result, ...value } };
  }

  #refused(what: string): void {
    if (this.#hasRefused) return;
    this.#hasRefused = true;
    this.#onRefused(what);
  }
}

async function isChildOf(callId: string, runId: string, retriesMax: number): Promise<boolean> {
  if (runId === callId) return true;
  for (let retry = 1; retry <= retriesMax; retry++)
    if ((await derivedId(callId, `retry ${retry}`)) === runId) return true;
  return false;
}

const REFUSED_NEXT =
  "It was changed on its way, it belongs to something else, or a worker of an earlier release or with other store keys recorded it.";

function refused(what: string): Problem {
  return new Problem("ref-refused", `The worker refused ${what}. ${REFUSED_NEXT}`);
}

function refusedRun(runId: string): Problem {
  return refused(`run ${runId}, which the call did not name`);
}

/** The warning about the first refused result of an attempt. */
export function refusedText(what: string): string {
  return `The worker refused ${what}, and perhaps others: they count as missing, and their tasks run again. ${REFUSED_NEXT}`;
}

/**
 * The arguments of a remote task, checked. Null: the run executes a whole flow.
 * @throws Refusal unless its parent's worker signed them for this very call.
 */
export async function argumentOf(
  { assignment, spec, refs }: SignedRun,
  redactor: Redactor,
): Promise<Ref | null> {
  const { trigger, runId } = assignment;
  const task = remoteTaskOf(trigger);
  if (task === null || trigger.kind !== "run") return null;
  const callId = await derivedId(trigger.runId, redactor.restore(trigger.path));
  const input = refs.checked(task.input, ["argument", deploymentNameOf(spec), callId, task.name]);
  if (input !== null && (await isChildOf(callId, runId, RETRIES_MAX))) return input;
  throw new Refusal("wrong-ref", `The worker refused the arguments of task "${task.name}". ${REFUSED_NEXT}`);
}

/**
 * The handle of a job as its poller gets it; null if it is not exactly as it was recorded, or of another kind of job. A handle may
 * have been signed without the kind: see `#jobNames`.
 */
export function handleOf(
  refs: RefSigner,
  of: { deployment: string; jobId: string; job: string; handle: Ref },
): Ref | null {
  const owner = ["handle", of.deployment, of.jobId] as const;
  return refs.checked(of.handle, [...owner, of.job]) ?? refs.checked(of.handle, owner);
}

/** The result of a job as it leaves. */
export function jobResultOf(refs: RefSigner, job: { deployment: string; jobId: string; result: Ref }): Ref {
  return refs.signed(job.result, ["job-result", job.deployment, job.jobId]);
}
