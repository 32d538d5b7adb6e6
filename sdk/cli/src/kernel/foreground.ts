import { spawn } from "node:child_process";
import { constants } from "node:os";
import { EXIT } from "../failure.ts";
import type { Invocation } from "./invocation.ts";
import { programArguments } from "./programs.ts";

/** The worker's exit code for a faulty configuration. */
const WORKER_CONFIG = 2;
/** From here on, exit codes mean the same in all our programs, or name a signal. */
const SHARED_FROM = 64;

/**
 * Translates another program's exit code. Ours below 64 are outcomes of runs, so a failure of the program needs another
 * code.
 */
export function exitOfProgram(code: number): number {
  if (code === 0 || code >= SHARED_FROM) return code;
  return code === WORKER_CONFIG ? EXIT.configuration : EXIT.internal;
}

/** The environment for a program that prints instead of us, with our options for its output. */
export function programEnvironment({ config, globals }: Invocation): Invocation["config"]["environment"] {
  return {
    ...config.environment,
    ...(globals.json === true ? { LOG_FORMAT: "json" } : {}),
    ...(globals.color === false ? { NO_COLOR: "1" } : {}),
  };
}

/**
 * Runs one of our programs in the foreground and passes signals on. The program ends when this process is gone, even after
 * `kill -9`: the channel between them closes. @returns Our exit code.
 */
export function inForeground(
  name: Parameters<typeof programArguments>[0],
  options: { args: readonly string[]; environment: Invocation["config"]["environment"] },
): Promise<number> {
  return new Promise((settle, reject) => {
    const child = spawn(process.execPath, programArguments(name, ...options.args), {
      stdio: ["inherit", "inherit", "inherit", "ipc"],
      env: options.environment,
    });
    // At a terminal Ctrl-C also reaches the child. A second signal would kill it at once.
    let isStopping = false;
    const pass = (signal: NodeJS.Signals) => {
      isStopping = true;
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
    };
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
    for (const signal of signals) process.on(signal, pass);
    // A stop of all three ends npx first. Then the child knows already.
    onNpxGone(options.environment, () => isStopping || child.kill("SIGTERM"));
    child.once("error", reject);
    child.once("close", (code, signal) => {
      for (const one of signals) process.off(one, pass);
      settle(exitOfProgram(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    });
  });
}

/** How often a command that `npx` started checks whether `npx` still runs, milliseconds. */
const NPX_CHECK_MS = 1_000;

/**
 * Calls back once when the `npx` that started this process is gone. `npx` starts a shell between, and a signal that ends
 * both reaches this process only from a terminal. No other parent is watched: it may have left this process to run.
 */
export function onNpxGone(environment: Invocation["config"]["environment"], act: () => void): void {
  if (environment.npm_command !== "exec") return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    act();
  }, NPX_CHECK_MS);
  timer.unref();
}
