import { execFile } from "node:child_process";
import { promisify } from "node:util";

const runFile = promisify(execFile);
const TIME_LIMIT_MS = 120_000;

const COMPILE = `
import compileall, os, sys
os.umask(0o022)
sys.pycache_prefix = sys.argv[1]
compileall.compile_dir(sys.argv[2], quiet=2)
`.trim();

/** By interpreter and folder of results. */
const compiled = new Map<string, Promise<void>>();

/**
 * Compiles the worker's own package of Python for an interpreter, once. It reads no other package, so that nothing that a flow
 * brings runs as the worker's user. All users may read the result, whatever the worker's umask. Without it each process compiles the
 * package itself.
 */
export async function compilePackage(args: {
  readonly interpreter: string;
  readonly sources: string;
  readonly cacheDir: string;
}): Promise<void> {
  const { interpreter, sources, cacheDir } = args;
  const key = JSON.stringify([interpreter, cacheDir]);
  const words = ["-I", "-S", "-c", COMPILE, cacheDir, sources];
  const compiling =
    compiled.get(key) ??
    runFile(interpreter, words, { cwd: "/", env: {}, timeout: TIME_LIMIT_MS }).then(
      () => {},
      () => {},
    );
  compiled.set(key, compiling);
  await compiling;
}
