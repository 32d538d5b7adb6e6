import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { endWithUs } from "./guard.ts";

/** The most output to keep per process, characters. */
const OUTPUT_MAX = 4_000_000;

/** A process under test: its output so far, and ways to wait for it. */
export interface TestProcess extends AsyncDisposable {
  readonly pid: number;
  /** Its output on stdout and stderr, in one text. */
  output(): string;
  /** Resolves with the first match in its output. Rejects if the process ends first, or after `withinMs`. */
  waitFor(pattern: RegExp, withinMs?: number): Promise<RegExpExecArray>;
  /** Resolves with its exit code, or with the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
  kill(signal: NodeJS.Signals): void;
}

function startOutput(child: ChildProcess) {
  let text = "";
  const listeners = new Set<() => void>();
  const take = (chunk: Buffer) => {
    if (text.length < OUTPUT_MAX) text += chunk.toString();
    for (const listener of [...listeners]) listener();
  };
  child.stdout?.on("data", take);
  child.stderr?.on("data", take);
  return { text: () => text, listeners };
}

/**
 * Starts a process and captures its output. The process ends when this one ends, even by SIGKILL.
 * @param args.group sends signals to the whole process group, as a terminal does
 */
export function startProcess(options: {
  command: string;
  args: readonly string[];
  env: NodeJS.ProcessEnv;
  cwd?: string;
  group?: boolean;
}): TestProcess {
  const { group: detached = false } = options;
  const stdio = ["ignore", "pipe", "pipe"] as const;
  const child = spawn(options.command, options.args, {
    env: options.env,
    cwd: options.cwd,
    detached,
    stdio: [...stdio],
  });
  const output = startOutput(child);
  const isOver = child.pid === undefined ? () => {} : endWithUs(child.pid);
  child.once("exit", isOver);
  const closed = once(child, "close");
  const exited = closed.then(([code, signal]: (number | NodeJS.Signals)[]) => code ?? signal ?? 0);
  let over = false;
  const kill = (signal: NodeJS.Signals) => {
    if (!detached || child.pid === undefined) child.kill(signal);
    else if (!over) process.kill(-child.pid, signal);
  };
  void exited.then(() => {
    over = true;
    for (const listener of [...output.listeners]) listener();
  });
  return {
    pid: child.pid ?? 0,
    output: output.text,
    exited,
    kill,
    waitFor(pattern, withinMs = 120_000) {
      return new Promise((resolve, reject) => {
        const finish = (settle: () => void) => {
          clearTimeout(timer);
          output.listeners.delete(look);
          settle();
        };
        const fail = (why: string) =>
          finish(() =>
            reject(new Error(`${why} while waiting for ${pattern}:\n${output.text().slice(-4000)}`)),
          );
        const look = () => {
          const match = pattern.exec(output.text());
          if (match) finish(() => resolve(match));
          else if (over) fail("The process ended");
        };
        const timer = setTimeout(() => fail("Time ran out"), withinMs);
        output.listeners.add(look);
        look();
      });
    },
    async [Symbol.asyncDispose]() {
      if (!over) kill("SIGKILL");
      await exited;
    },
  };
}
