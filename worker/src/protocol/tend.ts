import { createBackoff, type HeldJob, type JobChange, LIMITS, type TendedJobs } from "@towpath/contract";
import { createOutageLog, type Loop, type LoopDeps, pause } from "./loop.ts";

/** How often a worker that has no jobs, in a pool that has none, asks again, milliseconds. */
const IDLE_MS = 60_000;
/** So long after something is found out, more of it is told in the same request, milliseconds. */
const GATHER_MS = 50;
/** An answer without changes that came sooner than this was not waited for; then the next question waits as long, milliseconds. */
const QUICK_MS = 500;

/** Whose external jobs are tended, and who hears what is to be done. */
export interface TendSource {
  /** How many more jobs it can tend. */
  free(): number;
  held(): HeldJob[];
  /** What was found out and not told yet, at most LIMITS.jobs. It is told again until `told` is called with it. */
  changes(): JobChange[];
  /** Whether any of it should be told now; the rest goes with the next of it. */
  urgent(): boolean;
  /** The control plane has taken this. */
  told(changes: readonly JobChange[]): void;
  /** Takes an answer; says whether anything in it was new. */
  take(answer: TendedJobs): boolean;
}

type Result = "cut" | "failed" | { readonly wanted: boolean; readonly idle: boolean };

/**
 * Tells what a worker finds out about external jobs, and hears what it is to tend. While its pool has any it waits at the
 * control plane for changes, and else asks now and then. Being nudged it asks at once.
 */
export function startTending(deps: LoopDeps, source: TendSource): Loop {
  const stopping = new AbortController();
  const outage = createOutageLog(deps.log, "tendJobs");
  /** Ends whatever is waited for. */
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
      return { wanted, idle: !isNew && deps.bootClock.nowMs() - sentAtMs < QUICK_MS && waitMs > 0 };
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
        if (result.idle) await rest(QUICK_MS);
        if (!wanted && !nudged) await rest(IDLE_MS, AbortSignal.any([waiting.signal, stopping.signal]));
      }
    }
  }

  const running = run();
  return {
    nudge() {
      nudged = true;
      waiting.abort(new Error("there is something to tell"));
    },
    async stop() {
      stopping.abort(new Error("the worker stops"));
      await running;
      // Best effort: what is not given back is another worker's once the lease is over.
      const changes = source.changes();
      const last = { free: 0, held: [], news: changes, waitMs: 0 };
      if (changes.length > 0)
        await deps.connection.call("tendJobs", last, { signal: AbortSignal.timeout(2_000) }).catch(() => {});
    },
  };
}
