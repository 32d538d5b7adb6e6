import { type ChildProcess, spawn } from "node:child_process";
import { type ProjectPython, pythonFor } from "./python-for.ts";
import { PYTHON_SDK } from "./python-sdk.ts";

/**
 * Loads the package `towpath` and waits for a request: then its output goes to a file, as that of a process without a wait. It ends
 * with its parent. Until then no folder of the project is a place of modules, so it runs no code of a user.
 */
const WAIT = `
import json, os, sys
sys.path[:] = [*filter(None, sys.path), sys.argv.pop(1)]
from towpath._internal import describe
describe.load_ahead()
line = sys.stdin.readline()
if line:
    told = json.loads(line)
    output = os.open(told["output"], os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    os.chdir(told["folder"])
    sys.path.insert(0, "")
    sys.argv[1:] = told["words"]
    describe.main()
`.trim();

/** A Python that has loaded the package and waits for its one request. */
interface Waiting {
  readonly path: string;
  readonly child: ChildProcess;
}

let waiting: Waiting | null = null;

/** Starts the project's Python before there is a request, which is most of the time of a small one. */
export function describeAhead(root: string): void {
  const { path } = pythonFor(root);
  const child = spawn(path, ["-B", "-c", WAIT, PYTHON_SDK], {
    cwd: "/",
    stdio: ["pipe", "ignore", "ignore"],
  });
  // What is wrong with this Python is found and shown by the next one.
  child.on("error", () => undefined);
  child.stdin?.on("error", () => undefined);
  child.unref();
  waiting = { path, child };
}

/** Gives the request to the Python that waits. Null: none does, or it is another one. */
export function tellWaiting(
  python: ProjectPython,
  request: { words: readonly string[]; folder: string; output: string },
): ChildProcess | null {
  const found = waiting;
  waiting = null;
  if (
    found === null ||
    found.child.exitCode !== null ||
    found.child.signalCode !== null ||
    found.child.pid === undefined
  )
    return null;
  if (found.path !== python.path) {
    found.child.kill();
    return null;
  }
  found.child.ref();
  found.child.stdin?.end(`${JSON.stringify(request)}\n`);
  return found.child;
}
