import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

const ROOT = new URL("../../", import.meta.url);
const FOLDER = fileURLToPath(new URL("sdk/python/", ROOT));
/** The package's compiled code, outside of its sources. Its tests start hundreds of processes that import it. */
const COMPILED = fileURLToPath(new URL("node_modules/.cache/towpath-tests/python", ROOT));

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** Runs a Python in the package's folder, or in that of a copy. */
export async function runIn(path: string, args: readonly string[], cwd: string = FOLDER): Promise<Ended> {
  // A changed copy is compiled anew each time: Python sees no change that keeps a file's second and size.
  // A flow in it that a mutation keeps from ending is ended sooner.
  const ofTree =
    cwd === FOLDER
      ? { PYTHONPYCACHEPREFIX: COMPILED }
      : { PYTHONDONTWRITEBYTECODE: "1", TOWPATH_TESTS_WITHIN_S: "60" };
  const env = { PATH: process.env.PATH, PYTHONPATH: "src", ...ofTree };
  const child = spawn(path, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  const { promise, resolve, reject } = Promise.withResolvers<Ended>();
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  child.once("error", reject);
  child.once("close", (code) => resolve({ code, output }));
  return await promise;
}

/** Runs the package's own tests. */
export async function ownTests(path: string): Promise<void> {
  const { code, output } = await runIn(path, ["-m", "unittest", "discover", "-s", ".", "-t", "."]);
  expect(code, output).toBe(0);
  // A folder without tests would pass too.
  expect(output).toMatch(/Ran \d\d+ tests/);
}
