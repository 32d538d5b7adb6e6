import { type BackoffLimits, doubledMs, LIMITS } from "@towpath/contract";
import type { Logger } from "pino";
import type { Clock } from "../host/index.ts";

/** The first pause and the longest, milliseconds. */
const PAUSES: BackoffLimits = { firstMs: 2_000, mostMs: 300_000 };

/** A pause, as the control plane hears of it. */
export interface Paused {
  readonly forMs: number;
  readonly reason: string;
}

/**
 * Protects a queue from a broken worker. After several failures in a row before user code, the worker takes
 * nothing for a while. Then it takes one attempt as a trial, and pauses for longer if that fails too.
 */
export interface Breaker {
  /** How many of `free` slots may be offered now. */
  allow(free: number): number;
  /** How long the worker still takes nothing, and why. Null while it takes work. */
  paused(): Paused | null;
  /** Notes a failure before user code. */
  failed(why: string): void;
  /** Notes that user code ran. */
  succeeded(): void;
}

/** Makes a closed breaker. `wakeAfter` is called at the beginning of a pause, with its length. */
export function createBreaker(
  deps: { clock: Clock; log: Logger; wakeAfter: (ms: number) => void },
  failuresMax: number,
): Breaker {
  let failures = 0;
  let pauses = 0;
  let openUntilMs = 0;
  let lastReason = "";
  return {
    allow(free) {
      if (pauses === 0) return free;
      return deps.clock.nowMs() < openUntilMs ? 0 : Math.min(free, 1);
    },
    paused() {
      const forMs = Math.ceil(openUntilMs - deps.clock.nowMs());
      return pauses > 0 && forMs > 0 ? { forMs, reason: lastReason } : null;
    },
    failed(why) {
      failures += 1;
      lastReason = why.slice(0, LIMITS.messageChars);
      if (failures < failuresMax && pauses === 0) return;
      const pauseMs = doubledMs(pauses, PAUSES);
      pauses += 1;
      openUntilMs = deps.clock.nowMs() + pauseMs;
      deps.log.error(
        { failures, pauseMs, why },
        "several attempts failed before their code ran; this worker pauses",
      );
      deps.wakeAfter(pauseMs);
    },
    succeeded() {
      if (pauses > 0) deps.log.info("an attempt has started; this worker takes work again");
      failures = 0;
      pauses = 0;
    },
  };
}
