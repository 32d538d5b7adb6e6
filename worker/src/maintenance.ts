import { fileURLToPath } from "node:url";
import type { Logger } from "pino";
import type { Attempts, StatePaths } from "./attempts/index.ts";
import { type CodeCache, pruneCodeCache } from "./code/index.ts";
import type { WorkerConfig } from "./config.ts";
import type { Clock, Sleep } from "./host/index.ts";
import { type Reserve, retainJournals } from "./journal/index.ts";
import { retainResults } from "./store/retain-results.ts";

/** The interval of the maintenance, milliseconds. */
const EVERY_MS = 60_000;

/** What the maintenance needs. */
export interface Maintained {
  readonly config: Pick<WorkerConfig, "retainJournalsMs" | "retainResultsMs" | "store" | "stores">;
  readonly paths: StatePaths;
  readonly attempts: Attempts;
  readonly reserve: Reserve;
  readonly cache: CodeCache;
}

/**
 * Removes old journals, unused code and, where that is configured, old results, and takes the reserved disk
 * space back. Repeats this until stopped.
 */
export function startMaintenance(
  deps: { log: Logger; clock: Clock; sleep: Sleep },
  maintained: Maintained,
): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const running = (async () => {
    while (!stopping.signal.aborted) {
      // The wait is cut short when the worker stops.
      await deps.sleep(EVERY_MS, stopping.signal).catch(() => {});
      if (stopping.signal.aborted) return;
      await tidy(deps, maintained).catch((error: unknown) => {
        deps.log.warn({ error: String(error) }, "maintenance failed; it will be tried again");
      });
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

async function tidy(deps: { clock: Clock }, args: Maintained): Promise<void> {
  await args.reserve.restore();
  await retainJournals(deps, {
    root: args.paths.journals,
    keep: args.attempts.names(),
    policy: { maxAgeMs: args.config.retainJournalsMs },
  });
  await pruneCodeCache(args.cache);
  await retainOldResults(deps, args.config);
}

async function retainOldResults(deps: { clock: Clock }, config: Maintained["config"]): Promise<void> {
  const { retainResultsMs: maxAgeMs, store, stores } = config;
  if (maxAgeMs === undefined) return;
  for (const one of [store, ...Object.values(stores)])
    if (one.s3 === null) await retainResults(deps, { root: fileURLToPath(one.root), maxAgeMs });
}
