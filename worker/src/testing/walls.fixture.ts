import { spawnSync } from "node:child_process";
import { chown, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { WorkerSettings } from "../settings.ts";
import type { WorkerTestEnv } from "./test-env.fixture.ts";

/** A wall between the runs of a worker, and the user of that worker. */
export interface Wall {
  readonly name: string;
  readonly settings: Partial<WorkerSettings>;
  readonly hasUsers: boolean;
  readonly hasNamespaces: boolean;
  /** The worker's user. Null: root. */
  readonly as: { readonly uid: number; readonly gid: number } | null;
}

/** A user without rights. */
export const NOBODY = { uid: 65_534, gid: 65_534 };

const USERS: Wall = {
  name: "users",
  settings: { runAs: "users", namespaces: false },
  hasUsers: true,
  hasNamespaces: false,
  as: null,
};
const BOTH: Wall = {
  name: "users and namespaces",
  settings: { runAs: "users", namespaces: "required" },
  hasUsers: true,
  hasNamespaces: true,
  as: null,
};
/** Its worker is not root. */
const NAMESPACES: Wall = {
  name: "namespaces, without root",
  settings: { runAs: "auto", namespaces: "required" },
  hasUsers: false,
  hasNamespaces: true,
  as: NOBODY,
};
/** Nothing separates runs. */
export const NO_WALL: Wall = {
  name: "nothing",
  settings: { runAs: "worker" },
  hasUsers: false,
  hasNamespaces: false,
  as: null,
};

/** Why no namespaces can be made here. Null: they can. */
export function namespacesObstacle(): string | null {
  const words = ["--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "true"];
  const tried = spawnSync("bwrap", words, { encoding: "utf8" });
  if (tried.error) return "bwrap is not installed (Debian: bubblewrap)";
  return tried.status === 0 ? null : `bwrap makes no namespaces: ${tried.stderr.trim()}`;
}

function wallsToTest(): Wall[] {
  const isRoot = process.getuid?.() === 0;
  const obstacle = namespacesObstacle();
  if (!isRoot && process.env.CI) throw new Error("The attacks need a worker that is root. Run CI as root.");
  if (obstacle !== null && process.env.CI) throw new Error(`The attacks need namespaces: ${obstacle}.`);
  if (!isRoot)
    console.warn("SKIPPED: only root can give each attempt a user, so no attack on users was tried.");
  if (obstacle !== null) console.warn(`SKIPPED: no attack on namespaces was tried: ${obstacle}.`);
  if (obstacle !== null) return isRoot ? [USERS] : [];
  return isRoot ? [USERS, BOTH, NAMESPACES] : [{ ...NAMESPACES, as: null }];
}

/** The walls that can stand on this machine. In CI all of them must. */
export const WALLS_TO_TEST: readonly Wall[] = wallsToTest();

/** Gives the folder of a test to another user, whose worker writes there. */
export async function giveFolder({ dir }: WorkerTestEnv, { uid, gid }: typeof NOBODY): Promise<void> {
  await mkdir(join(dir, "registry"), { recursive: true });
  for (const name of ["", ...(await readdir(dir))].filter((one) => one !== "protected"))
    await chown(join(dir, name), uid, gid);
}
