import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";
import { asUser, type CommandLine, findProgram } from "./launcher.ts";
import { type RunAs, usersNeeded } from "./run-as.ts";
import { shareStore } from "./share-store.ts";
import { type AttemptUser, Users, type UsersDeps } from "./users.ts";

const runFile = promisify(execFile);
/** How long the start of a small program may take, milliseconds. */
const PROBE_MS = 60_000;

/** What separates attempts of a worker. */
export interface Walls {
  readonly kind: "none" | "users";
  /** Why nothing separates them. Empty if something does. */
  readonly why: string;
  /** The users of attempts. Null: attempts run as the worker's user. */
  readonly users: Users | null;
  /** The command line that runs a program as a user. */
  as(user: AttemptUser, command: CommandLine): CommandLine;
}

/** No wall: attempts run as the worker's user. */
export function noWalls(why: string): Walls {
  return { kind: "none", why, users: null, as: (_, command) => command };
}

/** The configuration requires a wall that cannot stand here. */
export class WallImpossible extends Error {
  override readonly name = "WallImpossible";
}

/** What a wall is made from. */
export interface WallGround {
  readonly runAs: RunAs;
  readonly capacity: number;
  readonly warm: number;
  readonly loadAhead: number;
  /** The roots of all stores. */
  readonly stores: readonly string[];
  /** Files that every attempt reads. */
  readonly reads: readonly string[];
  /** Programs that an attempt may start. */
  readonly starts: readonly string[];
  /** Folders in which an attempt finds what it knows the name of. */
  readonly enters: readonly string[];
}

/**
 * Separates the attempts of this worker as well as its configuration and the machine allow. Tries it with a process.
 * @param deps.kept The users of attempts that an earlier process of this worker left.
 * @throws WallImpossible if the configuration requires more than is possible.
 */
export async function standWalls(
  deps: UsersDeps & { readonly kept: ReadonlySet<number> },
  ground: WallGround,
): Promise<Walls> {
  const { wanted } = ground.runAs;
  if (wanted === "none") return noWalls(CHOSEN);
  const fault = await impossible(ground);
  const setpriv = await findProgram("setpriv");
  if (fault !== null || setpriv === null) return refuse(ground, fault ?? NO_SETPRIV);
  const users = new Users(deps);
  await users.restore(deps.kept);
  const as = (user: AttemptUser, command: CommandLine) =>
    asUser(setpriv, { uid: user.uid, storeGroup: users.storeGroup }, command);
  const closed = (await tryAsUser(users, { ground, as })) ?? (await storesClosed(users, ground));
  if (closed === null) return { kind: "users", why: "", users, as };
  await users.close();
  return refuse(ground, closed);
}

/** Opens the stores in folders for attempts. @returns why that is not possible, or null */
async function storesClosed(users: Users, { stores }: WallGround): Promise<string | null> {
  for (const root of foldersOf(stores)) {
    try {
      await shareStore(root, users.storeGroup);
    } catch (error) {
      return `root cannot share the store ${root} with the users of attempts (${String(error)})`;
    }
  }
  return null;
}

/**
 * Says which wall would stand here, and changes nothing: it starts a process as a user of an attempt and ends it.
 * @returns the wall, and why it is not more.
 */
export async function judgeWalls(deps: UsersDeps, ground: WallGround): Promise<Pick<Walls, "kind" | "why">> {
  if (ground.runAs.wanted === "none") return noWalls(CHOSEN);
  const fault = await impossible(ground);
  const setpriv = await findProgram("setpriv");
  if (fault !== null || setpriv === null) return noWalls(fault ?? NO_SETPRIV);
  const users = new Users(deps);
  const as = (user: AttemptUser, command: CommandLine) =>
    asUser(setpriv, { uid: user.uid, storeGroup: users.storeGroup }, command);
  try {
    const closed = await tryAsUser(users, { ground, as });
    return closed === null ? { kind: "users", why: "" } : noWalls(closed);
  } finally {
    await users.close();
  }
}

const CHOSEN = '"runAs" is "worker"';
const NO_SETPRIV = "the program setpriv is missing. Install util-linux";

function refuse({ runAs }: Pick<WallGround, "runAs">, why: string): Walls {
  if (runAs.wanted === "auto") return noWalls(why);
  throw new WallImpossible(`"runAs" requires a user of its own for each attempt, but ${why}.`);
}

/** Why users cannot be separated, as far as the process and its settings tell. */
async function impossible(ground: WallGround): Promise<string | null> {
  if (process.platform !== "linux") return "only Linux has what it needs";
  if (process.getuid?.() !== 0) return "the worker is not root";
  const { first, last } = ground.runAs.range;
  const needed = usersNeeded(ground);
  if (last - first >= needed) return null;
  return `the range ${first}-${last} of "runAs" is too small: it needs ${needed + 1} numbers`;
}

/** The folders among the roots of stores. */
export function foldersOf(roots: readonly string[]): string[] {
  return roots.filter((root) => root.startsWith("file:")).map((root) => fileURLToPath(root));
}

/** Prints the first of some paths that cannot be used. A mode stands before each path. What is missing may still come. */
const PROBE = `
const fs = require("node:fs");
for (const text of process.argv.slice(1)) {
  const [mode, path] = [Number(text[0]), text.slice(1)];
  try { fs.accessSync(path, mode); } catch ({ code }) {
    if (code === "ENOENT") continue;
    console.log(JSON.stringify({ path, code }));
    break;
  }
}`;
const Found = z.object({ path: z.string(), code: z.string() });

/** Starts Node as a user of an attempt and tries the paths that attempts use. @returns why it does not work, or null */
async function tryAsUser(
  users: Users,
  { ground, as }: { ground: WallGround; as: Walls["as"] },
): Promise<string | null> {
  const user = await users.take();
  try {
    const above = foldersOf(ground.stores).map((root) => dirname(root));
    const searched = [...ground.starts, ...ground.enters, ...above];
    const paths = [
      ...ground.reads.map((path) => `${constants.R_OK}${path}`),
      ...searched.map((path) => `${constants.X_OK}${path}`),
    ];
    const { file, argv } = as(user, { file: process.execPath, argv: ["-e", PROBE, "--", ...paths] });
    const { stdout } = await runFile(file, argv, { cwd: "/", env: {}, timeout: PROBE_MS });
    if (stdout.trim() === "") return null;
    const { path, code } = Found.parse(JSON.parse(stdout));
    return await closedFor(path, code);
  } catch (error) {
    const said = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : String(error);
    const folder = await firstClosed(process.execPath);
    if (folder !== null) return closedText(process.execPath, folder);
    return `no process can be started as user ${user.uid} (${said.split("\n").at(-1)})`;
  } finally {
    await users.release(user);
  }
}

async function closedFor(path: string, code: string): Promise<string> {
  const found = await stat(path).catch(() => null);
  // A folder may be closed itself.
  const folder = await firstClosed(found?.isDirectory() ? join(path, "entry") : path);
  return folder === null ? `attempts cannot use ${path} (${code})` : closedText(path, folder);
}

function closedText(path: string, folder: string): string {
  return `attempts must reach ${path}, and ${folder} is closed to other users. Run: chmod o+x ${folder}`;
}

/** The topmost folder above a path that other users may not enter. */
async function firstClosed(path: string): Promise<string | null> {
  const above = dirname(path);
  if (above === path) return null;
  const closed = await firstClosed(above);
  if (closed !== null) return closed;
  const mode = await stat(above).then(
    (found) => found.mode,
    () => 0o001,
  );
  return (mode & 0o001) === 0 ? above : null;
}
