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

function ready({ run, current, facts }: Waiting): string {
  const back =
    current?.notBefore && current.notBefore > facts.now
      ? ` A worker gave it back${current.releaseReason ? ` (${current.releaseReason})` : ""}; it is offered again at ${current.notBefore.toISOString()}.`
      : "";
  if (facts.workersOnline === 0) {
    return `No worker of pool "${run.pool}" is online: start one with \`towpath worker start --pool ${run.pool}\`.${back}`;
  }
  const workers = facts.workersOnline === 1 ? "1 worker is" : `${facts.workersOnline} workers are`;
  const ahead =
    facts.ahead >= AHEAD_MAX ? `${AHEAD_MAX} or more` : facts.ahead === 0 ? "nothing" : `${facts.ahead}`;
  return `It waits for a free place in pool "${run.pool}": ${workers} online, ${ahead} ahead of it.${back}`;
}

function disconnected({ current, facts }: Waiting): string | null {
  if (!current?.leaseExpiresAt || current.leaseExpiresAt >= facts.now) return null;
  const lostAt = new Date(current.leaseExpiresAt.getTime() + current.lostAfterMs).toISOString();
  return `Worker ${current.workerName ?? "?"} has not been heard since its lease ended; without a word from it the attempt counts as lost at ${lostAt}.`;
}
