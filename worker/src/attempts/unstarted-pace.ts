import { LIMITS } from "@towpath/contract";
import type { Logger } from "pino";
import type { Clock } from "../host/index.ts";

/** How many assignments a second may end without a run, and so many at once. */
export const UNSTARTED_PACE = { perSecond: 100, burst: LIMITS.attempts } as const;
/** How long the worker takes nothing once there were more, milliseconds. */
const PAUSE_MS = 1_000;

/**
 * Limits how fast assignments are taken that the worker then refuses or gives back. An honest control plane stays far below. A hostile one
 * names other deployments each time, and must not keep the worker busy.
 */
export class UnstartedPace {
  readonly #deps: {
    readonly clock: Clock;
    readonly log: Pick<Logger, "error">;
    readonly wakeAfter: (ms: number) => void;
  };
  #left: number = UNSTARTED_PACE.burst;
  #countedAtMs: number;
  #closedUntilMs = 0;

  /** @param deps.wakeAfter Called at the beginning of a pause, with its length. */
  constructor(deps: {
    readonly clock: Clock;
    readonly log: Pick<Logger, "error">;
    readonly wakeAfter: (ms: number) => void;
  }) {
    this.#deps = deps;
    this.#countedAtMs = deps.clock.nowMs();
  }

  /** Whether assignments may be taken now. */
  get isOpen(): boolean {
    return this.#deps.clock.nowMs() >= this.#closedUntilMs;
  }

  /** Notes an assignment that ended without a run. */
  ended(): void {
    const nowMs = this.#deps.clock.nowMs();
    const back = ((nowMs - this.#countedAtMs) / 1_000) * UNSTARTED_PACE.perSecond;
    this.#left = Math.min(UNSTARTED_PACE.burst, this.#left + back) - 1;
    this.#countedAtMs = nowMs;
    if (this.#left > 0 || nowMs < this.#closedUntilMs) return;
    this.#closedUntilMs = nowMs + PAUSE_MS;
    this.#deps.log.error(
      { pauseMs: PAUSE_MS, perSecond: UNSTARTED_PACE.perSecond },
      "the control plane assigned too many attempts that this worker did not run; it takes nothing for a moment",
    );
    this.#deps.wakeAfter(PAUSE_MS);
  }
}
