import { type Fence, type Renewed, WakeUp } from "@towpath/contract";
import { askedPauseMs } from "./errors.ts";
import { createOutageLog, type Loop, type LoopDeps } from "./loop.ts";

/** A failed renewal is repeated after this part of the interval. */
const RETRY_PART = 0.2;
/** The interval before the first answer, and the shortest and longest that the server can ask for, milliseconds. */
const INTERVAL_MS = { first: 1_000, least: 100, most: 300_000 };

/** The leases to renew. */
export interface RenewSource {
  held(): Fence[];
  renewed(answer: Renewed, sentAtMs: number): void;
}

/**
 * Renews all leases in one call, at the interval that the server asks for, on a connection of its own. A nudge
 * renews at once.
 */
export function startRenewing(deps: LoopDeps, source: RenewSource): Loop {
  const stopping = new AbortController();
  const wakeUp = new WakeUp();

  async function run(): Promise<void> {
    const outage = createOutageLog(deps.log, "renew");
    // Before the first answer, this is how soon to look for leases.
    let intervalMs: number = INTERVAL_MS.first;
    let waitMs = 0;
    while (await wakeUp.wait(waitMs, stopping.signal, deps.sleep)) {
      waitMs = intervalMs;
      const held = source.held();
      if (held.length === 0) continue;
      try {
        const { answer, sentAtMs } = await deps.connection.call(
          "renew",
          { held },
          { signal: stopping.signal },
        );
        intervalMs = Math.min(INTERVAL_MS.most, Math.max(INTERVAL_MS.least, answer.intervalMs));
        waitMs = intervalMs;
        source.renewed(answer, sentAtMs);
        outage.succeeded();
      } catch (error) {
        outage.failed(error);
        const soonMs = intervalMs * RETRY_PART * (0.5 + deps.random());
        waitMs = Math.max(soonMs, Math.min(intervalMs, askedPauseMs(error)));
      }
    }
  }

  const running = run();
  return {
    nudge: () => wakeUp.wake(),
    async stop() {
      stopping.abort(new Error("the worker stops"));
      await running;
    },
  };
}
