import type { Logger } from "pino";
import type { AheadVersion } from "./loaded-runner.ts";
import { LoadedRunners } from "./loaded-runners.ts";
import { type RunnerDeps, type RunnerNeeds, type RunnerProcess, spawnRunner } from "./runner-process.ts";
import { NODE, type RunnerProgram } from "./runner-program.ts";

/**
 * How long after a runner was taken the next one is started, milliseconds. Started at once, it would compete for
 * a core with the attempt.
 */
const REFILL_AFTER_MS = 100;

/** A runner that was taken, whether it had been waiting, and whether it has the code of its attempt. */
export interface TakenRunner {
  readonly runner: RunnerProcess;
  readonly launcher: "warm" | "cold";
  readonly hasCode: boolean;
}

/** How many processes wait. */
export interface RunnerPoolSize {
  /** For any attempt. */
  readonly warm: number;
  /** With the code of a deployment: for how many deployments at most. */
  readonly loadAhead: number;
}

/** Keeps runners warm. Each serves one attempt and is not used again. */
export interface RunnerPool {
  /** A runner that has loaded this version's code, if one waits. */
  takeLoaded(version: AheadVersion): TakenRunner | null;
  /**
   * A warm runner, or a new one when none is ready. Only runners of Node wait.
   * @param needs With the user or the room of an attempt, the runner is new.
   * @throws LaunchError; NoUserFree
   */
  take(program: RunnerProgram, needs?: RunnerNeeds): Promise<TakenRunner>;
  /** An attempt of this version has started, so another may come soon. */
  expect(version: AheadVersion): void;
  /** Ends the runners whose code or environment lies in a folder which was changed. */
  distrust(dir: string): void;
  /** Ends those that wait, and keeps none from now on. */
  close(): Promise<void>;
}

/** Makes the pool and begins to warm runners. */
export function createRunnerPool(
  deps: RunnerDeps & { log: Logger },
  { warm, loadAhead }: RunnerPoolSize,
): RunnerPool {
  const loaded = new LoadedRunners(deps, { most: loadAhead, afterMs: REFILL_AFTER_MS });
  const idle: RunnerProcess[] = [];
  const warming = new Set<Promise<void>>();
  let closed = false;
  let refilling: NodeJS.Timeout | undefined;

  async function warmOne(): Promise<void> {
    try {
      const runner = await spawnRunner(deps, NODE);
      void runner.exited.then(() => {
        const place = idle.indexOf(runner);
        if (place !== -1) idle.splice(place, 1);
      });
      await runner.ready;
      if (closed) return await runner.discard();
      idle.push(runner);
      deps.log.debug({ warm: idle.length }, "a runner is warm");
    } catch (error) {
      // The next attempt will try again, and say what is wrong.
      deps.log.warn({ error: error instanceof Error ? error.message : String(error) }, "no warm runner");
    }
  }

  function refill(): void {
    for (let missing = warm - idle.length - warming.size; missing > 0 && !closed; missing--) {
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
    expect: (version) => loaded.expect(version),
    distrust: (dir) => loaded.distrust(dir),
    takeLoaded(version) {
      const runner = loaded.take(version);
      return runner && { runner, launcher: "warm", hasCode: true };
    },
    async take(program, needs = {}) {
      const isBound = (needs.user ?? null) !== null || needs.room !== undefined;
      if (program.kind !== "node" || isBound)
        return { runner: await spawnRunner(deps, program, needs), launcher: "cold", hasCode: false };
      const waiting = idle.shift();
      try {
        return waiting
          ? { runner: waiting, launcher: "warm", hasCode: false }
          : { runner: await spawnRunner(deps, NODE, needs), launcher: "cold", hasCode: false };
      } finally {
        refillSoon();
      }
    },
    async close() {
      closed = true;
      clearTimeout(refilling);
      await Promise.all([...warming, loaded.close()]);
      await Promise.all(idle.splice(0).map((runner) => runner.discard()));
    },
  };
}
