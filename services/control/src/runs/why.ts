import { AHEAD_MAX, type WaitFacts } from "./store/read.ts";
import type { AttemptRow, RunRow } from "./table.ts";

/** What the sentence about a waiting run is made of. */
interface Waiting {
  readonly run: RunRow;
  /** The attempt that it waits with. */
  readonly current: AttemptRow | null;
  /** The last attempt that ended. */
  readonly previous: AttemptRow | null;
  readonly facts: WaitFacts;
}

/**
 * Why a run does not run yet, and what would unblock it, in a sentence or two for people. Null for one that runs
 * undisturbed or has ended.
 */
export function whyOf(a: Waiting): string | null {
  const { run, current } = a;
  switch (run.state) {
    case "scheduled":
      return scheduled(a);
    case "ready":
      return ready(a);
    case "claimed":
      return `Worker ${current?.workerName ?? "?"} has taken it and prepares its code; it has not confirmed the start yet.`;
    case "cancelling":
      return current?.startedAt
        ? `Worker ${current.workerName ?? "?"} has been asked to stop it. If the worker stays away, the run ends once its lease and grace have passed.`
        : "Its worker has been asked to let it go before the start.";
    case "blocked":
      return "Its slots are taken by other runs.";
    case "suspended":
      return "It waits for an event, a time or an answer.";
    case "running":
      return disconnected(a);
    default:
      return null;
  }
}

function scheduled({ run, previous }: Waiting): string {
  const due = run.dueAt.toISOString();
  if (previous === null || run.attempts === 0) return `It is scheduled for ${due}.`;
  return `Attempt ${previous.ordinal} ended with cause ${previous.cause ?? "unknown"}; the next one is due at ${due}.`;
}

function ready(a: Waiting): string {
  const { run, facts } = a;
  const back = givenBack(a);
  if (facts.workersOnline === 0) {
    const draining = facts.workersDraining > 0 ? " but for those that are being drained" : "";
    return `No worker of pool "${run.pool}" is online${draining}: start one with \`towpath worker start --pool ${run.pool}\`.${back && ` ${back}`}`;
  }
  return back || (allPause(a) ?? waits(a));
}

/** Null unless every worker that could take it pauses. */
function allPause({ run, facts }: Waiting): string | null {
  const { workersPaused, workersOnline, pausedUntil, pauseReason } = facts;
  if (pausedUntil === null || workersPaused < workersOnline) return null;
  const who = workersOnline === 1 ? "The worker" : `Each of the ${workersOnline} workers`;
  const reason = pauseReason?.replace(/[.;]$/, "") || "see its log";
  return `${who} of pool "${run.pool}" that is online pauses, because attempts failed there before their code ran: ${reason}. The next try is at ${pausedUntil.toISOString()}.`;
}

/** While it is kept back after a release, its place in the line does not matter: the reason does. */
function givenBack({ current, facts }: Waiting): string {
  if (!current?.notBefore || current.notBefore <= facts.now) return "";
  const times = current.releases === 1 ? "once" : `${current.releases} times`;
  const reason = current.releaseReason?.replace(/[.;]$/, "") ?? "it did not confirm the start in time";
  return `Worker ${current.workerName ?? "?"} gave it back ${times}: ${reason}; next try at ${current.notBefore.toISOString()}.`;
}

/** How long a free place may stay empty before it is told as strange, milliseconds. */
const TAKEN_WITHIN_MS = 10_000;

function waits({ run, current, facts }: Waiting): string {
  const workers = facts.workersOnline === 1 ? "1 worker" : `${facts.workersOnline} workers`;
  const ahead =
    facts.ahead >= AHEAD_MAX ? `${AHEAD_MAX} or more` : facts.ahead === 0 ? "nothing" : `${facts.ahead}`;
  if (facts.taken >= facts.places) {
    return `Every place of pool "${run.pool}" is taken (${facts.places} on ${workers} online), ${ahead} ahead of it.`;
  }
  const since = Math.max(current?.scheduledAt.getTime() ?? 0, current?.notBefore?.getTime() ?? 0);
  const isLate = current !== null && facts.ahead === 0 && facts.now.getTime() - since > TAKEN_WITHIN_MS;
  const pause = isLate
    ? " It should have been taken by now: a worker that fails to start attempts pauses for a while; look at its log."
    : "";
  return `It waits for a free place in pool "${run.pool}": ${workers} ${facts.workersOnline === 1 ? "is" : "are"} online, ${ahead} ahead of it.${pause}`;
}

function disconnected({ current, facts }: Waiting): string | null {
  if (!current?.leaseExpiresAt || current.leaseExpiresAt >= facts.now) return null;
  const lostAt = new Date(current.leaseExpiresAt.getTime() + current.lostAfterMs).toISOString();
  return `Worker ${current.workerName ?? "?"} has not been heard since its lease ended; without a word from it the attempt counts as lost at ${lostAt}.`;
}
