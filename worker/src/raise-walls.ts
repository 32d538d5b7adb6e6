import { chmod, mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Logger, pino } from "pino";
import { listStored, type StatePaths } from "./attempts/index.ts";
import type { WorkerConfig } from "./config.ts";
import { defaultPython } from "./environments/index.ts";
import { programFiles } from "./launch/index.ts";
import { privateKeysNear } from "./start-warnings.ts";
import {
  judgeWalls,
  limitCoreDumps,
  type RunAs,
  runAsOf,
  standWalls,
  type WallGround,
  type Walls,
} from "./walls/index.ts";

const OWNER_ONLY = 0o600;
const OTHERS_READ = 0o004;
/** Others may enter a folder whose entries they know. They cannot list it. */
const OTHERS_ENTER = 0o711;

/**
 * Separates the attempts of a worker, and opens its state directory as far as their users need it.
 * @throws WallImpossible if the configuration requires a wall that cannot stand here.
 */
export async function raiseWalls(
  config: WorkerConfig,
  { log, paths }: { log: Logger; paths: StatePaths },
): Promise<Walls> {
  const runAs = runAsOf(config.runAs);
  await mkdir(paths.attempts, { recursive: true, mode: 0o700 });
  if (runAs.wanted !== "none" && process.getuid?.() === 0) await openState(paths);
  const walls = await standWalls(
    { log, dir: paths.users, range: runAs.range, kept: await usersOf(paths) },
    await groundOf(config, [paths.users, paths.attempts, paths.cache, paths.environments]),
  );
  // A developer who tries flows chose no wall, and no worker of others.
  if (walls.kind === "none" && config.startedBy === undefined) log.warn(noWallText(walls.why));
  if (walls.kind !== "none") {
    await limitCoreDumps();
    for (const path of await openedFiles(config))
      log.warn(
        { path },
        `Every user of this machine can read ${path}, so flows can too. Run: chmod o-r ${path}`,
      );
    log.info({ wall: walls.kind }, "each attempt runs as a user of its own");
  }
  return walls;
}

/** What the attempts of a worker need to reach. */
async function groundOf(config: WorkerConfig, enters: readonly string[]): Promise<WallGround> {
  const runAs = runAsOf(config.runAs);
  const stores = [config.store, ...Object.values(config.stores)].map(({ root }) => root);
  return {
    ...config,
    runAs,
    stores,
    reads: programFiles(),
    starts: await pythons(config, runAs),
    enters,
  };
}

/** Which wall a worker with this configuration has, for `towpath doctor`. Changes nothing. */
export async function describeWalls(
  config: WorkerConfig,
): Promise<{ wall: Walls["kind"]; why: string; isRequired: boolean; privateKeys: string[] }> {
  const { range, wanted } = runAsOf(config.runAs);
  const home = await mkdtemp(join(tmpdir(), "towpath-walls-"));
  try {
    await chmod(home, OTHERS_ENTER);
    const log = pino({ level: "silent" });
    const ground = await groundOf(config, [dirname(config.stateDir)]);
    const { kind, why } = await judgeWalls({ log, dir: home, range }, ground);
    const isRequired = wanted === "users";
    return { wall: kind, why, isRequired, privateKeys: await privateKeysNear(config) };
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

/**
 * The interpreters that attempts must be able to start. Where the configuration requires a wall, an interpreter that only lies
 * in the PATH does not count: perhaps no flow needs it.
 */
async function pythons(config: WorkerConfig, { wanted }: RunAs): Promise<string[]> {
  const found = wanted === "auto" ? await defaultPython(config) : null;
  return [...new Set([...Object.values(config.python.interpreters), ...(found === null ? [] : [found])])];
}

/** Files of the configuration with which a wall is of little use: every user can read them. */
async function openedFiles(config: WorkerConfig): Promise<string[]> {
  const sources = Object.values(config.secrets).flatMap((source) => ("file" in source ? source.file : []));
  const paths = config.file === null ? sources : [config.file, ...sources];
  const found = await Promise.all(
    paths.map(async (path) => {
      const mode = await stat(path).then(
        (one) => one.mode,
        () => 0,
      );
      return (mode & OTHERS_READ) === 0 ? [] : path;
    }),
  );
  return found.flat();
}

/** What the worker says when nothing separates its runs. */
export function noWallText(why: string): string {
  return `All runs of this worker are one trust domain: they run as its user, and can read its key and the data of each other (${why}).`;
}

/** The worker's own files stay closed. Of the folders, the users of attempts may enter those that have something for them. */
async function openState(paths: StatePaths): Promise<void> {
  for (const dir of [
    paths.stateDir,
    paths.attempts,
    paths.users,
    paths.cache,
    paths.environments,
    paths.compileCache,
  ]) {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await chmod(dir, OTHERS_ENTER);
  }
  for (const dir of [paths.journals, paths.preallocation, paths.downloads]) {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await chmod(dir, 0o700);
  }
  for (const file of [paths.floors, paths.identity, paths.reserve, join(paths.stateDir, "lock")])
    await chmod(file, OWNER_ONLY).catch(() => {});
}

/** The users of attempts that an earlier process of this worker left. */
async function usersOf(paths: StatePaths): Promise<ReadonlySet<number>> {
  const found = await listStored(paths);
  return new Set(found.flatMap(({ stored }) => stored?.user?.uid ?? []));
}
