import { createBackoff, type HeldJob, type JobChange, LIMITS, type TendedJobs } from "@towpath/contract";
import { createOutageLog, type Loop, type LoopDeps, pause, QuickAnswers } from "./loop.ts";

/** How often a worker without jobs, in a pool without jobs, asks again, milliseconds. */
const IDLE_MS = 60_000;
/** How long changes are gathered for one request, milliseconds. */
const GATHER_MS = 50;
/**
 * An answer without changes that comes sooner than this was not waited for. The next request then waits as long,
 * milliseconds.
 */
const QUICK_MS = 500;

/** The external jobs that a worker tends. */
export interface TendSource {
  /** How many more jobs the worker can tend. */
  free(): number;
  held(): HeldJob[];
  /** Changes that were not sent yet, at most LIMITS.jobs. They are sent again until `told` is called with them. */
  changes(): JobChange[];
  /** Whether a change should be sent now. The others go with it. */
  urgent(): boolean;
  /** The control plane has taken these changes. */
  told(changes: readonly JobChange[]): void;
  /** Takes an answer. Returns whether anything in it was new. */
  take(answer: TendedJobs): boolean;
}

type Result = "cut" | "failed" | { readonly wanted: boolean; readonly pauses: boolean };

/**
 * Reports changes of external jobs, and asks which jobs to tend. While its pool has jobs, the request waits at
 * the control plane for changes. A nudge asks at once.
 */
export function startTending(deps: LoopDeps, source: TendSource): Loop {
  const stopping = new AbortController();
  const outage = createOutageLog(deps.log, "tendJobs");
  const quickAnswers = new QuickAnswers();
  /** Ends what is waited for now. */
  let waiting = new AbortController();
  let nudged = false;

  async function ask(waitMs: number): Promise<Result> {
    const changes = waitMs > 0 ? [] : source.changes();
    const body = { free: source.free(), held: source.held(), news: changes, waitMs };
    const sentAtMs = deps.bootClock.nowMs();
    const signal = waitMs > 0 ? AbortSignal.any([waiting.signal, stopping.signal]) : stopping.signal;
    try {
      const { answer } = await deps.connection.call("tendJobs", body, { signal });
      if (waitMs === 0) source.told(changes);
      const isNew = source.take(answer);
      outage.succeeded();
      const wanted = answer.wanted || source.held().length > 0;
      const quick = deps.bootClock.nowMs() - sentAtMs < QUICK_MS && waitMs > 0;
      return { wanted, pauses: quickAnswers.heard({ quick, news: isNew }) };
    } catch (error) {
      if (signal.aborted) return "cut";
      outage.failed(error);
      return "failed";
    }
  }

  async function run(): Promise<void> {
    const backoff = createBackoff(deps.random);
    const rest = (ms: number, signal: AbortSignal = stopping.signal) => pause(deps.sleep, { ms, signal });
    let wanted = false;
    while (!stopping.signal.aborted) {
      waiting = new AbortController();
      nudged = false;
      const result = await ask(wanted && !source.urgent() ? LIMITS.jobsWaitMs : 0);
      if (result === "cut") await rest(GATHER_MS);
      else if (result === "failed") await rest(backoff.next());
      else {
        backoff.reset();
        wanted = result.wanted;
        if (result.pauses) await rest(QUICK_MS);
        if (!wanted && !nudged) await rest(IDLE_MS, AbortSignal.any([waiting.signal, stopping.signal]));
      }
    }
  }

  const running = run();
  return {
    nudge() {
      nudged = true;
      waiting.abort(new Error("there are changes to report"));
    },
    async stop() {
      stopping.abort(new Error("the worker stops"));
      await running;
      // Best effort: another worker gets the rest when the lease is over.
      const changes = source.changes();
      const last = { free: 0, held: [], news: changes, waitMs: 0 };
      if (changes.length > 0)
        await deps.connection.call("tendJobs", last, { signal: AbortSignal.timeout(2_000) }).catch(() => {});
    },
  };
}
