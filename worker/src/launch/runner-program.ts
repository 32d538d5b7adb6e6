import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
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
/**
 * By default V8 lets the space for new objects grow to three times 32 MiB in a long process, needed or not. With
 * 8 MiB a run takes much less memory and no more time.
 */
const RUNNER_FLAGS = ["--disable-warning=ExperimentalWarning", "--max-semi-space-size=8"];
/**
 * The environment's own package comes first, and the worker's stands in where there is none. The current folder is no place of
 * modules until there is code. Nothing may write bytecode beside the modules, so that of the worker's package is in a cache of
 * its own: compiling the package took 190 ms of processor time at each start.
 */
const PYTHON_RUNNER = `
import sys
_, sdk, cache = sys.argv
sys.path[:] = [*filter(None, sys.path), sdk]
import towpath
if towpath.__file__.startswith(sdk):
    sys.dont_write_bytecode, sys.pycache_prefix = False, cache
from towpath._internal.engine.run_in_worker import main
sys.dont_write_bytecode, sys.pycache_prefix = True, None
main()
`.trim();

/** The command that starts a runner. */
export function runnerCommand(
  program: RunnerProgram,
  args: { compileCacheDir: string },
): { file: string; argv: string[] } {
  if (program.kind === "node")
    return { file: process.execPath, argv: [...RUNNER_FLAGS, RUNNER_FILE, args.compileCacheDir] };
  // -B: compiled files would change the sealed code.
  return {
    file: program.interpreter,
    argv: ["-B", "-u", "-c", PYTHON_RUNNER, PYTHON_SDK, join(args.compileCacheDir, "python")],
  };
}
