import type { ProcessRow } from "@towpath/contract/process";
import { type KillGroupOptions, killGroup, killMarked } from "../host/index.ts";
import type { Ending, ExitStatus } from "../launch/index.ts";
import type { ClaimedAttempt, HeldProcess } from "./claimed-attempt.ts";
import type { AttemptDeps } from "./deps.ts";

/** How many of the processes that were left behind are named in the run's log. */
const NAMED_MAX = 10;

/**
 * What a process started does not outlive it: what stayed in its group, and what carries its mark wherever it went.
 * Only a child that left both, its group and its environment, escapes.
 * @returns Those that were killed.
 */
export async function killLeftovers(
  deps: AttemptDeps,
  claimed: ClaimedAttempt,
  args: { process: HeldProcess; exit: ExitStatus },
): Promise<readonly ProcessRow[]> {
  const { identity, mark } = args.process;
  const killed = new Map<number, ProcessRow>();
  const note = (row: ProcessRow) => killed.set(row.pid, row);
  const leaderJustEnded = args.exit.code !== null || args.exit.signal !== null;
  const options: KillGroupOptions = { orphanMarker: mark, leaderJustEnded, onOrphan: note };
  try {
    await killGroup(identity, "SIGKILL", options);
    const left = mark === "" ? [] : await killMarked(mark, { sleep: deps.sleep, onKill: note });
    if (left.length > 0)
      deps.log.error({ attempt: claimed.name, pids: left.map(({ pid }) => pid) }, "processes are left over");
  } catch (error) {
    deps.log.error({ attempt: claimed.name, error: String(error) }, "processes are left over");
  }
  return [...killed.values()];
}

/**
 * Says in the run's log what whoever is called asks first: which process a signal or an exit code ended, and which of its
 * children were killed since they had outlived it. Names of programs leave, never their arguments.
 */
export async function tellOfEnd(
  deps: AttemptDeps,
  claimed: ClaimedAttempt,
  args: { ending: Ending; pid: number; left: readonly ProcessRow[] },
): Promise<void> {
  const { ending, pid, left } = args;
  if (claimed.stop === "abandoned") return;
  try {
    if (ending.error?.name === "ProcessEnded")
      await claimed.note("error", `${ending.error.message} Its process group was ${pid}.`);
    // What was stopped was stopped with all that it had started: nothing was left behind.
    if (left.length > 0 && claimed.stop === null) await claimed.note("warn", leftText(left));
  } catch (error) {
    // The end itself is what matters, and has room of its own.
    deps.log.warn({ attempt: claimed.name, error: String(error) }, "the end of a process could not be told");
  }
}

function leftText(left: readonly ProcessRow[]): string {
  const named = left
    .slice(0, NAMED_MAX)
    .map(({ pid, name }) => (name === "" ? `${pid}` : `${pid} (${name})`));
  const more = left.length > NAMED_MAX ? ` and ${left.length - NAMED_MAX} more` : "";
  return `Killed what outlived the process that had started it: ${named.join(", ")}${more}. Whatever a run starts should be waited for before it ends.`;
}
