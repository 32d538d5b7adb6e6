import { setTimeout as pause } from "node:timers/promises";
import type { LedgerLine } from "../ledger.ts";
import { type Scene, TIMES } from "../scene.ts";
import { allAtOnce, allCompleted, type Case } from "./case.ts";

const RUNS = 5;

/** How often a place is passed at most before it strikes: within what this many runs bring about for sure. */
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

function struck(output: string, what: string): void {
  if (!output.includes("failpoint ")) throw new Error(`The failpoint ${what} was never passed.`);
}

/** Fewer places than runs, so that there is more than one claim. */
const CAPACITY = { capacity: 2 };

/** Two deployments, so that both policies are there, and one that is cancelled, before its start or after. */
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

/** The control plane dies while it declares an attempt lost: the worker is gone for good, another one finishes. */
const killedWhileLosing: Case = {
  name: "control-kill@lose",
  controlEnv: () => ({ TOWPATH_FAILPOINTS: "lose:kill:1" }),
  async act(scene) {
    const armed = scene.control;
    const first = await scene.worker({ name: "paused" });
    await scene.create("going", 2, { steps: 20 });
    await scene.begun(2);
    scene.paused = true;
    first.current().kill("SIGSTOP");
    await scene.worker({ name: "other" });
    await scene.settle();
    struck(armed.output(), "lose");
    first.current().kill("SIGCONT");
  },
  expect: allCompleted,
};

/** A worker stands still for longer than its attempts are waited for, then goes on as if nothing had been. */
function pausedWorker(deployment: "going" | "stopping"): Case {
  return {
    name: `worker-pause-${deployment}`,
    async act(scene) {
      scene.paused = true;
      const nth = scene.random.whole(3, 8);
      const keeper = await scene.worker({ env: { TOWPATH_FAILPOINTS: `report:pause:${nth}` } });
      const armed = keeper.current();
      await scene.create(deployment, 3, { steps: 12 });
      await armed.waitFor(/failpoint report:pause/);
      await scene.worker({ name: "other" });
      // Past the lease and past lost: the control plane has given the attempts away by then.
      await scene.wait("a lost attempt", async () => {
        const [row] = await scene.sql<{ lost: number }[]>`
          select count(*)::int as lost from attempt where state = 'crashed'`;
        return (row?.lost ?? 0) > 0;
      });
      armed.kill("SIGCONT");
    },
    expect: allCompleted,
  };
}

/** The control plane stands still for longer than a lease, and nobody is lost for it. */
const pausedControl: Case = {
  name: "control-pause@report",
  controlEnv: ({ nth }) => ({ TOWPATH_FAILPOINTS: `report:pause:${nth(8)}` }),
  async act(scene) {
    const armed = scene.control;
    await scene.worker();
    void scene.create("once", 3, { steps: 10 }).catch(() => {});
    await armed.waitFor(/failpoint report:pause/);
    await pause(TIMES.leaseMs * 1.5);
    armed.kill("SIGCONT");
    await scene.wait("the runs", () => scene.runs.length === 3);
  },
  expect: allAtOnce,
};

const controlPlaces = Object.keys(CONTROL_PLACES) as (keyof typeof CONTROL_PLACES)[];
const workerPlaces = Object.keys(WORKER_PLACES) as (keyof typeof WORKER_PLACES)[];

/** A kill, a pause or a lost answer at every named place. */
export const FAILPOINT_CASES: readonly Case[] = [
  ...controlPlaces.map((place) => controlCase(place, "kill")),
  killedWhileLosing,
  ...(["claim", "acknowledge", "report", "end"] as const).map((place) => controlCase(place, "drop")),
  pausedControl,
  ...workerPlaces.map((place) => workerCase(place, "kill")),
  ...(["claim", "acknowledge", "journal"] as const).map((place) => workerCase(place, "drop")),
  pausedWorker("going"),
  pausedWorker("stopping"),
];
