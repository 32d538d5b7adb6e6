import { spawn } from "node:child_process";
import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { identifyProcess, type ProcessIdentity } from "@towpath/contract/process";
import { Failure } from "../failure.ts";
import { notWritable } from "../kernel/state-folder.ts";
import { endedWithin, signalProcess } from "./ending.ts";
import { beginLog, fatalIn, lastLines, saidBy } from "./log-tail.ts";

/** How many log lines are shown if a program stops unexpectedly. */
const TAIL_LINES = 12;

/** One of our programs, running as a process. */
export interface Child {
  /** Its name for people: `control plane`, `worker`. */
  readonly name: string;
  readonly identity: ProcessIdentity;
  readonly log: string;
  /** Resolves when it has ended, with how. */
  readonly ended: Promise<string>;
  /** Rejects with a Failure that shows its last log lines if it ends before the promise settles. */
  whileAlive<T>(promise: Promise<T>): Promise<T>;
  /** Asks it to stop, and kills it after the time limit. */
  stop(patienceMs: number): Promise<void>;
  kill(): void;
}

/** What to start. */
export interface ChildSpec {
  readonly name: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: string;
}

async function openLog(path: string) {
  try {
    await mkdir(dirname(path), { recursive: true });
    return { from: await beginLog(path), file: await open(path, "a", 0o600) };
  } catch (cause) {
    throw notWritable(path, cause);
  }
}

async function endedFailure(spec: ChildSpec, args: { how: string; from: number }): Promise<Failure> {
  const lines = await lastLines(spec.log, { from: args.from, count: TAIL_LINES });
  const fatal = lines.map(fatalIn).find((one) => one !== null);
  const whole = `its log file is ${spec.log}`;
  if (fatal) return new Failure(fatal.message, { exit: "failed", code: fatal.code, next: [whole] });
  return new Failure(`The ${spec.name} stopped unexpectedly (${args.how}).`, {
    exit: "failed",
    code: "child-ended",
    next: [...lines.map((line) => `its log says: ${saidBy(line)}`), whole],
  });
}

/**
 * Starts a program in its own process group, so that Ctrl-C reaches only us and we can stop programs in order. Its output
 * goes to its log file. It ends when this process is gone, even after `kill -9`: the channel between them closes.
 */
export async function startChild(spec: ChildSpec): Promise<Child> {
  const { file, from } = await openLog(spec.log);
  const child = spawn(process.execPath, spec.args, {
    cwd: spec.cwd,
    env: spec.environment,
    detached: true,
    stdio: ["ignore", file.fd, file.fd, "ipc"],
  });
  child.channel?.unref();
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  await file.close();
  const pid = child.pid ?? 0;
  const identity = (await identifyProcess(pid)) ?? { pid, start: "" };
  return {
    name: spec.name,
    identity,
    log: spec.log,
    ended,
    whileAlive: (promise) =>
      Promise.race([
        promise,
        ended.then(async (how) => {
          throw await endedFailure(spec, { how, from });
        }),
      ]),
    async stop(patienceMs) {
      if (pid === 0) return;
      signalProcess(pid, "SIGTERM");
      if (await endedWithin(identity, patienceMs)) return;
      signalProcess(pid, "SIGKILL");
      await ended;
    },
    kill: () => pid > 0 && signalProcess(pid, "SIGKILL"),
  };
}
