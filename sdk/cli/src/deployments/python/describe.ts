import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { shellWord } from "@towpath/contract";
import { z } from "zod";
import { Failure } from "../../failure.ts";
import { readIfThere } from "../../kernel/state-folder.ts";
import { tellWaiting } from "./describe-ahead.ts";
import { type ProjectPython, pythonFor } from "./python-for.ts";
import { PYTHON_SDK } from "./python-sdk.ts";

/** How long all imports of a project may take, seconds. Large libraries need several on a slow disk. */
const LIMIT_SECONDS = 180;
/** How much longer we wait until the process is killed from outside. */
const KILL_AFTER_MS = 15_000;
/** The last lines of output that a failure shows. */
const LINES_MAX = 6;

/** The environment's own package comes first. Without one, a project can be deployed all the same. */
const DESCRIBE =
  "import sys; sys.path[:] = ['', *filter(None, sys.path), sys.argv.pop(1)]; from towpath._internal.describe import main; main()";

/** The place of a flow: its module, relative to the project, and its name there. */
export interface PythonPlace {
  readonly module: string;
  readonly function: string;
}

const RemoteTask = z.object({
  pools: z.array(z.string()),
  isOpen: z.boolean(),
  compute: z.record(z.string(), z.unknown()).nullable().default(null),
});

const Flow = z.object({
  module: z.string(),
  function: z.string(),
  name: z.string(),
  parameters: z.record(z.string(), z.unknown()),
  dueInput: z.boolean(),
  compute: z.record(z.string(), z.unknown()).nullable(),
  remoteTasks: z.record(z.string(), RemoteTask).catch({}),
  resources: z
    .array(
      z.object({
        name: z.string(),
        settings: z.unknown(),
        schema: z.record(z.string(), z.unknown()).nullable(),
      }),
    )
    .catch([]),
  files: z.array(z.string()).nullable(),
  tasks: z.record(z.string(), z.string()).catch({}),
  limits: z.array(z.object({ limit: z.string(), task: z.string() })).catch([]),
});
/**
 * A flow as its module declares it. `files`: the project's files that it imports; null if it may use any.
 * `tasks`: the version of each task by its name. `limits`: the named limits of these tasks.
 */
export type PythonFlowFacts = z.output<typeof Flow>;

const Answer = z.union([
  z.object({
    error: z.object({ code: z.string(), message: z.string(), next: z.array(z.string()) }),
  }),
  z.object({
    python: z.string(),
    config: z.record(z.string(), z.unknown()).nullable(),
    flows: z.array(Flow),
  }),
]);

/** What a project's Python says of it. */
export interface Description {
  /** The version of Python, `3.12.1`. */
  readonly python: string;
  /** What `towpath_config.py` describes, as `[tool.towpath]` has it. Null if it was not asked for. */
  readonly config: Readonly<Record<string, unknown>> | null;
  readonly flows: readonly PythonFlowFacts[];
}

/** What to describe. */
export interface DescribeRequest {
  /** The path of `towpath_config.py`. Null: none. Its flows are described too. */
  readonly config: string | null;
  readonly flows: readonly PythonPlace[];
  /** Whether flows may be imported. */
  readonly imports: boolean;
}

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

function faulty(code: string, message: string, next: readonly string[]): Failure {
  return new Failure(message, { exit: "configuration", code, next });
}

/** Runs Python, or tells the one that waits. Its output goes to a file: a process that a module has started may keep a pipe open. */
async function runPython(
  python: ProjectPython,
  args: { words: readonly [request: string, answer: string]; folder: string; limitMs: number },
): Promise<Ended> {
  const { words, folder, limitMs } = args;
  const path = join(folder, "output");
  await using output = await open(path, "w");
  const told = tellWaiting(python, { words, folder, output: path });
  if (told !== null) {
    const ended = await endOf(told, limitMs);
    // One that ended while it waited has loaded nothing. The next one shows why.
    if (ended.code === 0 || existsSync(nowFile(words[1]))) return ended;
  }
  const child = spawn(python.path, ["-B", "-c", DESCRIBE, PYTHON_SDK, ...words], {
    cwd: folder,
    stdio: ["ignore", output.fd, output.fd],
  });
  return await endOf(child, limitMs);
}

/** The file that names what is being loaded. */
const nowFile = (answerFile: string) => `${answerFile}.now`;

async function endOf(child: ChildProcess, limitMs: number): Promise<Ended> {
  const killing = setTimeout(() => child.kill("SIGKILL"), limitMs);
  try {
    return await new Promise<Ended>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) => resolve({ code, signal }));
    });
  } finally {
    clearTimeout(killing);
  }
}

function noPython(python: ProjectPython, cause: unknown): Failure {
  return new Failure(`Python was not found: ${python.path} (${python.from}) cannot be started.`, {
    exit: "configuration",
    code: "no-python",
    next: [
      "install Python 3.10 or later",
      "or create the project's environment: `python3 -m venv .venv`, then `.venv/bin/pip install towpath`",
    ],
    cause,
  });
}

/** The author's frames in a traceback of `faulthandler`, innermost first. */
function framesIn(output: string, root: string): string[] {
  const frames = [...output.matchAll(/File "([^"]+)", line (\d+) in (.+)/g)];
  return frames
    .filter(([, file = ""]) => file.startsWith(`${root}/`))
    .map(([, file = "", line, name]) => `at ${file.slice(root.length + 1)}:${line} in ${name}`)
    .slice(0, LINES_MAX);
}

/** Why Python ended without an answer. */
function withoutAnswer(
  python: ProjectPython,
  args: { root: string; output: string; now: string; ended: Ended; limitSeconds: number },
): Failure {
  const { root, output, now, ended, limitSeconds } = args;
  const said = output.trimEnd().split("\n").slice(-LINES_MAX);
  const program = shellWord(python.path);
  if (/No module named '?towpath/.test(output))
    return faulty(
      "towpath-missing",
      `The package towpath is missing, or too old, in ${python.path} (${python.from}).`,
      [
        python.from === "PATH"
          ? "create the project's environment: `python3 -m venv .venv`, then `.venv/bin/pip install --upgrade towpath`"
          : `install it: \`${program} -m pip install --upgrade towpath\``,
      ],
    );
  if (now === "")
    return faulty("python-failed", `${python.path} (${python.from}) cannot describe the project's flows.`, [
      ...said,
      `check its version with \`${program} --version\`: towpath needs Python 3.10 or later`,
    ]);
  if (/^Timeout \(/m.test(output) || ended.signal === "SIGKILL")
    return faulty("module-hangs", `${now} was not imported within ${limitSeconds} s.`, [
      ...framesIn(output, root),
      'put what the program does below `if __name__ == "__main__":`',
    ]);
  const how = ended.signal === null ? `with exit code ${ended.code}` : `by ${ended.signal}`;
  return faulty("module-exits", `${now} ended the Python process when it was imported, ${how}.`, [
    ...framesIn(output, root),
    ...said.filter((line) => line !== ""),
    'put what the program does below `if __name__ == "__main__":`',
  ]);
}

/**
 * Asks a project's Python for its flows and its configuration. What modules print is dropped.
 * @param limitSeconds How long all imports may take.
 * @throws Failure that names the module and the next step: it fails, exits or hangs when it is imported, it has no such
 * flow, or Python or the package `towpath` is missing.
 */
export async function describePython(
  root: string,
  request: DescribeRequest,
  limitSeconds = LIMIT_SECONDS,
): Promise<Description> {
  const python = pythonFor(root);
  const folder = await mkdtemp(join(tmpdir(), "towpath-describe-"));
  try {
    const [requestFile, answerFile] = [join(folder, "request.json"), join(folder, "answer.json")];
    await writeFile(requestFile, JSON.stringify({ ...request, root, limitSeconds }));
    const ended = await runPython(python, {
      words: [requestFile, answerFile],
      folder,
      limitMs: limitSeconds * 1000 + KILL_AFTER_MS,
    }).catch((cause: unknown) => {
      throw noPython(python, cause);
    });
    const answer = await readIfThere(answerFile);
    if (answer === null) {
      const output = await readFile(join(folder, "output"), "utf8");
      const now = (await readIfThere(nowFile(answerFile))) ?? "";
      throw withoutAnswer(python, { root, output, now, ended, limitSeconds });
    }
    const parsed = Answer.parse(JSON.parse(answer));
    if ("error" in parsed) throw faulty(parsed.error.code, parsed.error.message, parsed.error.next);
    return parsed;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
