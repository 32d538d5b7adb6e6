import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chown, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { WorkerSettings } from "../settings.ts";
import type { WorkerTestEnv } from "./test-env.fixture.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));

/** A worker in a process of its own. */
export interface WorkerProcess {
  readonly child: ChildProcess;
  output(): string;
  readonly exited: Promise<number | null>;
}

/** Workers in processes of their own, for tests that kill them. */
export class WorkerProcesses {
  readonly #started: ChildProcess[] = [];

  /** Starts a worker in the test environment, always with the same state directory. */
  async start(
    testEnv: WorkerTestEnv,
    more: Partial<WorkerSettings> = {},
    env: NodeJS.ProcessEnv = {},
    as: { uid?: number; gid?: number } = {},
  ): Promise<WorkerProcess> {
    const file = join(testEnv.dir, "worker.json");
    await writeFile(file, JSON.stringify(testEnv.settings({ logLevel: "debug", ...more })), { mode: 0o600 });
    if (as.uid === undefined) await testEnv.shareCompiled(more);
    if (as.uid !== undefined && as.gid !== undefined) await chown(file, as.uid, as.gid);
    const child = spawn(process.execPath, [MAIN, "--config", file], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
      ...as,
    });
    this.#started.push(child);
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += String(chunk);
    });
    child.stderr.on("data", (chunk) => {
      output += String(chunk);
    });
    const exited = once(child, "exit").then(([code]) => (typeof code === "number" ? code : null));
    return { child, output: () => output, exited };
  }

  /** Stops all workers that still run, with their runners. */
  async end(): Promise<void> {
    for (const child of this.#started.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exited = once(child, "exit");
      // SIGCONT resumes a paused worker, SIGTERM drains it, and SIGINT stops it at once. Its runners go with it.
      child.kill("SIGCONT");
      child.kill("SIGTERM");
      child.kill("SIGINT");
      await exited;
    }
  }
}

/** Kills a worker with SIGKILL. */
export async function killNine(worker: WorkerProcess): Promise<void> {
  worker.child.kill("SIGKILL");
  await worker.exited;
}
