import { spawn } from "node:child_process";
import { renameSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, dirname } from "node:path";
import { commandEnvironment } from "./config.ts";
import { packagesPreload } from "./find-packages.ts";
import type { RunnerTask } from "./runner-message.ts";

type CommandTask = Extract<RunnerTask, { kind: "command" }>;

/** How a command ended, as its runner writes it down. */
export interface CommandExit {
  readonly code: number | null;
  readonly signal: string | null;
  /** Why it could not be started. */
  readonly error: string | null;
}

/** The exit code of shells for a command that was not found. */
const NOT_FOUND_CODE = 127;

/**
 * Runs a plain command in the code's folder and writes down how it ended. Signals to the group are for the
 * command. The runner stays until the command is gone: while the worker is away, only it sees the exit code.
 * @returns The exit code of the runner itself.
 */
export async function runCommand(task: CommandTask): Promise<number> {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => {});
  const exit = await waitForCommand(task);
  const draft = `${task.exitFile}.draft`;
  writeFileSync(draft, JSON.stringify(exit), { mode: 0o600 });
  renameSync(draft, task.exitFile);
  return exit.code ?? (exit.signal === null ? NOT_FOUND_CODE : 128 + signalNumber(exit.signal));
}

const PYTHON_NAMES = ["python", "python3"];

/**
 * The command with its interpreter of Python. Its folder comes first on the PATH for the scripts of packages. The folder of a
 * system's interpreter may have another `python3`, so the command's own word is replaced.
 */
function withPython(task: Pick<CommandTask, "argv" | "env" | "python">): {
  argv: readonly string[];
  env: NodeJS.ProcessEnv;
} {
  const { argv, python } = task;
  const env = commandEnvironment(task.env);
  if (python === null) return { argv, env };
  const [program = "", ...rest] = argv;
  return {
    argv: [PYTHON_NAMES.includes(program) ? python : program, ...rest],
    env: { ...env, PATH: [dirname(python), env.PATH].filter(Boolean).join(delimiter) },
  };
}

/**
 * The command with its npm packages. They are for the worker's own Node, so that is what `node` is. Programs that it starts find the
 * packages too.
 */
function withPackages(
  { packages, cwd }: Pick<CommandTask, "packages" | "cwd">,
  { argv, env }: ReturnType<typeof withPython>,
): ReturnType<typeof withPython> {
  const [program = "", ...rest] = argv;
  if (packages === null || program !== "node") return { argv, env };
  const options = [env.NODE_OPTIONS, `--import=${packagesPreload({ codeDir: cwd, packages })}`];
  return {
    argv: [process.execPath, ...rest],
    env: { ...env, NODE_OPTIONS: options.filter(Boolean).join(" ") },
  };
}

async function waitForCommand(task: CommandTask): Promise<CommandExit> {
  const { argv, env } = withPackages(task, withPython(task));
  const [program = "", ...rest] = argv;
  const { promise, resolve } = Promise.withResolvers<CommandExit>();
  try {
    const child = spawn(program, rest, {
      cwd: task.cwd,
      env,
      stdio: ["ignore", "inherit", "inherit"],
    });
    child.once("error", (error) => resolve({ code: null, signal: null, error: error.message }));
    child.once("exit", (code, signal) => resolve({ code, signal, error: null }));
  } catch (error) {
    resolve({ code: null, signal: null, error: error instanceof Error ? error.message : String(error) });
  }
  return await promise;
}

function signalNumber(name: string): number {
  return Object.entries(constants.signals).find(([signal]) => signal === name)?.[1] ?? 0;
}
