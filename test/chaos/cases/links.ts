import { setTimeout as pause } from "node:timers/promises";
import type { StepsName } from "../flows.ts";
import { type Link, startProxy } from "../proxy.ts";
import { type Scene, TIMES } from "../scene.ts";
import { allAtOnce, allCompleted, type Case } from "./case.ts";

/** A worker behind a proxy, with two runs under way. */
async function workerBehind(
  scene: Scene,
  work: { deployment: "going" | "stopping" | "once"; steps: number },
) {
  const proxy = await startProxy({ target: scene.stack.url, random: scene.random });
  await scene.worker({ name: "far", settings: { url: proxy.url } });
  await scene.create(work.deployment, 3, { steps: work.steps });
  await scene.begun(3);
  return proxy;
}

async function untilLost(scene: Scene): Promise<void> {
  await scene.wait("a lost attempt", async () => {
    const [row] = await scene.sql<{ lost: number }[]>`
      select count(*)::int as lost from attempt where cause = 'lost'`;
    return (row?.lost ?? 0) > 0;
  });
}

/** The link is down until the attempts are lost. Another worker then takes the runs. */
function linkDown(deployment: "going" | "stopping", how: "down" | "hang"): Case {
  return {
    name: `link-${how}-${deployment}`,
    async act(scene) {
      await using proxy = await workerBehind(scene, { deployment, steps: 60 });
      proxy[how]();
      await scene.worker({ name: "near" });
      await untilLost(scene);
      await scene.begun(4);
      // The first worker comes back while its runs may still be under way elsewhere.
      proxy.up();
      await scene.settle();
    },
    expect: allCompleted,
  };
}

/** The link is down for longer than a lease, but not until attempts are lost: no run is affected. */
const linkShort: Case = {
  name: "link-short",
  async act(scene) {
    await using proxy = await workerBehind(scene, { deployment: "once", steps: 10 });
    proxy.down();
    await pause(TIMES.leaseMs * 1.5);
    proxy.up();
    await scene.settle();
  },
  expect: allAtOnce,
};

const LINK_FAULTS = ["delay", "cut", "duplicate", "swallow"] as const;

/** The most runs to create until the link has produced every kind of fault. */
const MORE_MAX = 20;

/** A link that delays, cuts, repeats and swallows requests, until it has done each at least once. */
const linkBad: Case = {
  name: "link-bad",
  async act(scene) {
    await using proxy: Link = await startProxy({ target: scene.stack.url, random: scene.random });
    proxy.misbehave({ cut: 0.1, swallow: 0.1, duplicate: 0.15, delay: 0.2, delayMs: 300 });
    await scene.worker({ name: "far", settings: { url: proxy.url } });
    await scene.create("going", 5, { steps: 8 });
    const [victim] = await scene.create("going", 1, { steps: 40 });
    await scene.begun(1);
    if (victim !== undefined) await scene.cancel(victim);
    await scene.settle();
    const missing = () => LINK_FAULTS.filter((kind) => proxy.done[kind] === 0);
    for (let more = 0; more < MORE_MAX && missing().length > 0; more++) {
      await scene.create("going", 1);
      await scene.settle();
    }
    if (missing().length > 0) throw new Error(`The link was never seen to ${missing().join(", ")}.`);
    proxy.misbehave();
  },
  expect: allCompleted,
};

/** Runs under way while the control plane is down: one that is lost late and one that is lost soon. */
const GOING_ON: readonly StepsName[] = ["once", "going"];

/**
 * The control plane is down, for longer than a lease or less. Confirmed attempts continue, and no attempt is lost because of the
 * control plane's own absence.
 */
function controlAway(seconds: number): Case {
  return {
    name: `control-away-${seconds}s`,
    async act(scene) {
      await scene.worker();
      for (const deployment of GOING_ON) await scene.create(deployment, 2, { steps: 8 + seconds * 5 });
      await scene.begun(GOING_ON.length * 2);
      await scene.controlAway(seconds * 1_000);
    },
    expect: allAtOnce,
  };
}

/** Cases about broken links and an absent control plane. */
export const LINK_CASES: readonly Case[] = [
  linkShort,
  linkDown("stopping", "down"),
  linkDown("stopping", "hang"),
  linkDown("going", "down"),
  linkBad,
  ...[1, 4, 18, 60].map(controlAway),
];
