import { readFileSync } from "node:fs";
import { join } from "node:path";
import { childrenOf } from "../processes.ts";
import type { Scene } from "../scene.ts";
import { allAtOnce, allCompleted, type Case } from "./case.ts";

const PLACES = ["admit", "claim", "start", "report", "acknowledge", "end"] as const;

/**
 * Kills one server process of the database. Postgres then ends all of them and recovers: every connection breaks, and a commit that
 * did not wait for the disk may be lost.
 */
async function killBackend(scene: Scene): Promise<void> {
  const [row] = await scene.sql<{ pid: number }[]>`
    select pid from pg_stat_activity
    where backend_type = 'client backend' and pid <> pg_backend_pid() order by xact_start nulls last limit 1`;
  if (row === undefined) throw new Error("The database has no backend to kill.");
  scene.databaseCrashed = true;
  process.kill(row.pid, "SIGKILL");
}

/**
 * Kills the postmaster and all its children at once: data in shared memory that was not yet in a file is lost, and no client
 * gets a message. The control plane ends with its database, and both come back.
 */
async function killDatabase(scene: Scene): Promise<void> {
  const [row] = await scene.sql<{ dir: string }[]>`select current_setting('data_directory') as dir`;
  const pid = Number(readFileSync(join(row?.dir ?? "", "postmaster.pid"), "utf8").split("\n")[0]);
  scene.databaseKilled = true;
  scene.databaseCrashed = true;
  // The postmaster is stopped first, so that it starts no process between the list and the kills.
  process.kill(pid, "SIGSTOP");
  for (const child of childrenOf(pid)) process.kill(child, "SIGKILL");
  process.kill(pid, "SIGKILL");
}

/** Waits until a control plane whose database died has ended and is running again. */
async function untilBack(scene: Scene, deathsBefore: number): Promise<void> {
  await scene.wait("the control plane's return", () => scene.controlDeaths > deathsBefore);
  await scene.forgetDatabase();
}

/** A part of the database dies while runs are under way. */
const backendKilled: Case = {
  name: "database-backend-kill",
  embedded: true,
  async act(scene) {
    await scene.worker();
    await scene.create("once", 3, { steps: 10 });
    await scene.begun(2);
    await killBackend(scene);
  },
  expect: allAtOnce,
};

const databaseKilled: Case = {
  name: "database-kill",
  embedded: true,
  async act(scene) {
    await scene.worker();
    await scene.create("once", 3, { steps: 10 });
    await scene.begun(2);
    await killDatabase(scene);
    await untilBack(scene, 0);
  },
  expect: allAtOnce,
};

type Place = (typeof PLACES)[number];

/** A fault strikes while the control plane is stopped at a failpoint. The control plane then continues. */
function struckAt(place: Place, args: { name: string; strike: (scene: Scene) => Promise<void> }): Case {
  return {
    name: `${args.name}@${place}`,
    embedded: true,
    controlEnv: ({ nth }) => ({ TOWPATH_FAILPOINTS: `${place}:pause:${nth(2)}` }),
    async act(scene) {
      const armed = scene.control;
      // Fewer worker slots than runs, so that there is a second claim.
      await scene.worker({ settings: { capacity: 2 } });
      const created = scene.create("once", 4, { steps: 6 });
      await scene.untilStill(armed);
      await args.strike(scene);
      armed.kill("SIGCONT");
      if (scene.databaseKilled) await untilBack(scene, 0);
      await created;
    },
    expect: allAtOnce,
  };
}

/**
 * A server process of the database dies while the control plane is stopped at a failpoint, usually inside a transaction. Uncommitted
 * writes are lost, and all clients repeat their requests.
 */
const backendKilledAt = (place: Place) =>
  struckAt(place, { name: "database-backend-kill", strike: killBackend });

/**
 * The whole database dies while the control plane is stopped at a failpoint. Commits that did not wait for the disk may be lost too,
 * for example a claim that was already answered. Even so, no two workers ever have the same valid fence.
 */
const databaseKilledAt = (place: Place) => struckAt(place, { name: "database-kill", strike: killDatabase });

/** The database dies while the control plane declares attempts lost: each is lost once, and another worker finishes the run. */
const databaseKilledAtLose: Case = {
  name: "database-kill@lose",
  embedded: true,
  controlEnv: () => ({ TOWPATH_FAILPOINTS: "lose:pause:1" }),
  async act(scene) {
    const armed = scene.control;
    const first = await scene.worker({ name: "paused" });
    await scene.create("going", 2, { steps: 20 });
    await scene.begun(2);
    scene.paused = true;
    first.current().kill("SIGSTOP");
    await scene.worker({ name: "other" });
    await scene.untilStill(armed);
    await killDatabase(scene);
    armed.kill("SIGCONT");
    await untilBack(scene, 0);
    await scene.settle();
    first.current().kill("SIGCONT");
  },
  expect: allCompleted,
};

/** Cases in which the database dies, in part or as a whole. */
export const DATABASE_CASES: readonly Case[] = [
  backendKilled,
  ...PLACES.map(backendKilledAt),
  databaseKilled,
  ...PLACES.map(databaseKilledAt),
  databaseKilledAtLose,
];
