import type { Ref } from "@towpath/contract";
import type { JobAnswer, JobAsk, JobGround } from "@towpath/contract/words";
import { Checkpoints } from "../checkpoint/checkpoints.ts";
import { systemClock } from "../clock.ts";
import { describeError } from "../engine/describe-error.ts";
import { withinTime } from "../engine/endings.ts";
import { Hearing, type Host } from "../engine/host.ts";
import { type ActiveRun, activeRun, inScope } from "../engine/scope.ts";
import { OutsideOfRun } from "../problem.ts";
import { stagedResources } from "../resources/stage-file.ts";
import { openStore } from "../store/file-store.ts";
import type { Store } from "../store/store.ts";
import { CallLedger } from "../task/identity.ts";
import { type AnyJob, ASK_MS, askStatus, jobNamed } from "./job.ts";

/** The most handles in memory: more than the jobs of one worker. */
const HANDLES_MAX = 4_000;

async function refuse(): Promise<never> {
  throw new OutsideOfRun("The control plane", "A job's poll and cancel can call only their backend.");
}

async function nowhere(): Promise<void> {}

/** The host of a job's code here: secrets, resources and the store, without records. */
function hostOf(ground: JobGround, store: Store): Host {
  const { workspaceId, deployment, version, secrets } = ground;
  const facts = { runId: "", attemptId: "", attempt: 0, workspaceId, deployment, version, due: null };
  return {
    facts: { ...facts, scheduledAt: new Date(systemClock.nowMs()).toISOString() },
    parameters: null,
    records: { post: nowhere, postHeld: nowhere, postStored: nowhere, postLog: () => {} },
    store,
    resume: { origin: "", codeVersions: {}, code: null, earlier: null, keeps: false },
    clock: systemClock,
    random: Math.random,
    secret: (name) => {
      const value = Object.hasOwn(secrets, name) ? secrets[name] : undefined;
      return value === undefined ? { next: `Name it in the deployment's "secrets".` } : { value };
    },
    resource: stagedResources(),
    call: refuse,
    waits: { ask: refuse, heard: new Hearing(), suspends: false },
    poolOf: null,
    task: null,
    watchdog: null,
    cancelled: new AbortController().signal,
  };
}

function runIn(host: Host): ActiveRun {
  const { signal } = new AbortController();
  const checkpoints = new Checkpoints(host, { checkpoint: false });
  return activeRun({ flow: host.facts.deployment, host, checkpoints, signal, ended: signal });
}

/** Values by ref, so that a handle is read once and not at every poll. */
function remembering(store: Store): (ref: Ref) => Promise<unknown> {
  const known = new Map<string, Promise<unknown>>();
  return async (ref) => {
    const found = known.get(ref.uri);
    if (found !== undefined) return await found;
    if (known.size >= HANDLES_MAX) known.clear();
    const loading = store.load(ref);
    known.set(ref.uri, loading);
    loading.catch(() => known.delete(ref.uri));
    return await loading;
  };
}

interface Asking {
  readonly job: AnyJob;
  readonly ask: JobAsk;
  readonly store: Store;
  readonly load: (ref: Ref) => Promise<unknown>;
  readonly signal: AbortSignal;
}

async function poll({ job, ask, store, load, signal }: Asking): Promise<JobAnswer> {
  if (ask.handle === null) return { kind: "stumbled", detail: "Its handle is not known." };
  const status = await askStatus(job, await load(ask.handle), signal);
  if (status.state === "running") return { kind: "running", says: status.says ?? "running" };
  if (status.state === "failed") {
    const message = status.error ?? "Its backend reported a failure without a reason.";
    return { kind: "failed", error: { name: "JobFailed", message } };
  }
  if (status.result === undefined) return { kind: "completed", result: null };
  const place = { runId: ask.runId, attempt: 0, task: ask.key, name: "result" };
  const result = await store.save(place, status.result, "exact");
  return { kind: "completed", result };
}

async function cancel({ job, ask, load, signal }: Asking): Promise<JobAnswer> {
  if (job.cancel === undefined) return { kind: "left", detail: "It has no cancel." };
  if (ask.handle === null && job.find === undefined)
    return { kind: "left", detail: "Its handle is not known." };
  const handle = ask.handle === null ? await job.find?.(ask.key) : await load(ask.handle);
  if (ask.handle !== null || (handle !== null && handle !== undefined))
    await job.cancel(handle as never, { signal });
  return { kind: "cancelled" };
}

/** Polls and cancels the jobs that this process's modules declare. An error says nothing about the job. */
export async function tendJobsHere(ground: JobGround): Promise<(ask: JobAsk) => Promise<JobAnswer>> {
  const store = await openStore(ground.store);
  const host = hostOf(ground, store);
  const run = runIn(host);
  const load = remembering(store);
  return async (ask) => {
    const job = jobNamed(ask.job);
    if (job === null) {
      const detail = `No module that the flow imports declares a job "${ask.job}" at its top.`;
      return { kind: "stumbled", detail };
    }
    const own = { ...run, host: { ...host, facts: { ...host.facts, runId: ask.runId } } };
    const what = `${ask.kind} of job "${ask.job}"`;
    try {
      return await withinTime({ what, maxMs: ASK_MS }, (signal) =>
        inScope({ run: own, path: "", signal, calls: new CallLedger("", store.hashes) }, () =>
          (ask.kind === "poll" ? poll : cancel)({ job, ask, store, load, signal }),
        ),
      );
    } catch (error) {
      const { name, message } = describeError(error);
      return { kind: "stumbled", detail: `${name}: ${message}` };
    }
  };
}
