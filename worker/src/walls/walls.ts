import { execFile } from "node:child_process";
import { constants, existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";
import { asUser, type CommandLine, findProgram } from "./launcher.ts";
import { type Namespaces, openNamespaces } from "./namespaces.ts";
import { removeUnfollowed } from "./own-tree.ts";
import { makeRoom } from "./room.ts";
import { type NamespacesSetting, type RunAs, usersNeeded } from "./run-as.ts";
import { shareStore } from "./share-store.ts";
import { type AttemptUser, Users, type UsersDeps } from "./users.ts";
import type { View } from "./view.ts";

const runFile = promisify(execFile);
/** How long the start of a small program may take, milliseconds. */
const PROBE_MS = 60_000;

/** What separates attempts of a worker: nothing, users, namespaces, or both. */
export type WallKind = "none" | "users" | "namespaces" | "both";

/** What separates attempts of a worker. */
export interface Walls {
  readonly kind: WallKind;
  /** Why it is not more. Empty if it is both. */
  readonly why: string;
  /** The users of attempts. Null: attempts run as the worker's user. */
  readonly users: Users | null;
  /** Null: attempts see what their user sees. */
  readonly namespaces: Namespaces | null;
  /** The command line that runs a program as a user. */
  as(user: AttemptUser, command: CommandLine): CommandLine;
}

/** No wall: attempts run as the worker's user. */
export function noWalls(why: string): Walls {
  return { kind: "none", why, users: null, namespaces: null, as: (_, command) => command };
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
  readonly namespaces: NamespacesSetting;
  /** What attempts in namespaces see. */
  readonly view: View;
}

/** One of the two walls, or why it does not stand. */
type Stood<Wall> = { readonly wall: Wall; readonly why: "" } | { readonly wall: null; readonly why: string };
type UserWall = Pick<Walls, "as"> & { readonly users: Users };

const failed = (why: string) => ({ wall: null, why }) as const;

/**
 * Separates the attempts of this worker as well as its configuration and the machine allow. Tries it with a process.
 * @param deps.kept The users of attempts that an earlier process of this worker left.
 * @throws WallImpossible if the configuration requires more than is possible.
 */
export async function standWalls(
  deps: UsersDeps & { readonly kept: ReadonlySet<number> },
  ground: WallGround,
): Promise<Walls> {
  const byUsers = await standUsers(deps, ground);
  if (byUsers.wall === null && ground.runAs.wanted === "users")
    throw new WallImpossible(`"runAs" requires a user of its own for each attempt, but ${byUsers.why}.`);
  const bySpaces = await standNamespaces(deps, { ground, users: byUsers.wall });
  if (bySpaces.wall === null && isRequired(ground.namespaces)) {
    await byUsers.wall?.users.close();
    throw new WallImpossible(`"namespaces" requires namespaces for each attempt, but ${bySpaces.why}.`);
  }
  return wallsOf(byUsers, bySpaces);
}

function wallsOf(byUsers: Stood<UserWall>, bySpaces: Stood<Namespaces>): Walls {
  const { as, users } = byUsers.wall ?? { ...noWalls(""), users: null };
  const why = [
    ...(byUsers.wall === null ? [`no users: ${byUsers.why}`] : []),
    ...(bySpaces.wall === null ? [`no namespaces: ${bySpaces.why}`] : []),
  ].join("; ");
  const kind = users === null ? "none" : "users";
  if (bySpaces.wall === null) return { kind, why, users, namespaces: null, as };
  return { kind: users === null ? "namespaces" : "both", why, users, namespaces: bySpaces.wall, as };
}

/** Whether a setting forbids the worker to start without namespaces. */
export function isRequired(setting: NamespacesSetting): boolean {
  return setting === "required" || typeof setting === "object";
}

async function standUsers(
  deps: UsersDeps & { readonly kept: ReadonlySet<number> },
  ground: WallGround,
): Promise<Stood<UserWall>> {
  const { wanted } = ground.runAs;
  if (wanted === "none") return failed(CHOSEN);
  const fault = await impossible(ground);
  const setpriv = await findProgram("setpriv");
  if (fault !== null || setpriv === null) return failed(fault ?? NO_SETPRIV);
  const users = new Users(deps);
  await users.restore(deps.kept);
  const as = asOf(setpriv, users);
  const closed = (await tryAsUser(users, { ground, as })) ?? (await storesClosed(users, ground));
  if (closed === null) return { wall: { users, as }, why: "" };
  await users.close();
  return failed(closed);
}

function asOf(setpriv: string, users: Users): Walls["as"] {
  return (user, command) => asUser(setpriv, { uid: user.uid, storeGroup: users.storeGroup }, command);
}

async function standNamespaces(
  deps: UsersDeps,
  { ground, users }: { ground: WallGround; users: UserWall | null },
): Promise<Stood<Namespaces>> {
  const { namespaces: wanted } = ground;
  if (wanted === false) return failed('"namespaces" is false');
  if (process.platform !== "linux") return failed("only Linux has what they need");
  const bwrap = typeof wanted === "object" ? wanted.bwrap : await findProgram("bwrap");
  if (bwrap === null) return failed("the program bwrap is missing. Install bubblewrap");
  const namespaces = await openNamespaces(bwrap, ground.view);
  const why = await tryNamespaces(deps, { ground, users, namespaces });
  return why === null ? { wall: namespaces, why: "" } : failed(why);
}

/** Starts Node in namespaces and tries the paths that attempts use. @returns why it does not work, or null */
async function tryNamespaces(
  { dir }: UsersDeps,
  args: { ground: WallGround; users: UserWall | null; namespaces: Namespaces },
): Promise<string | null> {
  const { ground, users, namespaces } = args;
  await mkdir(dir, { recursive: true, mode: 0o711 });
  const user = users && (await users.users.take());
  const folder = await mkdtemp(join(dir, "probe-"));
  try {
    if (user !== null) await chmod(folder, ENTERED);
    const room = await makeRoom(folder, user);
    const paths = pathsOf(ground, "inside").filter((path) => existsSync(path.slice(1)));
    const probe = { file: process.execPath, argv: ["-e", PROBE, "--", "all", ...paths] };
    const inside = namespaces.wrap(probe, { user, room, trees: null, tells: false });
    const { file, argv } = user === null || users === null ? inside : users.as(user, inside);
    const { stdout } = await runFile(file, argv, { cwd: "/", env: {}, timeout: PROBE_MS });
    if (stdout.trim() === "") return null;
    const { path, code } = Found.parse(JSON.parse(stdout));
    return `attempts in namespaces cannot use ${path} (${code}). Name its folder in "flowFolders"`;
  } catch (error) {
    return `bubblewrap cannot start a process here (${lastLineOf(error)})`;
  } finally {
    if (user !== null) await users?.users.release(user);
    await removeUnfollowed(folder).catch(() => {});
  }
}

/** Others may enter a folder whose entries they know. */
const ENTERED = 0o711;

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
 * Says which wall would stand here, and changes nothing: it starts a process as an attempt would run and ends it.
 * @returns the wall, and why it is not more.
 */
export async function judgeWalls(deps: UsersDeps, ground: WallGround): Promise<Pick<Walls, "kind" | "why">> {
  const byUsers = await judgeUsers(deps, ground);
  try {
    return wallsOf(byUsers, await standNamespaces(deps, { ground, users: byUsers.wall }));
  } finally {
    await byUsers.wall?.users.close();
  }
}

async function judgeUsers(deps: UsersDeps, ground: WallGround): Promise<Stood<UserWall>> {
  if (ground.runAs.wanted === "none") return failed(CHOSEN);
  const fault = await impossible(ground);
  const setpriv = await findProgram("setpriv");
  if (fault !== null || setpriv === null) return failed(fault ?? NO_SETPRIV);
  const users = new Users(deps);
  const as = asOf(setpriv, users);
  const closed = await tryAsUser(users, { ground, as });
  if (closed === null) return { wall: { users, as }, why: "" };
  await users.close();
  return failed(closed);
}

const CHOSEN = '"runAs" is "worker"';
const NO_SETPRIV = "the program setpriv is missing. Install util-linux";

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

/** Prints the first of some paths that cannot be used. A mode stands before each path. What is missing may still come, or counts. */
const PROBE = `
const fs = require("node:fs");
const [which, ...paths] = process.argv.slice(1);
for (const text of paths) {
  const [mode, path] = [Number(text[0]), text.slice(1)];
  try { fs.accessSync(path, mode); } catch ({ code }) {
    if (code === "ENOENT" && which === "present") continue;
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
    const paths = pathsOf(ground, "outside");
    const { file, argv } = as(user, {
      file: process.execPath,
      argv: ["-e", PROBE, "--", "present", ...paths],
    });
    const { stdout } = await runFile(file, argv, { cwd: "/", env: {}, timeout: PROBE_MS });
    if (stdout.trim() === "") return null;
    const { path, code } = Found.parse(JSON.parse(stdout));
    return await closedFor(path, code);
  } catch (error) {
    const folder = await firstClosed(process.execPath);
    if (folder !== null) return closedText(process.execPath, folder);
    return `no process can be started as user ${user.uid} (${lastLineOf(error)})`;
  } finally {
    await users.release(user);
  }
}

/** What attempts use, each after the mode in which they use it. */
function pathsOf(ground: WallGround, where: "inside" | "outside"): string[] {
  const above = where === "outside" ? foldersOf(ground.stores).map((root) => dirname(root)) : [];
  const searched = [...ground.starts, ...above, ...(where === "outside" ? ground.enters : [])];
  const written = where === "inside" ? [...ground.view.writes, ...ground.view.stores] : [];
  return [
    ...ground.reads.map((path) => `${constants.R_OK}${path}`),
    ...searched.map((path) => `${constants.X_OK}${path}`),
    ...written.map((path) => `${constants.X_OK}${path}`),
  ];
}

/** The last line that a program printed to stderr, or else the error itself. */
function lastLineOf(error: unknown): string {
  const said = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : "";
  return (said === "" ? String(error) : said).split("\n").at(-1) ?? "";
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
