import { sql } from "#sql";
import { type Deps, manualClock, type Scope } from "../kernel/index.ts";
import { logsPeriodicJobs } from "../logs/index.ts";
import { runsPeriodicJobs } from "../runs/index.ts";
import { catalogOf, WORKERS } from "./catalog.ts";
import { DemoWorker } from "./demo-worker.ts";
import { makeFailing } from "./failing.ts";
import type { DemoFlow } from "./flow.ts";
import type { DemoContext } from "./history.ts";
import { makeLongLog, makeWideRun } from "./large.ts";
import { makeLive } from "./live.ts";
import { makeNotifiers } from "./notifiers.ts";
import { makeBackfills, makePast } from "./past.ts";
import { type DemoTarget, deployFlow, makePools } from "./target.ts";

const DAY_MS = 24 * 3_600_000;
/** The flow with the backfills. */
const BACKFILLED = "score-customers";

/** The result of seeding, with runs to look at first. */
export interface Seeded {
  readonly runs: number;
  readonly wideRun: string;
  readonly longLog: string;
  /** The connected workers. */
  readonly demoWorkers: readonly DemoWorker[];
}

/** Called with a sentence after each step. */
type OnProgress = (text: string) => void;

async function openDemoWorkers(target: DemoTarget, key: Scope): Promise<DemoWorker[]> {
  const demoWorkers: DemoWorker[] = [];
  for (const demoWorker of WORKERS)
    demoWorkers.push(await DemoWorker.open(target.deps, { key, nowMs: target.nowMs, demoWorker }));
  return demoWorkers;
}

const poolOf = (demoWorker: DemoWorker) => WORKERS.find(({ name }) => name === demoWorker.name)?.pool ?? "";

const PARTITION_JOBS = [...runsPeriodicJobs, ...logsPeriodicJobs].filter(({ name }) =>
  name.endsWith("-partitions"),
);

/** Creates the partitions for the months of these clocks. */
async function makePartitions(deps: Deps, clocks: readonly Deps["clock"][]): Promise<void> {
  for (const clock of clocks) for (const job of PARTITION_JOBS) await job.runOnce({ ...deps, clock });
}

/**
 * Fills a workspace with months of history and with open runs. The same seed gives the same content, except for some internal
 * ids. Pools, limits, deployments and open runs are created by the ordinary verbs. Ended runs are written into the tables
 * directly, since no verb creates a past. The workspace must have none of the demo's deployments.
 */
export async function seedDemo(target: DemoTarget, onProgress: OnProgress): Promise<Seeded> {
  const { deps, nowMs, extent } = target;
  const flows = catalogOf(extent);
  const months = Array.from({ length: Math.ceil(extent.days / 28) + 1 }, (_, index) =>
    manualClock(nowMs - index * 28 * DAY_MS),
  );
  await makePartitions(deps, months);
  const demoWorkers = await openDemoWorkers(target, await makePools(target));
  onProgress(`${demoWorkers.length} workers in ${new Set(WORKERS.map(({ pool }) => pool)).size} pools`);
  const contexts = new Map<string, DemoContext>();
  for (const flow of flows) {
    const able = demoWorkers.filter((demoWorker) => poolOf(demoWorker) === flow.pool);
    const workers = able.map(({ worker, name }) => ({ id: worker.workerId, name }));
    contexts.set(flow.name, { ...(await deployFlow(target, flow)), nowMs, workers });
  }
  onProgress(`${flows.length} deployments`);
  let runs = 0;
  for (const flow of flows) {
    const context = contexts.get(flow.name);
    if (context === undefined) continue;
    const made = await makePast(target, { flow, context });
    runs += made + (flow.name === BACKFILLED ? await makeBackfills(target, { flow, context }) : 0);
    onProgress(`${flow.name}: ${made.toLocaleString("en")} runs`);
  }
  return finish(target, { flows, contexts, demoWorkers, runs, onProgress });
}

async function finish(
  target: DemoTarget,
  args: {
    flows: readonly DemoFlow[];
    contexts: ReadonlyMap<string, DemoContext>;
    demoWorkers: readonly DemoWorker[];
    runs: number;
    onProgress: OnProgress;
  },
): Promise<Seeded> {
  const contextOf = (name: string): DemoContext => {
    const context = args.contexts.get(name);
    if (context === undefined) throw new RangeError(`the demo has no flow ${name}`);
    return context;
  };
  const wideRun = await makeWideRun(target, contextOf("index-catalogue"));
  args.onProgress(`a run of ${target.extent.mappedTasks.toLocaleString("en")} tasks`);
  const longLog = await makeLongLog(target, contextOf("replay-clickstream"));
  args.onProgress(`a log of ${target.extent.logLines.toLocaleString("en")} lines`);
  await target.deps.database.db.execute(sql`analyze run_history, attempt_history, task_run_history, run_key`);
  const demoWorkers = args.demoWorkers.filter((demoWorker) => demoWorker.isConnected);
  await makeFailing(target, { flows: args.flows, demoWorkers, poolOf });
  await makeLive(target, { flows: args.flows, demoWorkers, poolOf });
  for (const demoWorker of demoWorkers) await demoWorker.pollIdle();
  args.onProgress("running, waiting and suspended runs");
  await makeNotifiers(target);
  args.onProgress("notifiers and their deliveries");
  return { runs: args.runs + 2, wideRun, longLog, demoWorkers };
}
