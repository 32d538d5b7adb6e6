import type { Logger } from "pino";
import { type RunnerDeps, type RunnerProcess, spawnRunner } from "./runner-process.ts";

/**
 * How long after a runner was taken the next one is begun, milliseconds. Starting a process takes a core for about 100 ms: begun at
 * once, it competes with the very start that it is to make faster next time.
 */
const REFILL_AFTER_MS = 100;

/** A runner that was taken, and whether it had been waiting. */
export interface TakenRunner {
  readonly runner: RunnerProcess;
  readonly launcher: "warm" | "cold";
}

/** Keeps runners warm. Each serves one attempt and is not put back. */
export interface RunnerPool {
  /** Whether the next one taken will be warm. */
  readonly launcher: "warm" | "cold";
  /** A warm runner, or a new one when none is ready. @throws LaunchError */
  take(): Promise<TakenRunner>;
  /** Ends those that wait. */
  close(): Promise<void>;
}

/** Makes the pool and begins to warm `size` runners. */
export function createRunnerPool(deps: RunnerDeps & { log: Logger }, size: number): RunnerPool {
  const idle: RunnerProcess[] = [];
  const warming = new Set<Promise<void>>();
  let closed = false;
  let refilling: NodeJS.Timeout | undefined;

  async function warmOne(): Promise<void> {
    try {
      const runner = await spawnRunner(deps);
      void runner.exited.then(() => {
        const place = idle.indexOf(runner);
        if (place !== -1) idle.splice(place, 1);
      });
      await runner.ready;
      if (closed) await runner.discard();
      else idle.push(runner);
    } catch (error) {
      // Taking one will try again, and then the attempt says what is wrong.
      deps.log.warn({ error: error instanceof Error ? error.message : String(error) }, "no warm runner");
    }
  }

  function refill(): void {
    for (let missing = size - idle.length - warming.size; missing > 0 && !closed; missing--) {
      const one = warmOne().finally(() => warming.delete(one));
      warming.add(one);
    }
  }

  function refillSoon(): void {
    refilling ??= setTimeout(() => {
      refilling = undefined;
      refill();
    }, REFILL_AFTER_MS);
  }

  refill();
  return {
    get launcher() {
      return idle.length > 0 ? "warm" : "cold";
    },
    async take() {
      const warm = idle.shift();
      try {
        return warm
          ? { runner: warm, launcher: "warm" }
          : { runner: await spawnRunner(deps), launcher: "cold" };
      } finally {
        refillSoon();
      }
    },
    async close() {
      closed = true;
      clearTimeout(refilling);
      await Promise.all(warming);
      await Promise.all(idle.splice(0).map((runner) => runner.discard()));
    },
  };
}
