import {
  type HeldJob,
  type JobAnswer,
  type JobAsk,
  type JobChange,
  LIMITS,
  Problem,
  type TendedJob,
  type TendedJobs,
} from "@towpath/contract";
import { handleOf, jobResultOf } from "../attempts/index.ts";
import { failpoint } from "../host/failpoint.ts";
import { type Clock, callAt, type Sleep } from "../host/index.ts";
import type { TendSource } from "../protocol/index.ts";
import { sealJobChange, type WorkerKeyring } from "../sealing/index.ts";
import { redactJobChange } from "../secrets/index.ts";
import type { RefSigner } from "../store/sign-refs.ts";
import { Refusal } from "../trust/index.ts";
import { PollerGone } from "./poller.ts";
import type { NamedVersion, PollerDeps, Pollers } from "./pollers.ts";

/** The first question about a new job comes within this time, milliseconds. It spreads the questions about many jobs. */
const FIRST_MS = 2_000;
/** How long the answer of a poll is gathered with others, milliseconds. An end is sent at once. */
const TOLD_AFTER_MS = 5_000;
/** The pauses between attempts to cancel a job, milliseconds. */
const CANCEL_AGAIN_MS = { first: 1_000, most: 30_000 };

/**
 * So many questions in a row that this worker cannot even ask, as with a missing key, give a job back: another worker of the pool may
 * be able to. What a backend answers does not count.
 */
const FAILURES_MAX = 3;
/** How long this worker then takes no job, so that another worker comes first, milliseconds. */
const GIVEN_BACK_MS = 5_000;

/** What tending needs. */
export interface JobsDeps extends Pick<PollerDeps, "log"> {
  readonly bootClock: Clock;
  readonly sleep: Sleep;
  readonly random: () => number;
  readonly pollers: Pollers;
  /** Seals what backends say. Null: nothing is sealed here. */
  readonly keyring: WorkerKeyring | null;
  /** There is something to send. */
  readonly wake: () => void;
}

/** One job that this worker tends. */
interface Tended {
  readonly job: TendedJob;
  readonly named: NamedVersion;
  readonly release: () => void;
  /** Aborts when the job is no longer this worker's. */
  readonly gone: AbortController;
  cancel: boolean;
  /** The questions in a row that this worker could not ask. */
  failures: number;
  /** Whether the control plane has the reason. */
  isReasonTold: boolean;
  /** Ends the pause between two questions. */
  hurry: () => void;
  /** The latest change, and when it came; null once it was sent. */
  change: {
    readonly type: JobChange["type"];
    readonly make: (agoMs: number) => JobChange;
    readonly atMs: number;
  } | null;
}

/** After these states a job is no longer asked about. */
const LAST: readonly JobChange["type"][] = ["ended", "cancelled", "left", "released"];

/** The external jobs that this worker tends. It asks about each at intervals, and reports the answers. */
export class Jobs implements TendSource {
  readonly #deps: JobsDeps;
  readonly #tended = new Map<string, Tended>();
  #telling: NodeJS.Timeout | undefined;
  /** Whether the answers of polls were gathered long enough. */
  #isDue = false;
  #isStopping = false;
  /** Until then no job is taken, on the boot-time clock. */
  #restsUntilMs = 0;

  constructor(deps: JobsDeps) {
    this.#deps = deps;
  }

  free(): number {
    const takesNone = this.#isStopping || this.#deps.bootClock.nowMs() < this.#restsUntilMs;
    return takesNone ? 0 : LIMITS.jobs - this.#tended.size;
  }

  held(): HeldJob[] {
    return [...this.#tended.values()].map(({ job: { jobId, lease }, cancel }) => ({ jobId, lease, cancel }));
  }

  changes(): JobChange[] {
    const nowMs = this.#deps.bootClock.nowMs();
    return [...this.#tended.values()].flatMap(({ change }) =>
      change === null ? [] : [change.make(Math.max(0, Math.round(nowMs - change.atMs)))],
    );
  }

  urgent(): boolean {
    const isOver = () =>
      [...this.#tended.values()].some(({ change }) => change && LAST.includes(change.type));
    return this.#isDue || isOver();
  }

  told(changes: readonly JobChange[]): void {
    this.#isDue = false;
    for (const { jobId, type } of changes) {
      const tended = this.#tended.get(jobId);
      if (tended?.change?.type !== type) continue;
      tended.change = null;
      tended.isReasonTold ||= type === "stumbled";
      if (LAST.includes(type)) this.#drop(jobId);
    }
  }

  take(answer: TendedJobs): boolean {
    const specs = new Map(answer.specs.map((one) => [`${one.deployment} ${one.version}`, one]));
    for (const jobId of answer.gone) this.#drop(jobId);
    for (const jobId of answer.cancel) this.#cancel(jobId);
    for (const job of answer.jobs) {
      const named = specs.get(`${job.deployment} ${job.version}`);
      const hasRoom = this.#tended.has(job.jobId) || this.#tended.size < LIMITS.jobs;
      if (named !== undefined && hasRoom && !this.#isStopping) this.#begin(job, named);
    }
    return answer.jobs.length + answer.cancel.length + answer.gone.length > 0;
  }

  /** Ends all questions, and gives every job back. */
  stop(): void {
    this.#isStopping = true;
    clearTimeout(this.#telling);
    for (const tended of this.#tended.values()) {
      tended.gone.abort();
      if (tended.change === null || !LAST.includes(tended.change.type)) this.#giveBack(tended);
    }
  }

  #leaveToOthers(tended: Tended): void {
    const { bootClock, wake } = this.#deps;
    this.#restsUntilMs = bootClock.nowMs() + GIVEN_BACK_MS;
    callAt(bootClock, { atMs: this.#restsUntilMs, call: wake });
    this.#giveBack(tended);
  }

  #giveBack(tended: Tended): void {
    this.#note(tended, "released", () => ({ ...fenceOf(tended), type: "released" }));
  }

  #begin(job: TendedJob, named: NamedVersion): void {
    this.#drop(job.jobId);
    const gone = new AbortController();
    const release = this.#deps.pollers.use(named);
    const tended: Tended = {
      job,
      named,
      release,
      gone,
      cancel: job.cancel,
      failures: 0,
      isReasonTold: false,
      hurry: () => {},
      change: null,
    };
    this.#tended.set(job.jobId, tended);
    void this.#tend(tended);
  }

  #cancel(jobId: string): void {
    const tended = this.#tended.get(jobId);
    if (tended === undefined || tended.cancel) return;
    tended.cancel = true;
    tended.hurry();
  }

  #drop(jobId: string): void {
    const tended = this.#tended.get(jobId);
    if (tended === undefined) return;
    this.#tended.delete(jobId);
    tended.gone.abort();
    tended.release();
  }

  /** Asks until the job has ended. Never rejects: a job that cannot be asked about here is assigned again. */
  async #tend(tended: Tended): Promise<void> {
    try {
      await this.#askUntilOver(tended);
    } catch (error) {
      const { jobId } = tended.job;
      this.#deps.log.error({ job: jobId, error: String(error) }, "an external job is no longer polled here");
      if (this.#tended.get(jobId) === tended) this.#drop(jobId);
    }
  }

  async #askUntilOver(tended: Tended): Promise<void> {
    const { job } = tended;
    const everyMs = job.pollEveryMs ?? CANCEL_AGAIN_MS.most;
    let againMs = CANCEL_AGAIN_MS.first;
    await this.#pause(tended, tended.cancel ? 0 : this.#deps.random() * Math.min(FIRST_MS, everyMs));
    while (!tended.gone.signal.aborted) {
      const asked = tended.cancel ? "cancel" : "poll";
      const change = await this.#ask(tended, asked);
      if (tended.gone.signal.aborted) return;
      const type = change?.(0).type;
      if (type === "ended") failpoint("polled");
      if (change !== null && type !== undefined) this.#note(tended, type, change);
      if (type !== undefined && LAST.includes(type)) return;
      if (tended.failures >= FAILURES_MAX && tended.isReasonTold) return this.#leaveToOthers(tended);
      if (asked === "poll" && tended.cancel) continue;
      await this.#pause(tended, asked === "poll" ? everyMs : againMs);
      if (asked === "cancel") againMs = Math.min(againMs * 2, CANCEL_AGAIN_MS.most);
    }
  }

  async #pause(tended: Tended, ms: number): Promise<void> {
    const over = new AbortController();
    tended.hurry = () => over.abort();
    await this.#deps
      .sleep(ms, AbortSignal.any([over.signal, tended.gone.signal]))
      // The pause was cut short because there is something to do.
      .catch(() => {});
  }

  /** @returns what the control plane hears. Null: nothing for now */
  async #ask(tended: Tended, kind: JobAsk["kind"]): Promise<((agoMs: number) => JobChange) | null> {
    const { jobId: key, deployment, job, runId } = tended.job;
    const fence = fenceOf(tended);
    try {
      const { ask, redactor, refs, workspaceId } = await this.#deps.pollers.of(tended.named);
      const told = tended.job.handle;
      const handle = told && handleOf(refs, { deployment, jobId: key, job, handle: told });
      if (told !== null && handle === null) throw new HandleRefused();
      const answer = await ask({ kind, job, key, runId, handle });
      tended.failures = 0;
      const change = redactJobChange(redactor, { ...fence, ...rawMessageOf(answer) });
      return timed(this.#sealed(tended, workspaceId, signedChange(change, { deployment, refs })));
    } catch (error) {
      tended.failures += 1;
      this.#deps.log.warn({ job: key, error: String(error) }, "an external job could not be polled");
      return await this.#stumbled(tended, reasonOf(error));
    }
  }

  /** The report of a failed question. Null: no session can be had now, so it cannot be sealed and reaches nobody. */
  async #stumbled(tended: Tended, detail: string): Promise<((agoMs: number) => JobChange) | null> {
    const change = { ...fenceOf(tended), type: "stumbled", detail, agoMs: 0 } as const;
    if (this.#deps.keyring === null) return timed(change);
    const session = await this.#deps.pollers.session().catch(() => null);
    return session && timed(this.#sealed(tended, session.workspaceId, change));
  }

  /** What backends say is sealed for the run that waits for them. */
  #sealed({ job: { runId, deployment } }: Tended, workspace: string, change: JobChange): JobChange {
    const { keyring } = this.#deps;
    return keyring === null ? change : sealJobChange(keyring, { workspace, deployment, runId }, change);
  }

  #note(tended: Tended, type: JobChange["type"], make: (agoMs: number) => JobChange): void {
    tended.change = { type, make, atMs: this.#deps.bootClock.nowMs() };
    if (LAST.includes(type)) {
      this.#deps.wake();
      return;
    }
    this.#telling ??= setTimeout(() => {
      this.#telling = undefined;
      this.#isDue = true;
      this.#deps.wake();
    }, TOLD_AFTER_MS).unref();
  }
}

function fenceOf({ job: { jobId, lease } }: Tended) {
  return { jobId, lease };
}

/** What the control plane names as a job's handle is not exactly what was recorded, so nothing is asked with it. */
class HandleRefused extends Error {
  override readonly name = "HandleRefused";

  constructor() {
    super(
      "The worker refused the job's handle: it was changed on its way, or a worker of an earlier release or with other store keys recorded it.",
    );
  }
}

/** The change with its result signed. */
function signedChange(change: JobChange, args: { deployment: string; refs: RefSigner }): JobChange {
  if (change.type !== "ended" || change.outcome.outcome !== "completed" || change.outcome.result === null)
    return change;
  const { deployment, refs } = args;
  const result = jobResultOf(refs, { deployment, jobId: change.jobId, result: change.outcome.result });
  return { ...change, outcome: { ...change.outcome, result } };
}

/** The change as it is reported, once it is known how long ago it came. */
function timed(change: JobChange): (agoMs: number) => JobChange {
  return (agoMs) => ("agoMs" in change ? { ...change, agoMs } : change);
}

type RawMessage = JobChange extends infer Change
  ? Change extends unknown
    ? Omit<Change, "jobId" | "lease">
    : never
  : never;

function rawMessageOf(told: JobAnswer): RawMessage {
  switch (told.kind) {
    case "running":
      return { type: "polled", says: String(told.says), agoMs: 0 };
    case "completed":
      return { type: "ended", outcome: { outcome: "completed", result: told.result } };
    case "failed":
      return { type: "ended", outcome: { outcome: "failed", error: told.error } };
    case "stumbled":
      return { type: "stumbled", detail: told.detail, agoMs: 0 };
    default:
      return { type: told.kind };
  }
}

/** The reason that the control plane gets. Only messages written for it are passed on. */
function reasonOf(error: unknown): string {
  const shown = [PollerGone, Refusal, Problem, HandleRefused].some((kind) => error instanceof kind);
  return shown && error instanceof Error
    ? error.message
    : "The worker could not poll the job. Its log says why.";
}
