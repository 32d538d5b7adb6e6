import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { identifyProcess, isAlive, type ProcessIdentity } from "@towpath/contract/process";
import { PostgresStartError } from "./errors.ts";

const FAST_STOP_MS = 20_000;
const IMMEDIATE_STOP_MS = 10_000;
const POLL_MS = 20;

/** Facts in the data directory about earlier servers. */
export interface EarlierServer {
  /** A pid in postmaster.pid that belongs to an unrelated process or a zombie. Postgres must ignore it. */
  unrelatedPid: number | undefined;
}

/**
 * Stops a server that outlived its parent and still serves this data directory. It is stopped, not adopted, because
 * only the end of a child process is reported. A fast stop takes milliseconds.
 * @throws PostgresStartError `start-failed` if it cannot be stopped.
 */
export async function stopEarlierServer(
  dataDir: string,
  log: (line: string) => void,
): Promise<EarlierServer> {
  const text = await readFile(join(dataDir, "postmaster.pid"), "utf8").catch(() => "");
  const pid = Number(text.split("\n")[0]);
  if (!Number.isInteger(pid) || pid <= 1) return { unrelatedPid: undefined };
  const identity = await identifyProcess(pid);
  if (identity === undefined) return { unrelatedPid: undefined };
  if (!(await servesDirectory(pid, dataDir))) return { unrelatedPid: pid };
  log(`stopping the server ${pid} that an earlier start left behind`);
  await stopProcess(identity, dataDir);
  return { unrelatedPid: undefined };
}

/** Whether a process is a postmaster of exactly this data directory: another process may have the pid now. */
async function servesDirectory(pid: number, dataDir: string): Promise<boolean> {
  const args = (await readCommandLine(pid)) ?? [];
  const at = args.indexOf("-D");
  return /(^|\/)postgres$/.test(args[0] ?? "") && at > 0 && args[at + 1] === dataDir;
}

async function stopProcess(identity: ProcessIdentity, dataDir: string): Promise<void> {
  const steps = [
    { signal: "SIGINT", patienceMs: FAST_STOP_MS },
    { signal: "SIGQUIT", patienceMs: IMMEDIATE_STOP_MS },
  ] as const;
  for (const { signal, patienceMs } of steps) {
    try {
      process.kill(identity.pid, signal);
    } catch {
      // Either it has ended, which the loop below sees, or it belongs to another user, which the error below reports.
    }
    for (let waitedMs = 0; waitedMs < patienceMs; waitedMs += POLL_MS) {
      if (!(await isAlive(identity))) return;
      await delay(POLL_MS);
    }
  }
  throw new PostgresStartError(
    "start-failed",
    `A database server (process ${identity.pid}) already serves ${dataDir} and does not stop. End it, then start again.`,
  );
}

const run = promisify(execFile);

/** The arguments of a running process. Undefined if it has ended or may not be read. */
export async function readCommandLine(pid: number): Promise<string[] | undefined> {
  if (process.platform === "linux") {
    const raw = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    return raw === "" ? undefined : raw.replace(/\0$/, "").split("\0");
  }
  const answer = await run("/bin/ps", ["-o", "command=", "-p", String(pid)]).catch(() => undefined);
  const line = answer?.stdout.trim();
  return line === undefined || line === "" ? undefined : line.split(" ");
}
