import type { WaitReason } from "@towpath/contract";
import type { StartGate } from "../../pools/index.ts";
import type { AttemptRow, RunRow } from "../table.ts";
import { AHEAD_MAX, type WaitFacts } from "./pool-facts.ts";

/** The input of the sentence about a waiting run. */
interface Waiting {
  readonly run: RunRow;
  /** The attempt that it waits with. */
  readonly current: AttemptRow | null;
  /** The last attempt that ended. */
  readonly previous: AttemptRow | null;
  readonly facts: WaitFacts;
  /** The limits and the waits that it waits for. */
  readonly limits: readonly WaitReason[];
  /** Why no worker has what it needs, if that is why. */
  readonly compute: ReasonText | null;
  /** What holds its start since the database went back, if something does. */
  readonly gate: ReasonText | null;
}

/** A reason, with the fields that differ between reasons. */
export type ReasonText = Pick<WaitReason, "kind" | "text"> & { readonly until?: Date | undefined };

/**
 * Why a run does not continue, and what would unblock it. Empty for a run that is running undisturbed or has ended. The
 * reasons of limits are in `waiting.limits`.
 */
export function reasonsOf(args: Waiting): WaitReason[] {
  const reasons = [...args.limits, ...stateReasons(args).map(reason)];
  return reasons.length > 0 || args.run.state !== "blocked" ? reasons : [reason(ABOUT_TO_GO)];
}

/** The reasons in one string for people; null if there is none. */
export function whyOf(reasons: readonly WaitReason[]): string | null {
  return reasons.length === 0 ? null : reasons.map((one) => one.text).join(" ");
}

/** The sentence about a run that a worker has claimed. */
export function takenBy(workerName: string): string {
  return `Worker ${workerName} has claimed the run and is preparing its code. It has not confirmed the start yet.`;
}

/** The run was admitted, or its wait list changed, between two statements. */
const ABOUT_TO_GO: ReasonText = { kind: "limit", text: "Waiting for slots. The next check is under way." };

function reason({ kind, text, until }: ReasonText): WaitReason {
  return { kind, text, until: until?.toISOString() ?? null, limit: null };
}

function stateReasons(args: Waiting): ReasonText[] {
  const { run, current } = args;
  switch (run.state) {
    case "scheduled":
      return [scheduled(args)];
    case "ready":
      return ready(args);
    case "claimed":
      return [args.gate ?? { kind: "start", text: takenBy(current?.workerName ?? "?") }];
    case "cancelling":
      // Without a process it is its jobs that keep it from ending.
      if (current === null || current.endedAt !== null) return [];
      if (current.hookUntil !== null) return [onlyHook(args, current.hookUntil)];
      return [{ kind: "stop", text: cancelling(args) }];
    case "running":
      return disconnected(args);
    default:
      return [];
  }
}

/** How far a worker says that it has gone in stopping a process. */
const STAGES: Record<string, string> = {
  asked: "the flow has been asked to stop",
  terminated: "its processes were sent SIGTERM",
  killed: "its processes were sent SIGKILL",
};

function cancelling({ current }: Waiting): string {
  if (!current?.startedAt) return "Its worker has been asked to release it before the start.";
  const stage = STAGES[current.cancelStage ?? ""];
  const so = stage === undefined ? "" : ` So far, ${stage}.`;
  return `Worker ${current.workerName ?? "?"} has been asked to stop it.${so} If the worker does not report, the run ends after its lease and a grace period.`;
}

/** The run was cancelled while it had no process, and its flow has a hook. */
function onlyHook({ run, current }: Waiting, until: Date): ReasonText {
  const worker = current?.workerName ?? "?";
  if (current?.startedAt)
    return {
      kind: "stop",
      text: `Worker ${worker} runs the flow's hook for a cancellation, for at most 20 s. Then the run ends.`,
    };
  if (current?.workerId)
    return {
      kind: "stop",
      text: `Worker ${worker} is about to run the flow's hook for a cancellation. Then the run ends.`,
    };
  const text = `Waiting for a worker of pool "${run.pool}" that runs the flow's hook for a cancellation. If no worker has taken it by ${until.toISOString()}, the run ends without it.`;
  return { kind: "stop", text, until };
}

function scheduled({ run, previous }: Waiting): ReasonText {
  const until = run.dueAt;
  const due = until.toISOString();
  if (previous === null || run.attempts === 0)
    return { kind: "time", text: `It is scheduled for ${due}.`, until };
  const text = `Attempt ${previous.ordinal} ended with cause ${previous.cause ?? "unknown"}; the next one is due at ${due}.`;
  return { kind: "retry", text, until };
}

function ready(args: Waiting): ReasonText[] {
  const { run, facts, current } = args;
  const back = givenBack(args);
  const until = current?.notBefore ?? undefined;
  const backOff: ReasonText[] = back === "" ? [] : [{ kind: "back-off", text: back, until }];
  // Workers that still have to report have not polled yet: they are not missing.
  if (args.gate !== null) return [args.gate, ...backOff];
  if (facts.workersOnline === 0) {
    const draining = facts.workersDraining > 0 ? ", except workers that are being drained" : "";
    const text = `No worker of pool "${run.pool}" is online${draining}: start one with \`towpath worker start --pool ${run.pool}\`.`;
    return [{ kind: "worker", text }, ...backOff];
  }
  if (backOff.length > 0) return backOff;
  const pause = allPause(args);
  if (pause !== null) return [{ kind: "pause", text: pause, until: facts.pausedUntil ?? undefined }];
  return [args.compute ?? { kind: "place", text: waits(args) }];
}

/** Null unless every worker that could take it pauses. */
function allPause({ run, facts }: Waiting): string | null {
  const { workersPaused, workersOnline, pausedUntil, pauseReason } = facts;
  if (pausedUntil === null || workersPaused < workersOnline) return null;
  const who =
    workersOnline === 1
      ? `The only online worker of pool "${run.pool}" has`
      : `All ${workersOnline} online workers of pool "${run.pool}" have`;
  const reason = pauseReason?.replace(/[.;]$/, "") || "see its log";
  return `${who} paused, because attempts failed there before their code ran: ${reason}. The next try is at ${pausedUntil.toISOString()}.`;
}

/** While it is kept back after a release, its position does not matter: the reason does. */
function givenBack({ current, facts }: Waiting): string {
  if (!current?.notBefore || current.notBefore <= facts.now) return "";
  const times = current.releases === 1 ? "once" : `${current.releases} times`;
  const reason = current.releaseReason?.replace(/[.;]$/, "") ?? "it did not confirm the start in time";
  return `Worker ${current.workerName ?? "?"} gave it back ${times}: ${reason}; next try at ${current.notBefore.toISOString()}.`;
}

/** How long a free slot may stay empty before the message calls it strange, milliseconds. */
const TAKEN_WITHIN_MS = 10_000;

function waits({ run, current, facts }: Waiting): string {
  const workers = facts.workersOnline === 1 ? "1 worker" : `${facts.workersOnline} workers`;
  const runs = facts.ahead === 1 ? "run is" : "runs are";
  const ahead =
    facts.ahead >= AHEAD_MAX
      ? `${AHEAD_MAX} or more runs are`
      : facts.ahead === 0
        ? "no run is"
        : `${facts.ahead} ${runs}`;
  if (facts.taken >= facts.slots) {
    return `Every slot of pool "${run.pool}" is taken (${facts.slots} on ${workers} online), ${ahead} ahead of it.`;
  }
  const since = Math.max(current?.scheduledAt.getTime() ?? 0, current?.notBefore?.getTime() ?? 0);
  const isLate = current !== null && facts.ahead === 0 && facts.now.getTime() - since > TAKEN_WITHIN_MS;
  const pause = isLate
    ? " A worker should have claimed it by now. A worker that fails to start attempts pauses for a while; check its log."
    : "";
  return `It waits until a worker of pool "${run.pool}" claims it: ${workers} ${facts.workersOnline === 1 ? "is" : "are"} online with free slots, ${ahead} ahead of it.${pause}`;
}

function disconnected({ current, facts }: Waiting): ReasonText[] {
  if (!current?.leaseExpiresAt || current.leaseExpiresAt >= facts.now) return [];
  const until = new Date(current.leaseExpiresAt.getTime() + current.lostAfterMs);
  const name = current.workerName ?? "?";
  const text = `Worker ${name} has not reported since its lease ended. If it stays silent, the attempt is lost at ${until.toISOString()}. If its machine is up, start the worker again with the same state folder. If the machine is gone, run \`towpath worker gone ${name}\`.`;
  return [{ kind: "contact", text, until }];
}

/** Why a run is not started yet since the database went back, or null if that is not why. */
export function gateReason(
  gate: StartGate | null,
  args: { run: RunRow; current: AttemptRow | null; now: Date },
): ReasonText | null {
  if (gate === null || (args.run.state === "claimed" && !gate.holderAwaited)) return null;
  const happened = `The control plane's database was restarted or restored at ${gate.since.toISOString()}.`;
  const left = `${Math.max(1, Math.ceil((gate.until.getTime() - args.now.getTime()) / 1_000))} s more`;
  const waits =
    args.run.state === "claimed"
      ? claimedText(args.current?.workerName ?? "?", left)
      : readyText(gate, args.run, left);
  return { kind: "contact", text: `${happened} ${waits}`, until: gate.until };
}

function claimedText(worker: string, left: string): string {
  return `Worker ${worker} had claimed this run. Whether it started is known when the worker has sent its reports (at most ${left}).`;
}

function readyText({ workers, more }: StartGate, { pool }: RunRow, left: string): string {
  if (workers.length === 0)
    return `It does not know which workers were running attempts then, so starts in pool "${pool}" wait ${left}: any worker may still report what it did since.`;
  const names = more > 0 ? [...workers, `${more} more`] : workers;
  const who = names.length === 1 ? `the worker ${names[0]} has` : `the workers ${joined(names)} have`;
  const did = names.length === 1 ? "it did" : "they did";
  return `Starts in pool "${pool}" wait until ${who} reported what ${did} since (at most ${left}).`;
}

function joined(names: readonly string[]): string {
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
