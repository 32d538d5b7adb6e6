/**
 * The runner: a process that waits, warm, for one attempt, runs it and ends. Started by a worker with an IPC channel.
 * While it waits it ends with its worker; once it has a task it lets go of the worker and outlives it, unless the task is to
 * ask about external jobs.
 */
import { writeFileSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { runCommand } from "./run-command.ts";
import { runFlow } from "./run-flow.ts";
import type { RunnerNews, RunnerTask } from "./runner-message.ts";
import { tendJobs } from "./tend-jobs.ts";
import { warmUp } from "./warm-up.ts";

let task: RunnerTask | undefined;

function tell(news: RunnerNews): void {
  process.send?.(news);
}

process.on("disconnect", () => {
  // What asks about jobs is of no use to anybody else.
  if (!task || task.kind === "jobs") process.exit(0);
});

process.once("message", (message) => {
  task = taskOf(message);
  writeFileSync(task.takenFile, "", { mode: 0o600 });
  if (task.kind === "jobs") {
    tendJobs(task);
    return tell("taken");
  }
  process.send?.("taken" satisfies RunnerNews, undefined, {}, () => {
    // The worker may have been killed since; the task is on its disk, and the next one takes over.
    if (process.connected) process.disconnect();
    const running = task?.kind === "command" ? runCommand(task) : task?.kind === "flow" && runFlow(task);
    if (!running) return;
    running.then(
      (code) => process.exit(code),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
});

/** Guaranteed by the channel: only the worker that started this process writes to it. */
function taskOf(message: unknown): RunnerTask {
  return message as RunnerTask;
}

const [, , compileCacheDir] = process.argv;
if (compileCacheDir) enableCompileCache(compileCacheDir);
await warmUp(() => task !== undefined);
if (!task) tell("ready");
