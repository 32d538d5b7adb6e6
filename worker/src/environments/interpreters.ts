import { execFile } from "node:child_process";
import { access, constants, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import type { Entry } from "@towpath/contract";
import type { WorkerConfig } from "../config.ts";
import { Refusal } from "../trust/index.ts";

const run = promisify(execFile);

/** An interpreter of Python on this machine. */
export interface Interpreter {
  /** The absolute path of its program, which may be a script that sets up an environment. */
  readonly path: string;
  /** What Python itself says is its program. */
  readonly executable: string;
  /** Its version, `3.12.1`. */
  readonly version: string;
  /** The folder of its environment, if the worker has built one. */
  readonly environmentDir?: string;
}

/** The oldest Python that the package `towpath` supports. */
const OLDEST_MINOR = 10;
/** How long an interpreter may take to say its version, milliseconds. A network disk may be slow. */
const PROBE_MS = 30_000;
/** The name of the interpreter of flows that name none, if the configuration has one of this name. */
const DEFAULT_NAME = "default";
const PROBE = "import sys; print(sys.executable); print('.'.join(map(str, sys.version_info[:3])))";

type Config = Pick<WorkerConfig, "python" | "environment">;

/** By path and time of change. An interpreter that failed is asked again. */
const known = new Map<string, Interpreter>();

/**
 * Checks what can be known before the code is there.
 * @throws Refusal when the configuration names no such interpreter.
 */
export function checkEnvironment(config: Config, entry: Entry): void {
  const environment = entry.kind === "flow" ? undefined : entry.environment;
  if (environment?.kind === "interpreter") namedPath(config, environment.name);
}

/**
 * Finds the interpreter of a name, or the default one.
 * @throws Refusal when it is not there, or is too old.
 */
export async function interpreterFor(config: Config, name: string | null): Promise<Interpreter> {
  if (name !== null) return await probe(namedPath(config, name));
  const path = config.python.interpreters[DEFAULT_NAME];
  if (path !== undefined) return await probe(path);
  const found = await onPath(config.environment.PATH ?? "", "python3");
  // A program on the PATH may be a script that looks for the real one at each start.
  if (found !== null) return await probe((await probe(found)).executable);
  throw new Refusal(
    "no-python",
    `This worker has no Python: there is no python3 on its PATH. Install Python 3.${OLDEST_MINOR} or later on its machine, or set python.interpreters.${DEFAULT_NAME} in its configuration.`,
  );
}

/**
 * Finds an interpreter of a version: one of the configuration, else one of the PATH.
 * @param minor such as `3.12`.
 * @throws Refusal when there is none.
 */
export async function interpreterOfVersion(config: Config, minor: string): Promise<Interpreter> {
  const { [DEFAULT_NAME]: first, ...others } = config.python.interpreters;
  for (const path of [first, ...Object.values(others)]) {
    const found = path === undefined ? null : await probeIfRight(path, minor);
    if (found !== null) return found;
  }
  for (const program of [`python${minor}`, "python3"]) {
    const path = await onPath(config.environment.PATH ?? "", program);
    const found = path === null ? null : await probeIfRight(path, minor);
    if (found !== null) return await probe(found.executable);
  }
  throw new Refusal(
    "no-python",
    `This worker has no Python ${minor}. Install it on its machine, or add it to python.interpreters in its configuration.`,
  );
}

/** Where the default interpreter is: in the configuration, else in the PATH. Null: there is none. */
export async function defaultPython(config: Config): Promise<string | null> {
  return config.python.interpreters[DEFAULT_NAME] ?? (await onPath(config.environment.PATH ?? "", "python3"));
}

/** Null for another version, and for a program that cannot be started. */
async function probeIfRight(path: string, minor: string): Promise<Interpreter | null> {
  try {
    const found = await probe(path);
    return found.version.startsWith(`${minor}.`) ? found : null;
  } catch (error) {
    if (error instanceof Refusal) return null;
    throw error;
  }
}

function namedPath({ python }: Config, name: string): string {
  const path = Object.hasOwn(python.interpreters, name) ? python.interpreters[name] : undefined;
  if (path !== undefined) return path;
  throw new Refusal(
    "no-python",
    `This worker has no interpreter called "${name}". Add it to python.interpreters in its configuration.`,
  );
}

async function onPath(searched: string, program: string): Promise<string | null> {
  for (const folder of searched.split(delimiter).filter(Boolean)) {
    const path = join(folder, program);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return null;
}

async function probe(path: string): Promise<Interpreter> {
  const there = await stat(path).catch(() => null);
  if (there === null)
    throw new Refusal(
      "no-python",
      `The worker's interpreter ${path} is not there. Correct its path in the worker's configuration.`,
    );
  const key = `${path} ${there.mtimeMs} ${there.ino}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  const found = await ask(path);
  known.set(key, found);
  return found;
}

async function ask(path: string): Promise<Interpreter> {
  const said = await run(path, ["-I", "-c", PROBE], { timeout: PROBE_MS }).catch(() => null);
  const [executable = "", version = ""] = said?.stdout.trim().split("\n") ?? [];
  const [, major, minor] = /^(\d+)\.(\d+)\.\d+$/.exec(version) ?? [];
  if (executable === "" || major === undefined)
    throw new Refusal(
      "no-python",
      `${path} on the worker's machine is no Python that can be started. Correct python.interpreters in the worker's configuration.`,
    );
  if (Number(major) !== 3 || Number(minor) < OLDEST_MINOR)
    throw new Refusal(
      "no-python",
      `${path} on the worker's machine is Python ${version}. Flows need Python 3.${OLDEST_MINOR} or later: set python.interpreters.${DEFAULT_NAME} in the worker's configuration.`,
    );
  return { path, executable, version };
}
