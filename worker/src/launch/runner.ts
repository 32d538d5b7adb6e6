/**
 * The runner: a process that waits for one attempt, runs it and ends. A worker starts it with an IPC channel.
 * While it waits, it may get a message to load the code of one version; then its attempt is of that version. It ends
 * with its worker while it waits. Once it has a task it closes the channel and outlives the worker, unless the
 * task is to tend external jobs.
 */
import { writeFileSync } from "node:fs";
import { enableCompileCache } from "node:module";
import type { RunFlow } from "@towpath/contract/words";
import { runCommand } from "./run-command.ts";
import { loadAhead, runFlow } from "./run-flow.ts";
import type { RunnerLoad, RunnerMessage, RunnerTask } from "./runner-message.ts";
import { tendJobs } from "./tend-jobs.ts";
import { warmUp } from "./warm-up.ts";

let task: RunnerTask | undefined;
let loaded: RunFlow | null = null;

function tell(changes: RunnerMessage): void {
  // A runner whose worker is gone ends by itself; an error here would only stand in the log of a run.
  process.send?.(changes, undefined, undefined, () => {});
}

process.on("disconnect", () => {
  // A process that tends jobs is useless without its worker.
  if (!task || task.kind === "jobs") process.exit(0);
});

process.once("message", (message) => {
  const told = toldOf(message);
  if (told.kind !== "load") return take(told);
  process.once("message", (next) => take(taskOf(next)));
  loadAhead(told).then(
    (run) => {
      loaded = run;
      tell("loaded");
    },
    // An attempt in a fresh process will report what is wrong with the code.
    () => process.exit(1),
  );
});

function take(taken: RunnerTask): void {
  task = taken;
  writeFileSync(taken.takenFile, "", { mode: 0o600 });
  if (taken.kind === "jobs") {
    tendJobs(taken);
    tell("taken");
    return;
  }
  process.send?.("taken" satisfies RunnerMessage, undefined, {}, () => {
    // The worker may have been killed since. The task is on its disk, and the next process of the worker goes on.
    if (process.connected) process.disconnect();
  });
  const running = taken.kind === "command" ? runCommand(taken) : runFlow(taken, loaded);
  running.then(
    (code) => process.exit(code),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
}

/** Guaranteed by the channel: only the worker that started this process writes to it. */
function toldOf(message: unknown): RunnerTask | RunnerLoad {
  return message as RunnerTask | RunnerLoad;
}

/** Guaranteed by the channel: only a task may follow code to load. */
function taskOf(message: unknown): RunnerTask {
  return message as RunnerTask;
}

const [, , compileCacheDir, umask] = process.argv;
if (umask) process.umask(umask);
if (compileCacheDir) enableCompileCache(compileCacheDir);
await warmUp(() => task !== undefined);
if (!task) tell("ready");
