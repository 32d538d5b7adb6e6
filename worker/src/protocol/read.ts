import { type AnswerRead, createBackoff, LIMITS, Problem, type ReadRequest } from "@towpath/contract";
import { createOutageLog, type Loop, type LoopDeps, pause, QuickAnswers } from "./loop.ts";

/** An answer that comes sooner than this was not waited for, milliseconds. */
const QUICK_MS = 500;
/** How often a worker looks whether its control plane has the routes, milliseconds. */
const UNSUPPORTED_MS = 60_000;

/** Answers that may be under way while the worker polls for more reads. */
const ANSWERING_MAX = 2 * LIMITS.storedReads;

/** Who answers reads of stored bodies. */
export interface ReadSource {
  /** Answers one read. `send` resolves once the control plane has the answer, which its reader may still not get. */
  serve(read: ReadRequest, send: (answer: AnswerRead) => Promise<void>): Promise<void>;
}

/**
 * Polls for reads of stored bodies, and answers them beside the next poll. It has connections of its own, so that it delays no other
 * call, and a failure only makes its readers wait.
 */
export function startReading(deps: LoopDeps, source: ReadSource): Loop {
  const { connection } = deps;
  const stopping = new AbortController();
  const { signal } = stopping;
  const outage = createOutageLog(deps.log, "pollReads");
  const quickAnswers = new QuickAnswers();
  const answering = new Set<Promise<void>>();

  async function send(answer: AnswerRead): Promise<void> {
    await connection.call("answerRead", answer, { signal });
  }

  function answer(read: ReadRequest): void {
    const served = source.serve(read, send).catch((error: unknown) => {
      deps.log.debug(
        { read: read.id, error: String(error) },
        "a read was not answered; its reader asks again",
      );
    });
    answering.add(served);
    void served.finally(() => answering.delete(served));
  }

  /** @returns how long to pause, milliseconds. */
  async function poll(failedMs: () => number): Promise<number> {
    try {
      if ((await connection.session()).reads !== true) return UNSUPPORTED_MS;
      const sentAtMs = deps.bootClock.nowMs();
      const { reads } = (await connection.call("pollReads", { waitMs: LIMITS.claimWaitMs }, { signal }))
        .answer;
      outage.succeeded();
      for (const read of reads) answer(read);
      const quick = deps.bootClock.nowMs() - sentAtMs < QUICK_MS;
      return quickAnswers.heard({ quick, news: reads.length > 0 }) ? QUICK_MS : 0;
    } catch (error) {
      if (signal.aborted) return 0;
      // Another replica may be of an earlier release.
      if (error instanceof Problem && error.code === "not-found") return UNSUPPORTED_MS;
      outage.failed(error);
      return failedMs();
    }
  }

  async function run(): Promise<void> {
    const backoff = createBackoff(deps.random);
    while (!signal.aborted) {
      if (answering.size >= ANSWERING_MAX) await Promise.race(answering);
      let failed = false;
      const waitMs = await poll(() => {
        failed = true;
        return backoff.next();
      });
      if (!failed) backoff.reset();
      if (waitMs > 0) await pause(deps.sleep, { ms: waitMs, signal });
    }
  }

  const running = run();
  return {
    nudge() {},
    async stop() {
      stopping.abort(new Error("the worker stops"));
      await running;
      await Promise.all(answering);
    },
  };
}
