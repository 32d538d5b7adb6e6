import { spawn } from "node:child_process";
import { constants } from "node:os";
import { EXIT } from "../failure.ts";
import type { Invocation } from "./invocation.ts";
import { programArguments } from "./programs.ts";

/** The exit code with which a worker says that its configuration has faults. */
const WORKER_CONFIG = 2;
/** Codes from here on mean the same in every program of ours, or name a signal. */
const SHARED_FROM = 64;

/**
 * What another program's exit code is as ours, of which those below 64 are outcomes of runs: a program that failed is
 * no failed run, and one that is set up wrongly no cancelled one.
 */
export function exitOfProgram(code: number): number {
  if (code === 0 || code >= SHARED_FROM) return code;
  return code === WORKER_CONFIG ? EXIT.configuration : EXIT.internal;
}

/** Our environment for a program that prints in our place, with what our options say of how. */
export function programEnvironment({ config, globals }: Invocation): Invocation["config"]["environment"] {
  return {
    ...config.environment,
    ...(globals.json === true ? { LOG_FORMAT: "json" } : {}),
    ...(globals.color === false ? { NO_COLOR: "1" } : {}),
  };
}

/** Runs a program of ours in the foreground, handing on the signals that reach only us. @returns Our exit code. */
export function inForeground(
  name: Parameters<typeof programArguments>[0],
  options: { args: readonly string[]; environment: Invocation["config"]["environment"] },
): Promise<number> {
  return new Promise((settle, reject) => {
    const child = spawn(process.execPath, programArguments(name, ...options.args), {
      stdio: "inherit",
      env: options.environment,
    });
    // At a terminal Ctrl-C reaches the child as well; a second copy would look like the second, impatient one.
    const pass = (signal: NodeJS.Signals) => {
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
    };
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
    for (const signal of signals) process.on(signal, pass);
    child.once("error", reject);
    child.once("close", (code, signal) => {
      for (const one of signals) process.off(one, pass);
      settle(exitOfProgram(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    });
  });
}
