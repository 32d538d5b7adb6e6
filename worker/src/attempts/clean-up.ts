import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Cause, remoteTaskOf, type Spec } from "@towpath/contract";
import type { FlowEnding } from "@towpath/contract/words";
import { cleanLine, type Gateway } from "../gateway/index.ts";
import { killGroup } from "../host/index.ts";
import { type Ending, lineLevel } from "../launch/index.ts";
import type { ClaimedAttempt } from "./claimed-attempt.ts";
import { type AttemptDeps, instant } from "./deps.ts";
import type { Running } from "./flow-host.ts";
import { launchCleanUp, openAttemptGateway } from "./launch-attempt.ts";
import { programOf, treesOf } from "./prepare.ts";
import type { OutputStream } from "./spool.ts";
import { HOOK_TOO_LONG, untilCleanUpIsOver } from "./stop.ts";

/** Causes after which a flow's hook for a crash runs. Not where the run goes on elsewhere. */
const CRASHES: readonly Cause[] = ["killed", "oom", "timeout", "run-timeout", "error"];
/** The names of the hooks in each language. */
const HOOKS = {
  flow: { cancelled: "onCancellation", crashed: "onCrash" },
  python: { cancelled: "on_cancellation", crashed: "on_crash" },
} as const;
/** How much of the output of a hook's process is kept. The hook's log goes through the gateway. */
const OUTPUT_LINES_MAX = 200;
const OUTPUT_CHARS_MAX = 64 * 1024;

/**
 * Runs a flow's hook in a process of its own, after the attempt's process went without saying how its flow
 * ended. It is the last part of the same attempt: under its lease, in its slot, once, and for a bounded time. It
 * does not change how the attempt ended.
 */
export async function cleanUp(
  deps: AttemptDeps,
  running: Running,
  ending: Pick<Ending, "outcome" | "cause" | "error">,
): Promise<void> {
  const { claimed } = running;
  const hooked = await hookedEnding(running, ending);
  if (hooked === null || claimed.stored === null) return;
  try {
    // Before its launch: if the worker dies now, the hook does not run a second time.
    await claimed.update({ cleanedUp: true });
    const hook = HOOKS[claimed.stored.spec.entry.kind === "python" ? "python" : "flow"][hooked.outcome];
    await claimed.note("info", `The flow's process has ended. Another process runs its hook ${hook}.`);
    await runCleanUp(deps, running, hooked);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    deps.log.error(
      { attempt: claimed.name, error: why },
      "a hook could not run after its flow's process had ended",
    );
    await claimed.note("warn", "The hook could not run. The worker's log says why.").catch(() => {});
  }
}

/** What an attempt's end says of the flow's hook for a cancellation: a run without one needs no process when it is cancelled. */
export async function cancelHookOf({ claimed, stored }: Running): Promise<{ cancelHook?: true }> {
  const { spec, assignment, user } = stored;
  // A task of another run has no hooks. An attempt that runs only a hook is the last one of its run.
  const isFlow = spec.entry.kind !== "command" && remoteTaskOf(assignment.trigger) === null;
  if (!isFlow || assignment.onlyHook !== undefined) return {};
  return (await claimed.store.hooks(user)).includes("cancelled") ? { cancelHook: true } : {};
}

/** Says in the run's log why the attempt runs no flow. */
export async function noteOnlyHook(claimed: ClaimedAttempt, kind: Spec["entry"]["kind"]): Promise<void> {
  const hook = HOOKS[kind === "python" ? "python" : "flow"].cancelled;
  const text = `The run was cancelled while it had no process. This attempt runs only its hook ${hook}.`;
  await claimed.note("info", text);
}

/** The ending that the flow has a hook for; null if no hook is to run. */
async function hookedEnding(
  { claimed, spool, muted, prepared }: Running,
  ending: Pick<Ending, "outcome" | "cause" | "error">,
): Promise<FlowEnding | null> {
  const { stored } = claimed;
  const { dir } = await prepared.code();
  if (prepared.spec.entry.kind === "command" || muted || dir === "" || spool.terminated) return null;
  if (stored === null || stored.outcome !== null || stored.cleanedUp || claimed.stop === "abandoned")
    return null;
  if (stored.assignment.onlyHook !== undefined) return null;
  const outcome = outcomeOf(ending);
  if (outcome === null || !(await claimed.store.hooks(stored.user)).includes(outcome)) return null;
  const reason = outcome === "cancelled" ? claimed.cancelReason : (ending.error?.message ?? "");
  return { outcome, cause: ending.cause ?? "error", reason };
}

function outcomeOf({ outcome, cause }: Pick<Ending, "outcome" | "cause">): FlowEnding["outcome"] | null {
  if (outcome === "cancelled") return "cancelled";
  return outcome === "failed" && cause !== null && CRASHES.includes(cause) ? "crashed" : null;
}

async function runCleanUp(deps: AttemptDeps, before: Running, ending: FlowEnding): Promise<void> {
  const { claimed, stored, prepared } = before;
  const { room } = claimed.store.files;
  const needs = { user: claimed.user, room, trees: await treesOf(prepared) };
  const { runner } = await deps.runners.take(await programOf(prepared), needs);
  let gateway: Gateway | null = null;
  try {
    const { token } = await claimed.store.reopen(stored);
    const opened = await openAttemptGateway(deps, { claimed, stored, prepared, token, hook: true });
    gateway = opened.gateway;
    await launchCleanUp(deps, opened.running, { runner, ending });
    const isOver = await untilCleanUpIsOver(deps, { claimed, stored, exited: runner.exited });
    if (!isOver) {
      await killGroup(runner.identity, "SIGKILL");
      await claimed.note("warn", HOOK_TOO_LONG);
    }
    await runner.exited;
    for (const stream of ["stdout", "stderr"] as const)
      await keepOutput(deps, before, join(runner.dir, stream), stream);
  } finally {
    await gateway?.close();
    // With all child processes.
    await runner.discard();
  }
}

/** Journals the output as lines of the worker: the attempt's files belong to the process before. */
async function keepOutput(
  deps: AttemptDeps,
  { spool, prepared }: Running,
  path: string,
  stream: OutputStream,
): Promise<void> {
  const text = (await readFile(path, "utf8")).slice(0, OUTPUT_CHARS_MAX).trimEnd();
  if (text === "") return;
  for (const line of text.split("\n").slice(0, OUTPUT_LINES_MAX))
    await spool.say(
      cleanLine(prepared.redactor, { at: instant(deps.clock), level: lineLevel(line), stream, text: line }),
    );
  deps.wake.report();
}
