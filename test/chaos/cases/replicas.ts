import { setTimeout as pause } from "node:timers/promises";
import { type Balancer, startBalancer } from "../balancer.ts";
import type { Scene } from "../scene.ts";
import { allAtOnce, type Case } from "./case.ts";
import { instantsDecided } from "./instants.ts";

const KILL_EVERY_MS = 10_000;
/** How many replicas are killed, one after the other: a minute of kills, or ten. */
const KILLS = { plain: 6, long: 60 } as const;
/** How many runs are open at once. */
const OPEN_MAX = 8;
const CREATE_EVERY_MS = 300;
const EVERY_MS = 2_000;

/** Creates runs until it is stopped, and cancels some of them. */
async function keepCreating(scene: Scene, args: { readonly over: boolean }): Promise<void> {
  while (!args.over) {
    const [row] = await scene.sql<
      { open: number }[]
    >`select count(*)::int as open from run where ended_at is null`;
    if ((row?.open ?? 0) < OPEN_MAX) {
      const [made] = await scene.create("once", 1, { steps: scene.random.whole(1, 6) });
      if (made !== undefined && scene.random.chance(0.1)) await scene.cancel(made);
    }
    await pause(CREATE_EVERY_MS);
  }
}

/** Kills one replica after the other. Each comes back. */
async function killOften(scene: Scene): Promise<void> {
  const replicas = [...scene.replicas.values()];
  for (let kills = 0; kills < (scene.long ? KILLS.long : KILLS.plain); kills++) {
    await pause(KILL_EVERY_MS);
    await replicas[kills % replicas.length]?.away(0);
  }
}

function neverUsed(balancer: Balancer): string[] {
  return balancer.given.flatMap((count, index) =>
    count === 0 ? [`replica ${index + 1} was never asked`] : [],
  );
}

/**
 * Three replicas behind one address, one of which is killed every ten seconds. Meanwhile runs are created and cancelled, a schedule is
 * due and workers poll. Clients see broken connections at most; every run completes in its first attempt.
 */
const replicasKilled: Case = {
  name: "control-replicas",
  loads: true,
  async act(scene) {
    const others = [await scene.startReplica("second"), await scene.startReplica("third")];
    const balancer = scene.use(await startBalancer([scene.stack.url, ...others]));
    await scene.speakThrough(balancer.url);
    const settings = { url: balancer.url };
    for (const name of ["left", "right"]) await scene.worker({ name, settings });
    const { client } = scene;
    const often = { params: { name: "timed", schedule: "often" } };
    await client.setSchedule({
      params: { name: "timed" },
      body: {
        name: "often",
        timing: { kind: "interval", everyMs: EVERY_MS },
        catchUp: "all",
        parameters: { ledger: scene.ledgerPath, steps: 2 },
      },
    });
    const load = { over: false };
    const creating = keepCreating(scene, load);
    await Promise.all([creating, killOften(scene).finally(() => (load.over = true))]);
    await scene.wait("a pause", () =>
      client.pauseSchedule(often).then(
        () => true,
        () => false,
      ),
    );
    const unused = neverUsed(balancer);
    if (unused.length > 0) throw new Error(unused.join());
  },
  expect: async (scene) => [...(await allAtOnce(scene)), ...(await instantsDecided(scene, EVERY_MS))],
};

/** Cases with several control planes on one database. */
export const REPLICA_CASES: readonly Case[] = [replicasKilled];
