import { createHash } from "node:crypto";
import { mkdir, open, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { normalised, type PythonEnvironment, type Requirement } from "@towpath/contract";
import {
  bringTree,
  type CodeCache,
  type FetchedCode,
  holdTree,
  pruneCodeCache,
  treePath,
} from "../code/index.ts";
import type { PythonIndex, WorkerConfig } from "../config.ts";
import { readSecret } from "../secrets/index.ts";
import { EnvironmentError } from "./environment-error.ts";
import { type Installation, install, type OpenIndex } from "./installer.ts";
import { type Interpreter, interpreterOfVersion } from "./interpreters.ts";
import { checkRequirements } from "./requirements.ts";
import { runTool } from "./run-tool.ts";

/** How long the build of one environment may take, milliseconds. */
export const BUILD_MS = 20 * 60_000;
/** Packages' own tests are half of their files, and no flow imports them. */
const NOT_COMPILED = String.raw`[/\\](tests?|testing[/\\]data)[/\\]`;
/** The first bytes of a script. */
const SCRIPT = "#!";

/** An environment that is locked in the code. */
export type LockedEnvironment = Extract<PythonEnvironment, { kind: "lock" }>;

/** What building needs. */
export interface EnvironmentDeps {
  readonly cache: CodeCache;
  /** The cache of downloads. */
  readonly downloads: string;
  readonly config: Pick<WorkerConfig, "python" | "npm" | "environment">;
  /** Variables of the worker's environment for installers. */
  readonly env: Readonly<Record<string, string>>;
  /**
   * Whether packages may be built from source. That runs their code as the worker's user.
   * @default true
   */
  readonly buildsSources?: boolean;
  /** @default twenty minutes */
  readonly buildMs?: number;
}

/** A complete environment, in use until it is released. */
export interface BuiltEnvironment extends Pick<FetchedCode, "cached" | "release"> {
  readonly interpreter: Interpreter;
  readonly dir: string;
}

/** The name of an environment in the cache: its lock, its interpreter and the platform. */
export function environmentKey({ digest, build }: LockedEnvironment, interpreter: Interpreter): string {
  const { executable, version } = interpreter;
  const parts = [digest, executable, version, process.platform, process.arch, ...[...build].sort()];
  return `python-${createHash("sha256").update(JSON.stringify(parts)).digest("hex")}`;
}

/**
 * Finds the environment of a lock, or builds it. Attempts that need the same one share the work.
 * @param args.codeDir The folder of the code with the requirements.
 * @throws EnvironmentError; Refusal when there is no such Python; CodeError when the cache cannot be written; the signal's reason.
 */
export async function bringEnvironment(
  deps: EnvironmentDeps,
  args: {
    environment: LockedEnvironment;
    codeDir: string;
    signal: AbortSignal;
    onBuild?: (packages: number) => void;
  },
): Promise<BuiltEnvironment> {
  const { environment, codeDir, signal } = args;
  if (deps.buildsSources === false && environment.build.length > 0)
    throw new EnvironmentError(
      "no-sources",
      "A package of the environment must be built from source, which this worker does not do, because it separates its runs.",
    );
  const found = await interpreterOfVersion(deps.config, environment.python);
  const key = environmentKey(environment, found);
  const brought = await bringTree(
    deps.cache,
    {
      key,
      async make({ treeDir, scratchDir, signal: given }) {
        const requirements = checkRequirements(await readLock(environment, codeDir));
        args.onBuild?.(requirements.length);
        await build(deps, {
          environment,
          interpreter: found,
          requirements,
          dir: treeDir,
          finalDir: treePath(deps.cache, key),
          scratch: scratchDir,
          signal: given,
        });
      },
    },
    signal,
  );
  const { dir, cached, release } = brought;
  // Measuring large environments takes long, so not at regular times.
  if (!cached) void keepWithin(deps);
  const path = join(dir, "bin", "python");
  return {
    interpreter: { path, executable: path, version: found.version, environmentDir: dir },
    dir,
    cached,
    release,
  };
}

/**
 * Keeps an environment from being removed, whether or not it is there yet.
 * @returns A function that ends the use.
 * @throws Refusal when there is no such Python; CodeError when the cache cannot be written.
 */
export async function holdEnvironment(
  { cache, config }: Pick<EnvironmentDeps, "cache" | "config">,
  environment: LockedEnvironment,
): Promise<() => Promise<void>> {
  const found = await interpreterOfVersion(config, environment.python);
  return await holdTree(cache, environmentKey(environment, found));
}

/** Removes the environments least recently used above the budget. Those that attempts hold stay. */
export async function keepWithin({
  cache,
  config,
}: Pick<EnvironmentDeps, "cache" | "config">): Promise<void> {
  const policy = { maxBytes: config.python.environmentBytes };
  // A tree that cannot be measured now is measured after the next build.
  await pruneCodeCache(cache, { policy }).catch(() => {});
}

/** @throws EnvironmentError `bad-lock` when the file is not the one that was signed. */
async function readLock({ requirements, digest }: LockedEnvironment, codeDir: string): Promise<Buffer> {
  const bytes = await readFile(join(codeDir, requirements)).catch(() => null);
  if (bytes === null)
    throw new EnvironmentError("bad-lock", "The code has no requirements file for its environment.");
  if (createHash("sha256").update(bytes).digest("hex") !== digest)
    throw new EnvironmentError("bad-lock", "The requirements are not those that were signed.");
  return bytes;
}

interface Build {
  readonly environment: LockedEnvironment;
  readonly interpreter: Interpreter;
  readonly requirements: readonly Requirement[];
  readonly dir: string;
  /** Where the environment lies once it is complete. */
  readonly finalDir: string;
  readonly scratch: string;
  readonly signal: AbortSignal;
}

async function build(deps: EnvironmentDeps, args: Build): Promise<void> {
  const { buildMs = BUILD_MS } = deps;
  const late = AbortSignal.timeout(buildMs);
  const signal = AbortSignal.any([args.signal, late]);
  const { interpreter, dir, scratch } = args;
  try {
    await mkdir(deps.downloads, { recursive: true, mode: 0o700 });
    await install({
      interpreter,
      environment: dir,
      ...(await writeRequirements(args)),
      indexes: await openIndexes(deps.config, args.environment.indexes),
      scratch,
      cache: deps.downloads,
      env: deps.env,
      signal,
    });
    await compile(args, { ...deps.env }, signal);
    await nameFinalFolder(args);
  } catch (error) {
    if (late.aborted && !args.signal.aborted)
      throw new EnvironmentError(
        "timeout",
        `The environment was not built within ${Math.round(buildMs / 1000)} s.`,
      );
    throw error;
  }
}

/** Writes what comes as wheels to one file, and what may be built to another: building needs the tools among the wheels. */
async function writeRequirements({
  requirements,
  environment,
  scratch,
}: Build): Promise<Pick<Installation, "wheels" | "sources">> {
  const named = new Set(environment.build.map(normalised));
  const write = async (name: string, some: readonly Requirement[]) => {
    const path = join(scratch, name);
    await writeFile(path, some.map(({ text }) => `${text}\n`).join(""));
    return path;
  };
  const built = requirements.filter(({ name }) => named.has(name));
  const wheels = await write(
    "wheels.txt",
    requirements.filter(({ name }) => !named.has(name)),
  );
  return { wheels, sources: built.length === 0 ? null : await write("sources.txt", built) };
}

/** Workers forbid writing bytecode. Without it, each process would compile what it imports. */
async function compile(
  { interpreter, dir, scratch }: Build,
  env: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const words = ["-I", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"];
  // A file that does not compile fails only where it is imported.
  await runTool([interpreter.path, ...words, "-x", NOT_COMPILED, join(dir, "lib")], {
    cwd: scratch,
    env,
    signal,
  });
}

/** The scripts of packages name their interpreter by the folder of the build. */
async function nameFinalFolder({ dir, finalDir }: Build): Promise<void> {
  const bin = join(dir, "bin");
  for (const entry of await readdir(bin, { withFileTypes: true })) {
    if (!entry.isFile() || !(await isScript(join(bin, entry.name)))) continue;
    const text = await readFile(join(bin, entry.name), "latin1");
    await writeFile(join(bin, entry.name), text.replaceAll(dir, finalDir), "latin1");
  }
}

async function isScript(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { buffer } = await file.read(Buffer.alloc(SCRIPT.length), 0, SCRIPT.length, 0);
    return buffer.toString("latin1") === SCRIPT;
  } finally {
    await file.close();
  }
}

/** The name of the index of a lock that names none. */
const DEFAULT_INDEX = "default";

/** @throws EnvironmentError `unknown-index` for an index that this worker's configuration does not name. */
async function openIndexes(
  config: EnvironmentDeps["config"],
  names: readonly string[],
): Promise<readonly OpenIndex[]> {
  const asked = names.length === 0 ? [DEFAULT_INDEX] : names;
  return await Promise.all(
    asked.map(async (name) => {
      const index = Object.hasOwn(config.python.indexes, name) ? config.python.indexes[name] : undefined;
      if (index === undefined)
        throw new EnvironmentError("unknown-index", `This worker has no package index called "${name}".`);
      return await openIndex(config, name, index);
    }),
  );
}

async function openIndex(
  config: EnvironmentDeps["config"],
  name: string,
  index: PythonIndex,
): Promise<OpenIndex> {
  if ("folder" in index) return { folder: index.folder };
  const url = new URL(index.url);
  if (index.username !== undefined) url.username = encodeURIComponent(index.username);
  if (index.password !== undefined)
    url.password = encodeURIComponent(
      await readSecret(config, { name: `the password of package index "${name}"`, source: index.password }),
    );
  return { url: url.href };
}
