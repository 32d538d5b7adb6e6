import { chmod, mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Logger, pino } from "pino";
import { listStored, type StatePaths, statePaths } from "./attempts/index.ts";
import type { WorkerConfig } from "./config.ts";
import { defaultPython } from "./environments/index.ts";
import { programFiles, programFolders } from "./launch/index.ts";
import { privateKeysNear } from "./start-warnings.ts";
import {
  foldersOf,
  hiddenFor,
  isRequired,
  judgeWalls,
  limitCoreDumps,
  namespacesOf,
  type RunAs,
  runAsOf,
  standWalls,
  storeParts,
  type View,
  type WallGround,
  type WallKind,
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
  if (namespacesOf(config.namespaces, runAs) !== false) await makeShownFolders(config, paths);
  const walls = await standWalls(
    { log, dir: paths.users, range: runAs.range, kept: await usersOf(paths) },
    await groundOf(config, { paths, enters: [paths.users, paths.attempts, paths.cache, paths.environments] }),
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
    log.info({ wall: walls.kind, ...(walls.why !== "" && { why: walls.why }) }, WALL_TEXTS[walls.kind]);
  }
  return walls;
}

const WALL_TEXTS = {
  none: "all runs are one trust domain",
  users: "each attempt runs as a user of its own",
  namespaces: "each attempt runs in namespaces of its own",
  both: "each attempt runs as a user and in namespaces of its own",
} satisfies Record<WallKind, string>;

/** What the attempts of a worker need to reach. */
async function groundOf(
  config: WorkerConfig,
  { paths, enters }: { paths: StatePaths; enters: readonly string[] },
): Promise<WallGround> {
  const runAs = runAsOf(config.runAs);
  const stores = storesOf(config);
  const starts = await pythons(config, runAs);
  return {
    ...config,
    runAs,
    namespaces: namespacesOf(config.namespaces, runAs),
    stores,
    reads: programFiles(),
    starts,
    enters,
    view: viewOf(config, { paths, starts }),
  };
}

function storesOf(config: WorkerConfig): string[] {
  return [config.store, ...Object.values(config.stores)].map(({ root }) => root);
}

/** Certificate authorities of the worker's environment. */
const AUTHORITIES = [
  "NODE_EXTRA_CA_CERTS",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "REQUESTS_CA_BUNDLE",
  "PIP_CERT",
];

/** What attempts in namespaces see. */
function viewOf(
  config: WorkerConfig,
  { paths, starts }: { paths: StatePaths; starts: readonly string[] },
): View {
  const authorities = AUTHORITIES.flatMap((name) => config.environment[name] ?? []);
  return {
    hidden: [{ path: paths.stateDir, kind: "folder" }, ...secretFiles(config).map(hiddenFor)],
    reads: [
      ...programFolders(starts),
      join(paths.compileCache, "python"),
      ...authorities.filter((path) => path.startsWith("/")),
      ...config.flowFolders.read,
    ],
    writes: config.flowFolders.write,
    stores: foldersOf(storesOf(config)),
    trees: [paths.cache, paths.environments],
  };
}

/** The files that the configuration names as sources, and its own. Trusted keys are public, but a private one may lie beside them. */
function secretFiles(part: unknown): string[] {
  if (typeof part !== "object" || part === null) return [];
  return Object.entries(part).flatMap(([name, value]) =>
    name === "file" && typeof value === "string" && value.startsWith("/") ? [value] : secretFiles(value),
  );
}

/** What a mount shows must exist before it. */
async function makeShownFolders(config: WorkerConfig, paths: StatePaths): Promise<void> {
  const stores = foldersOf(storesOf(config)).flatMap(storeParts);
  for (const dir of [paths.cache, paths.environments, ...stores])
    await mkdir(dir, { recursive: true, mode: 0o700 });
  const compiled = join(paths.compileCache, "python");
  await mkdir(compiled, { recursive: true, mode: 0o755 });
  await chmod(compiled, 0o755);
}

/** Which wall a worker with this configuration has, for `towpath doctor`. Changes nothing. */
export async function describeWalls(
  config: WorkerConfig,
): Promise<{ wall: WallKind; why: string; missing: string | null; privateKeys: string[] }> {
  const runAs = runAsOf(config.runAs);
  const { range, wanted } = runAs;
  const home = await mkdtemp(join(tmpdir(), "towpath-walls-"));
  try {
    await chmod(home, OTHERS_ENTER);
    const log = pino({ level: "silent" });
    const paths = statePaths(config.stateDir);
    const ground = await groundOf(config, { paths, enters: [dirname(config.stateDir)] });
    const { kind, why } = await judgeWalls({ log, dir: home, range }, ground);
    const hasUsers = kind === "users" || kind === "both";
    const hasNamespaces = kind === "namespaces" || kind === "both";
    const spaces = isRequired(namespacesOf(config.namespaces, runAs)) && !hasNamespaces ? "namespaces" : null;
    const missing = wanted === "users" && !hasUsers ? "runAs" : spaces;
    return { wall: kind, why, missing, privateKeys: await privateKeysNear(config) };
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
