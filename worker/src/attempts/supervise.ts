import type { ProcessRow } from "@towpath/contract/process";
import { withoutTrees } from "../code/index.ts";
import type { Gateway } from "../gateway/index.ts";
import { failpoint } from "../host/failpoint.ts";
import { type KillGroupOptions, killGroup, killMarked } from "../host/index.ts";
import { JournalError } from "../journal/index.ts";
import { decideEnding, type Ending, type ExitStatus, lastOutput } from "../launch/index.ts";
import { redactControl } from "../secrets/index.ts";
import { isWatchdog, processesUnder } from "../walls/index.ts";
import type { ClaimedAttempt, HeldProcess } from "./claimed-attempt.ts";
import { cancelHookOf, cleanUp } from "./clean-up.ts";
import { type AttemptDeps, instant } from "./deps.ts";
import type { Running } from "./flow-host.ts";
import { watchLease, watchTimeout } from "./stop.ts";

/** The pause before an end is journaled again on a full disk, milliseconds. */
const END_RETRY_MS = 5_000;
/** How many child processes that were killed are named in the run's log. */
const NAMED_MAX = 10;

/**
 * Follows a process until it is gone, and journals how the attempt ended. The process was started by this
 * worker, or by an earlier process of it.
 */
export async function supervise(
  deps: AttemptDeps,
  running: Running,
  args: { process: HeldProcess; gateway: Gateway },
): Promise<void> {
  const { claimed } = running;
  const over = new AbortController();
  running.output?.start();
  watchTimeout(deps, running, over.signal);
  watchLease(deps, running, over.signal);
  const exit = await args.process.exited;
  over.abort();
  const left = await killLeftovers(deps, claimed, { process: args.process, exit });
  await running.output?.finish();
  await args.gateway.close();
  const ending = endingOf(deps, running, exit);
  await noteEnd(deps, claimed, { ending: await ending(), pid: args.process.identity.pid, left });
  await cleanUp(deps, running, await ending());
  await conclude(deps, running, ending);
}

/** Journals the end. An attempt that belongs to another claim is left without a record. */
async function conclude(deps: AttemptDeps, running: Running, ending: EndingNow): Promise<void> {
  const { claimed } = running;
  if (claimed.stop === "abandoned") {
    return await claimed.move("abandon");
  }
  await journalEndPatiently(deps, running, ending);
  failpoint("end");
  await claimed.move("close");
  deps.log.info({ attempt: claimed.name }, "an attempt has ended");
}

/** Waits while the disk is full: the end matters most. Leases go on, and the run shows as running meanwhile. */
async function journalEndPatiently(deps: AttemptDeps, running: Running, ending: EndingNow): Promise<void> {
  while (!running.spool.terminated) {
    try {
      await journalEnd(deps, running, await ending());
    } catch (error) {
      if (!(error instanceof JournalError) || !error.retryable) throw error;
      const facts = { attempt: running.claimed.name, error: error.message };
      deps.log.error(
        facts,
        "an attempt has ended, but the journal has no space for it; the worker tries again",
      );
      await deps.sleep(END_RETRY_MS);
    }
  }
}

/** How an attempt has ended, as known now. It can still be cancelled until that is journaled. */
type EndingNow = () => Promise<Ending>;

/** The kernel's kill is claimed for this attempt once, however often this is called. */
function endingOf(deps: AttemptDeps, { claimed, prepared }: Running, exit: ExitStatus): EndingNow {
  let oomKilled: boolean | undefined;
  const { stderr, stdout } = claimed.store.files;
  return async () => {
    const outcome = claimed.stored?.outcome ?? null;
    const printed = outcome === null ? [await lastOutput(stdout), await lastOutput(stderr)] : [];
    return decideEnding({
      entry: prepared.spec.entry.kind,
      outcome,
      commandExit: await claimed.store.commandExit(claimed.stored?.user ?? null),
      exit,
      stop: claimed.stop,
      oomKilled: () => {
        oomKilled ??= deps.oom.claimKill();
        return oomKilled;
      },
      // Redacted before it is cut: half a secret would not be found.
      printed: printed.map((text) => withoutTrees(deps.cache, prepared.redactor.text(text))),
    });
  };
}

async function journalEnd(deps: AttemptDeps, running: Running, ending: Ending): Promise<void> {
  const { spool, prepared } = running;
  const { note: _, ...ended } = ending;
  // Only a run that goes on can still be cancelled.
  const goesOn = ended.outcome === "suspended" || ended.outcome === "failed";
  const hook = goesOn ? await cancelHookOf(running) : {};
  await spool.flushGaps();
  await spool.control(
    redactControl(prepared.redactor, {
      type: "ended",
      at: instant(deps.clock),
      ...ended,
      ...hook,
      lastBulkSeq: spool.lastBulkSeq,
    }),
  );
}

/**
 * Kills what outlived the process that had started it: what stayed in its group, and what has its mark. Only a
 * child that left its group and its environment escapes.
 * @returns The killed processes.
 */
async function killLeftovers(
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
    // The end of the first process would end these too, before they could be named.
    if (isInside(claimed))
      for (const row of await processesUnder(identity.pid)) if (!isWatchdog(row.pid)) note(row);
    await killGroup(identity, "SIGKILL", options);
    const left =
      mark === "" ? [] : await killMarked(mark, { root: identity, sleep: deps.sleep, onKill: note });
    if (claimed.user !== null) await deps.walls.users?.end(claimed.user, note);
    if (left.length > 0)
      deps.log.error(
        { attempt: claimed.name, pids: left.map(({ pid }) => pid) },
        "processes could not be killed",
      );
  } catch (error) {
    deps.log.error({ attempt: claimed.name, error: String(error) }, "processes could not be killed");
  }
  // Bubblewrap itself ends a moment after the runner.
  return [...killed.values()].filter(({ name }) => !isInside(claimed) || name !== BUBBLEWRAP);
}

/** Whether the processes of an attempt are in namespaces. */
function isInside({ store }: ClaimedAttempt): boolean {
  return store.files.room !== null;
}

/** The name of its processes. */
const BUBBLEWRAP = "bwrap";

/**
 * Says in the run's log which process a signal or an exit code ended, and which of its children were killed
 * because they had outlived it. It names programs, never their arguments.
 */
async function noteEnd(
  deps: AttemptDeps,
  claimed: ClaimedAttempt,
  args: { ending: Ending; pid: number; left: readonly ProcessRow[] },
): Promise<void> {
  const { ending, pid, left } = args;
  if (claimed.stop === "abandoned") return;
  try {
    if (ending.note !== undefined)
      await claimed.note("error", `${ending.note} Its process group was ${pid}.`);
    // A stop ends the children too, so they did not outlive the process.
    if (left.length > 0 && claimed.stop === null) await claimed.note("warn", leftText(left));
  } catch (error) {
    // The end itself has room of its own.
    deps.log.warn(
      { attempt: claimed.name, error: String(error) },
      "the end of a process could not be written to disk",
    );
  }
}

function leftText(left: readonly ProcessRow[]): string {
  const named = left
    .slice(0, NAMED_MAX)
    .map(({ pid, name }) => (name === "" ? `${pid}` : `${pid} (${name})`));
  const more = left.length > NAMED_MAX ? ` and ${left.length - NAMED_MAX} more` : "";
  return `Killed processes that the run had started and that still ran after its end: ${named.join(", ")}${more}. Wait for child processes before the run ends.`;
}
