import { setTimeout as pause } from "node:timers/promises";
import type { TestProcess } from "../../harness/process.ts";
import type { LedgerLine } from "../ledger.ts";
import { type Scene, TIMES } from "../scene.ts";
import { allAtOnce, allCompleted, type Case } from "./case.ts";

const RUNS = 5;

/** How often a failpoint is passed at most before it strikes. This many runs are sure to pass it as often. */
const CONTROL_PLACES = { admit: 5, claim: 2, start: 2, report: 6, acknowledge: 6, end: 2 } as const;
const WORKER_PLACES = {
  claim: 2,
  start: 4,
  launch: 4,
  journal: 8,
  report: 6,
  acknowledge: 6,
  end: 4,
} as const;

/** The same for a worker that is paused, early enough that it still has attempts. */
const PAUSED_WORKER_PLACES = { claim: 1, start: 2, launch: 2, journal: 5, acknowledge: 8, end: 1 } as const;
const PAUSED_CONTROL_PLACES = ["admit", "claim", "start", "report", "acknowledge", "end"] as const;

function struck(output: string, what: string): void {
  if (!output.includes("failpoint ")) throw new Error(`The failpoint ${what} was never passed.`);
}

/** Fewer worker slots than runs, so that there is more than one claim. */
const CAPACITY = { capacity: 2 };

/** Two deployments, one for each policy, and a third run that is cancelled before or after its start. */
async function traffic(scene: Scene): Promise<void> {
  const [victim] = await scene.create("stopping", 1, { steps: 60 });
  await scene.create("going", RUNS - 2);
  await scene.create("stopping", 1);
  if (victim === undefined) return;
  const started = (lines: readonly LedgerLine[]) => lines.some(({ run }) => run === victim.id);
  if (scene.random.chance(0.7)) await scene.until("the start of a run to cancel", started);
  await scene.cancel(victim);
}

function controlCase(place: keyof typeof CONTROL_PLACES, action: "kill" | "drop"): Case {
  return {
    name: `control-${action}@${place}`,
    controlEnv: ({ nth }) => ({ TOWPATH_FAILPOINTS: `${place}:${action}:${nth(CONTROL_PLACES[place])}` }),
    async act(scene) {
      const armed = scene.control;
      await scene.worker({ settings: CAPACITY });
      await traffic(scene);
      await scene.settle();
      struck(armed.output(), place);
    },
    expect: allCompleted,
  };
}

function workerCase(place: keyof typeof WORKER_PLACES, action: "kill" | "drop"): Case {
  return {
    name: `worker-${action}@${place}`,
    async act(scene) {
      const nth = scene.random.whole(1, WORKER_PLACES[place]);
      const env = { TOWPATH_FAILPOINTS: `${place}:${action}:${nth}` };
      const keeper = await scene.worker({ env, settings: CAPACITY });
      const armed = keeper.current();
      await traffic(scene);
      await scene.settle();
      struck(armed.output(), place);
    },
    expect: allCompleted,
  };
}

/** What happens to the control plane while it declares an attempt lost. */
const LOSING: Readonly<Record<"kill" | "drop" | "pause", (armed: TestProcess) => Promise<void>>> = {
  kill: async () => {},
  drop: async () => {},
  pause: async (armed) => {
    await pause(TIMES.leaseMs * 1.5);
    armed.kill("SIGCONT");
  },
};

/** A worker is gone for good and another one finishes. The fault hits the control plane while it declares the attempts lost. */
function losing(action: keyof typeof LOSING): Case {
  return {
    name: `control-${action}@lose`,
    controlEnv: () => ({ TOWPATH_FAILPOINTS: `lose:${action}:1` }),
    async act(scene) {
      const armed = scene.control;
      const first = await scene.worker({ name: "paused" });
      await scene.create("going", 2, { steps: 20 });
      await scene.begun(2);
      scene.paused = true;
      first.current().kill("SIGSTOP");
      await scene.worker({ name: "other" });
      await armed.waitFor(/failpoint lose/);
      await LOSING[action](armed);
      await scene.settle();
      first.current().kill("SIGCONT");
    },
    expect: allCompleted,
  };
}

/** A worker is paused until its attempts are lost, then continues. */
function pausedWorker(deployment: "going" | "stopping"): Case {
  return {
    name: `worker-pause-${deployment}`,
    async act(scene) {
      scene.paused = true;
      const nth = scene.random.whole(3, 8);
      const keeper = await scene.worker({ env: { TOWPATH_FAILPOINTS: `report:pause:${nth}` } });
      const armed = keeper.current();
      await scene.create(deployment, 3, { steps: 12 });
      await scene.untilStill(armed);
      await scene.worker({ name: "other" });
      await untilGivenAway(scene);
      armed.kill("SIGCONT");
    },
    expect: allCompleted,
  };
}

/** Longer than the lease and the time to be lost: the control plane has declared the attempt lost, or given an unconfirmed one to another worker. */
async function untilGivenAway(scene: Scene): Promise<void> {
  await scene.wait("an attempt given away", async () => {
    const [row] = await scene.sql<{ gone: number }[]>`
      select count(*)::int as gone from attempt where state = 'crashed' or epoch > 1`;
    return (row?.gone ?? 0) > 0;
  });
}

/** A worker is paused at a failpoint until another worker has its attempts. */
function pausedWorkerAt(place: keyof typeof PAUSED_WORKER_PLACES): Case {
  return {
    name: `worker-pause@${place}`,
    async act(scene) {
      scene.paused = true;
      const nth = scene.random.whole(1, PAUSED_WORKER_PLACES[place]);
      const env = { TOWPATH_FAILPOINTS: `${place}:pause:${nth}` };
      const armed = (await scene.worker({ env, settings: CAPACITY })).current();
      await scene.create("going", 3, { steps: 12 });
      await scene.untilStill(armed);
      await scene.worker({ name: "other" });
      await untilGivenAway(scene);
      armed.kill("SIGCONT");
    },
    expect: allCompleted,
  };
}

/** The control plane is paused at a failpoint for longer than a lease, and no attempt is lost for it. */
function pausedControlAt(place: (typeof PAUSED_CONTROL_PLACES)[number]): Case {
  return {
    name: `control-pause@${place}`,
    controlEnv: ({ nth }) => ({ TOWPATH_FAILPOINTS: `${place}:pause:${nth(2)}` }),
    async act(scene) {
      const armed = scene.control;
      await scene.worker({ settings: CAPACITY });
      const created = scene.create("once", 4, { steps: 8 });
      await scene.untilStill(armed);
      await pause(TIMES.leaseMs * 1.5);
      armed.kill("SIGCONT");
      await created;
    },
    expect: allAtOnce,
  };
}

/** The worker dies between recording the runner and handing it the task. No user code ran, so even a deployment without retries completes. */
const killedBeforeHandOver: Case = {
  name: "worker-kill@launch-once",
  async act(scene) {
    const env = { TOWPATH_FAILPOINTS: `launch:kill:${scene.random.whole(1, 3)}` };
    const armed = (await scene.worker({ env })).current();
    await scene.create("once", 3);
    await scene.settle();
    struck(armed.output(), "launch");
  },
  expect: allAtOnce,
};

function keysOf<Key extends string>(table: Readonly<Record<Key, unknown>>): Key[] {
  return Object.keys(table) as Key[];
}

const controlPlaces = keysOf(CONTROL_PLACES);

/** Cases with a kill, a pause or a lost answer at every failpoint. */
export const FAILPOINT_CASES: readonly Case[] = [
  ...controlPlaces.map((place) => controlCase(place, "kill")),
  ...controlPlaces.map((place) => controlCase(place, "drop")),
  ...PAUSED_CONTROL_PLACES.map(pausedControlAt),
  ...keysOf(LOSING).map(losing),
  ...keysOf(WORKER_PLACES).map((place) => workerCase(place, "kill")),
  killedBeforeHandOver,
  // A start and a launch have no answer that could be lost.
  ...(["claim", "journal", "report", "acknowledge", "end"] as const).map((place) =>
    workerCase(place, "drop"),
  ),
  ...keysOf(PAUSED_WORKER_PLACES).map(pausedWorkerAt),
  pausedWorker("going"),
  pausedWorker("stopping"),
];
