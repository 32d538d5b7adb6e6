import { sql } from "#sql";
import { type Deps, manualClock, type Scope } from "../kernel/index.ts";
import { logsPeriodicJobs } from "../logs/index.ts";
import { runsPeriodicJobs } from "../runs/index.ts";
import { catalogOf, WORKERS } from "./catalog.ts";
import { Hand } from "./crew.ts";
import { makeFailing } from "./failing.ts";
import type { DemoFlow } from "./flow.ts";
import { deployFlow, type Ground, makePlaces } from "./ground.ts";
import type { DemoContext } from "./history.ts";
import { makeLongLog, makeWideRun } from "./large.ts";
import { makeLive } from "./live.ts";
import { makeNotifiers } from "./notifiers.ts";
import { makeBackfills, makePast } from "./past.ts";

const DAY_MS = 24 * 3_600_000;
/** The flow that is filled back. */
const FILLED_BACK = "score-customers";

/** What was made, for people to begin at. */
export interface Seeded {
  readonly runs: number;
  readonly wideRun: string;
  readonly longLog: string;
  /** Who serves the pools. */
  readonly hands: readonly Hand[];
}

/** What is told while it goes on. */
type Tell = (what: string) => void;

async function openHands(ground: Ground, key: Scope): Promise<Hand[]> {
  const hands: Hand[] = [];
  for (const hand of WORKERS) hands.push(await Hand.open(ground.deps, { key, nowMs: ground.nowMs, hand }));
  return hands;
}

const poolOf = (hand: Hand) => WORKERS.find(({ name }) => name === hand.name)?.pool ?? "";

const PARTITION_JOBS = [...runsPeriodicJobs, ...logsPeriodicJobs].filter(({ name }) =>
  name.endsWith("-partitions"),
);

/** Makes the partitions for the months of these clocks. */
async function makePartitions(deps: Deps, clocks: readonly Deps["clock"][]): Promise<void> {
  for (const clock of clocks) for (const job of PARTITION_JOBS) await job.runOnce({ ...deps, clock });
}

/**
 * Fills a workspace with months of history and with runs that go on, the same for the same seed but for ids of what people
 * never name. Pools, limits, deployments and open runs come by the verbs that make real ones. The history of ended runs is
 * written into the tables directly, since no verb makes a past. The workspace must have none of the demo's deployments.
 */
export async function seedDemo(ground: Ground, tell: Tell): Promise<Seeded> {
  const { deps, nowMs, extent } = ground;
  const flows = catalogOf(extent);
  const months = Array.from({ length: Math.ceil(extent.days / 28) + 1 }, (_, index) =>
    manualClock(nowMs - index * 28 * DAY_MS),
  );
  await makePartitions(deps, months);
  const hands = await openHands(ground, await makePlaces(ground));
  tell(`${hands.length} workers in ${new Set(WORKERS.map(({ pool }) => pool)).size} pools`);
  const contexts = new Map<string, DemoContext>();
  for (const flow of flows) {
    const able = hands.filter((hand) => poolOf(hand) === flow.pool);
    const workers = able.map(({ worker, name }) => ({ id: worker.workerId, name }));
    contexts.set(flow.name, { ...(await deployFlow(ground, flow)), nowMs, workers });
  }
  tell(`${flows.length} deployments`);
  let runs = 0;
  for (const flow of flows) {
    const context = contexts.get(flow.name);
    if (context === undefined) continue;
    const made = await makePast(ground, { flow, context });
    runs += made + (flow.name === FILLED_BACK ? await makeBackfills(ground, { flow, context }) : 0);
    tell(`${flow.name}: ${made.toLocaleString("en")} runs`);
  }
  return finish(ground, { flows, contexts, hands, runs, tell });
}

async function finish(
  ground: Ground,
  args: {
    flows: readonly DemoFlow[];
    contexts: ReadonlyMap<string, DemoContext>;
    hands: readonly Hand[];
    runs: number;
    tell: Tell;
  },
): Promise<Seeded> {
  const contextOf = (name: string): DemoContext => {
    const context = args.contexts.get(name);
    if (context === undefined) throw new RangeError(`there is no flow ${name}`);
    return context;
  };
  const wideRun = await makeWideRun(ground, contextOf("index-catalogue"));
  args.tell(`a run of ${ground.extent.mappedTasks.toLocaleString("en")} tasks`);
  const longLog = await makeLongLog(ground, contextOf("replay-clickstream"));
  args.tell(`a log of ${ground.extent.logLines.toLocaleString("en")} lines`);
  await ground.deps.database.db.execute(sql`analyze run_history, attempt_history, task_run_history, run_key`);
  const hands = args.hands.filter((hand) => hand.isThere);
  await makeFailing(ground, { flows: args.flows, hands, poolOf });
  await makeLive(ground, { flows: args.flows, hands, poolOf });
  for (const hand of hands) await hand.greet();
  args.tell("runs that go on, wait and sleep");
  await makeNotifiers(ground);
  args.tell("notifiers and their deliveries");
  return { runs: args.runs + 2, wideRun, longLog, hands };
}
