import { Logger, makeWorkerUtils, type RunnerOptions, run, runMigrations } from "graphile-worker";

/** What jobs of the peer call when their task function begins. */
export type OnStart = () => void;

const logger = new Logger(() => () => {});

/** graphile-worker on its own database of the same server. */
export interface Peer extends AsyncDisposable {
  /** Adds one job through its own API. */
  add(): Promise<void>;
  /** Adds many at once, as fast as it can. */
  addMany(count: number): Promise<void>;
  /** Starts one runner; the default configuration unless `options` says otherwise. */
  start(onStart: OnStart, options?: Partial<RunnerOptions>): Promise<AsyncDisposable & { ended(): number }>;
}

/** How many jobs one insert adds. */
const ADD_BATCH = 1_000;

/** Opens the peer: its schema, and a connection to add jobs with. */
export async function openPeer(connectionString: string): Promise<Peer> {
  await runMigrations({ connectionString, logger });
  const utils = await makeWorkerUtils({ connectionString, logger });
  return {
    async add() {
      await utils.addJob("task", {});
    },
    async addMany(count) {
      for (let from = 0; from < count; from += ADD_BATCH) {
        const jobs = Array.from({ length: Math.min(ADD_BATCH, count - from) }, () => ({
          identifier: "task",
          payload: {},
        }));
        await utils.addJobs(jobs);
      }
    },
    async start(onStart, options = {}) {
      let ended = 0;
      const runner = await run({
        connectionString,
        logger,
        noHandleSignals: true,
        crontab: "",
        taskList: { task: async () => onStart() },
        ...options,
      });
      runner.events.on("job:complete", () => {
        ended += 1;
      });
      return {
        ended: () => ended,
        [Symbol.asyncDispose]: async () => {
          await runner.stop();
        },
      };
    },
    async [Symbol.asyncDispose]() {
      await utils.release();
    },
  };
}
