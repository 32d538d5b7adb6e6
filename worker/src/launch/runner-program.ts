import { existsSync, realpathSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type AttemptUser, UMASK } from "../walls/index.ts";
import { PYTHON_SDK } from "./python-sdk.ts";

/** What a runner is a process of: Node, or an interpreter of Python. */
export type RunnerProgram =
  | { readonly kind: "node" }
  | {
      readonly kind: "python";
      /** The absolute path of the interpreter. */
      readonly interpreter: string;
    };

/** The program of flows in TypeScript and of commands. */
export const NODE: RunnerProgram = { kind: "node" };

/** Beside this module: TypeScript here, JavaScript in the published package. */
const RUNNER_FILE = fileURLToPath(new URL(`./runner${extname(import.meta.url)}`, import.meta.url));
/** The files of this package that each attempt reads. */
export function programFiles(): string[] {
  return [RUNNER_FILE, PYTHON_SDK];
}

/**
 * The folders of programs that attempts start, wherever they are installed: this package's, Node's and those of interpreters. The
 * interpreter of a virtual environment is a link to that of another installation.
 */
export function programFolders(interpreters: readonly string[]): string[] {
  const programs = [process.execPath, ...interpreters].flatMap((program) => [program, targetOf(program)]);
  return [packagesFolder(RUNNER_FILE), PYTHON_SDK, ...new Set(programs.map(installation))];
}

function targetOf(program: string): string {
  try {
    return realpathSync(program);
  } catch {
    return program;
  }
}

/** The outermost `node_modules` around a file, or else the nearest folder that has one: a module imports from there. */
function packagesFolder(file: string): string {
  const at = file.indexOf("/node_modules/");
  if (at !== -1) return file.slice(0, at + "/node_modules".length);
  const above = (folder: string): string =>
    folder === dirname(folder) || existsSync(join(folder, "node_modules")) ? folder : above(dirname(folder));
  const found = above(dirname(file));
  return found === dirname(found) ? dirname(file) : found;
}

/** What was installed with a program: the folder above its `bin`. A home folder or a folder of the system is more than that. */
function installation(program: string): string {
  const prefix = dirname(dirname(program));
  const isMore = dirname(prefix) === "/" || prefix === "/" || dirname(prefix) === "/home";
  return isMore ? program : prefix;
}

/**
 * By default V8 lets the space for new objects grow to three times 32 MiB in a long process, needed or not. With
 * 8 MiB a run takes much less memory and no more time.
 */
const RUNNER_FLAGS = ["--disable-warning=ExperimentalWarning", "--max-semi-space-size=8"];
/**
 * The environment's own package comes first, and the worker's stands in where there is none. The current folder is no place of
 * modules until there is code. Nothing writes bytecode beside the modules, so that of the worker's package is in a cache of its own,
 * also for modules that a flow imports late. Without it, a start took 190 ms of processor time more.
 */
const PYTHON_RUNNER = `
import os, sys
from importlib.machinery import FileFinder, SourceFileLoader
_, sdk, cache, umask = sys.argv
if umask:
    os.umask(int(umask, 8))
class Compiled(SourceFileLoader):
    def get_data(self, path):
        return super().get_data(cache + path.replace("/__pycache__/", "/") if path.endswith(".pyc") else path)
def finder(path):
    if path != sdk and not path.startswith(sdk + "/"):
        raise ImportError(path)
    return FileFinder(path, (Compiled, [".py"]))
sys.path_hooks.insert(0, finder)
sys.path[:] = [*filter(None, sys.path), sdk]
from towpath._internal.engine.run_in_worker import main
main()
`.trim();

/** Files of an attempt that has the worker's user are for that user alone. */
const OWN_UMASK = "077";

/** The worker's own package of Python, and the folder of its compiled code, which `compilePackage` fills. */
export function packageOf(
  { interpreter }: Extract<RunnerProgram, { kind: "python" }>,
  compileCacheDir: string,
): { interpreter: string; sources: string; cacheDir: string } {
  return { interpreter, sources: PYTHON_SDK, cacheDir: pythonCache(compileCacheDir) };
}

const pythonCache = (compileCacheDir: string) => join(compileCacheDir, "python");

/**
 * The command that starts a runner. A runner behind a wall writes no compiled code that others would run: it has the
 * worker's compiled package of Python to read, and compiles other modules for itself.
 */
export function runnerCommand(
  program: RunnerProgram,
  args: { compileCacheDir: string; user: AttemptUser | null; isWalled: boolean },
): { file: string; argv: string[] } {
  const ownUmask = args.user === null ? OWN_UMASK : UMASK;
  const umask = args.isWalled ? ownUmask : "";
  const compileCache = args.isWalled ? "" : args.compileCacheDir;
  if (program.kind === "node")
    return { file: process.execPath, argv: [...RUNNER_FLAGS, RUNNER_FILE, compileCache, umask] };
  // -B: compiled files would change the sealed code.
  return {
    file: program.interpreter,
    argv: ["-B", "-u", "-c", PYTHON_RUNNER, PYTHON_SDK, pythonCache(args.compileCacheDir), umask],
  };
}
