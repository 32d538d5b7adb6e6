import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { GroundDatabase } from "../ground.ts";
import { startProxy } from "../proxy.ts";
import type { Random } from "../random.ts";
import { copyCluster, openFolder, startCluster } from "./cluster.ts";
import { type History, readHistory } from "./history.ts";
import { KINDS, type KindName } from "./kinds.ts";

/** A database that can go back in time behind a constant address. */
export interface TravelDatabase extends GroundDatabase {
  /** Takes what a restore begins with, such as a base backup. */
  prepare(): Promise<void>;
  /** Marks the point to go back to. */
  mark(): Promise<void>;
  /** Takes the database away and brings it back in the state of the point. Calls `meanwhile` in between. */
  goBack(meanwhile?: () => void): Promise<Travel>;
}

/** How a database went back. */
export interface Travel {
  /** What the database holds afterwards. */
  readonly past: History;
  /** What it held before. */
  readonly future: History;
}

/** Opens a database for one case, on a copy of the template. */
export async function openTravelDatabase(args: {
  kind: KindName;
  random: Random;
  template: string;
}): Promise<TravelDatabase> {
  const folder = await openFolder("towpath-travel-");
  const kind = KINDS[args.kind]({ folder, random: args.random });
  const home = join(folder, "primary");
  await copyCluster(args.template, home);
  let current = await startCluster({ dir: home, settings: kind.settings });
  const front = await startProxy({ target: current.url, random: args.random });
  const { port } = new URL(front.url);
  return {
    url: Object.assign(new URL(current.url), { port }).href,
    prepare: () => kind.prepare(current),
    mark: () => kind.mark(current),
    async goBack(meanwhile = () => {}) {
      front.down();
      meanwhile();
      await kind.secure(current);
      const future = await readHistory(current.sql);
      await current.stop();
      current = await kind.restore();
      const past = await readHistory(current.sql);
      front.moveTo(current.url);
      front.up();
      return { past, future };
    },
    async drop() {
      await front[Symbol.asyncDispose]();
      await current.stop();
      await kind.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
