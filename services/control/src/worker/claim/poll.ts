import { type Amounts, type Claimed, type Fence, Problem, sameFence } from "@towpath/contract";
import { cleanJson, type Deps, failpoint, graceMs, type WorkerScope } from "../../kernel/index.ts";
import type { ReservedSlot } from "../../runs/index.ts";
import type { Arrived } from "./arrivals.ts";
import { Dispatcher } from "./dispatcher.ts";
import { namedBy, settleHeld } from "./settle.ts";
import { NOTHING, openWaiter } from "./waiter.ts";

/** The shortest wait of a poll with free slots, milliseconds: enough to look for work once. */
const LEAST_WAIT_MS = 100;

/** A worker's poll, parsed by the contract. */
export interface Poll {
  readonly free: number;
  /** The free part of the worker's amounts. Missing: all are free. */
  readonly amounts?: Amounts | undefined;
  readonly held: readonly Fence[];
  readonly waitMs: number;
  readonly draining: boolean;
  /** Present if the worker takes no work for a while. */
  readonly paused?: { readonly forMs: number; readonly reason: string } | undefined;
  /** Its number since the worker's start. */
  readonly seq: number;
  /** The worker has read the answers of polls up to this one: what they assigned is in `held` or was dropped. */
  readonly heard: number;
  /**
   * The incarnation of the database to which the worker has offered its reports again. Null: it is offering them now.
   * Missing: the worker cannot do that.
   */
  readonly reconciled?: string | null | undefined;
  /** Whether the poll is answered after one look for work. @default false */
  readonly brief?: boolean;
  /** The attempts that the report with this poll ends, stored or not. They are neither held nor missing. @default none */
  readonly ending?: readonly Fence[];
}

/** The dispatchers of the pools whose workers poll at one process. */
export class Dispatchers {
  readonly #byPool = new Map<string, Dispatcher>();

  /** The dispatcher of the worker's pool. Without waiting polls it costs one entry of a map. */
  of(deps: Deps, worker: WorkerScope): Dispatcher {
    const found = this.#byPool.get(worker.poolId) ?? new Dispatcher(deps, worker);
    this.#byPool.set(worker.poolId, found);
    return found;
  }

  /** Whether a worker with a free slot polls the pool in this process, so that a ready run is claimed at once. */
  areWaiting(poolId: string): boolean {
    return this.#byPool.get(poolId)?.hasRoom() ?? false;
  }

  /** Reserves a slot of a poll that waits in this process, for a run that is about to be created. Null: no poll waits. */
  reserve(poolId: string): ReservedSlot | null {
    return this.#byPool.get(poolId)?.reserve() ?? null;
  }

  /** This process has committed the ends of a worker's attempts. */
  ended(worker: WorkerScope, attemptIds: readonly string[]): void {
    this.#byPool.get(worker.poolId)?.pollCache.ended(worker, attemptIds);
  }

  /** Resolves when no claim is under way, so that the last assignments are committed. */
  async idle(): Promise<void> {
    await Promise.all([...this.#byPool.values()].map((dispatcher) => dispatcher.idle()));
  }
}

/**
 * A worker's long-poll. Compares the attempts that it holds with the database, then answers assignments and commands as
 * soon as there are any. A newer poll of the same worker replaces an older one, in any order of arrival. The next poll
 * delivers the content of a lost answer again.
 */
export async function claim(deps: Deps, args: Arriving): Promise<Claimed> {
  const { worker, poll } = args;
  const dispatcher = args.dispatchers.of(deps, worker);
  const { draining, seq } = poll;
  // Before the read of the worker's attempts, which would miss what the older poll is given after it.
  dispatcher.supersede(worker, seq);
  const arrival = await arrive(deps, args);
  if ("answer" in arrival) return arrival.answer;
  if (args.signal?.aborted || (await knowsOtherDatabase(deps, poll))) return NOTHING;
  const { name, offeringMs } = arrival;
  const { pollCache } = dispatcher;
  if (arrival.unsettled) pollCache.forget(worker);
  else pollCache.heard(worker, { ...poll, name, offeringMs });
  const free = draining || (await isOffering(deps, offeringMs)) ? 0 : poll.free;
  const { waiter, answer } = openWaiter({
    worker,
    name,
    seq,
    free,
    amounts: poll.amounts ?? null,
    held: poll.held,
    signal: args.signal,
    brief: poll.brief ?? false,
    waitMs: Math.max(poll.waitMs, free > 0 ? LEAST_WAIT_MS : 0),
    onAnswer: (claimed) => pollCache.answered(worker, claimed),
  });
  dispatcher.enlist(waiter, answer);
  return answer;
}

/**
 * Whether a worker gets no work yet, because it is still offering its reports to a restored database. A ready attempt may
 * be one of them. This ends after a full grace, so that a worker that cannot finish gets work again.
 */
async function isOffering({ incarnations, config }: Deps, offeringMs: number | null): Promise<boolean> {
  if (offeringMs === null) return false;
  const { ageMs } = incarnations.known ?? (await incarnations.current());
  return Math.min(offeringMs, ageMs ?? offeringMs) < graceMs(config);
}

/** Whether a worker knows another incarnation of the database. Its poll is then answered at once. */
async function knowsOtherDatabase({ incarnations }: Deps, { reconciled }: Poll): Promise<boolean> {
  if (typeof reconciled !== "string") return false;
  return reconciled !== (incarnations.known ?? (await incarnations.current())).id;
}

/** A poll that has just arrived. */
interface Arriving {
  readonly worker: WorkerScope;
  readonly poll: Poll;
  readonly dispatchers: Dispatchers;
  /** Fires when the caller has gone. Null for a poll that is answered at once. */
  readonly signal: AbortSignal | null;
}

/** A poll that is not answered at once. */
interface OpenPoll {
  /** The worker's name. */
  readonly name: string;
  /** For how long the worker has been offering its reports again, milliseconds. Null: it does not. */
  readonly offeringMs: number | null;
  /** Whether attempts that the worker no longer holds are not settled yet. */
  readonly unsettled: boolean;
}

/** Records a poll if needed, and settles its worker's attempts. @returns an answer, if there is one already. */
async function arrive(deps: Deps, args: Arriving): Promise<OpenPoll | { answer: Claimed }> {
  const { worker, poll } = args;
  const dispatcher = args.dispatchers.of(deps, worker);
  const { pollCache } = dispatcher;
  if (pollCache.isLate(worker, poll)) return { answer: { ...NOTHING, superseded: true } };
  const arrived = (await unrecorded(dispatcher, args)) ?? (await recorded(dispatcher, args));
  if (arrived === null) return { answer: { ...NOTHING, superseded: true } };
  if (args.signal?.aborted) return { answer: NOTHING };
  const { assignments, commands, urgent, unsettled } = await settleHeld(deps, worker, {
    poll,
    held: arrived.held,
  });
  const isDue = urgent && dispatcher.sent.isDue(worker.workerId, commands);
  if (assignments.length > 0 || isDue) return { answer: { assignments, commands, superseded: false } };
  const { name, offeringMs } = arrived;
  return { name, offeringMs, unsettled };
}

/**
 * A poll that directly follows another in this process is not recorded by itself. Null: it must be recorded. Either it does
 * not follow another, or its worker lacks an attempt, which may then be lost.
 */
async function unrecorded(dispatcher: Dispatcher, { worker, poll }: Arriving): Promise<Arrived> {
  const { pollCache, arrivals } = dispatcher;
  const follows = pollCache.follows(worker, poll);
  if (follows === null) return null;
  const held = follows.holds ? await arrivals.held(worker) : [];
  if (!held.every((row) => namedBy(poll).some((fence) => sameFence(row, fence)))) return null;
  pollCache.put(worker, poll);
  if (pollCache.isDue) await dispatcher.writePollCache();
  // Also null if the session has expired; recording the poll reports that.
  const { name, offeringMs } = follows;
  return pollCache.follows(worker, poll) && { name, offeringMs, held };
}

/** Records a poll. Null: it is superseded. */
async function recorded({ pollCache, arrivals }: Dispatcher, { worker, poll }: Arriving): Promise<Arrived> {
  pollCache.forget(worker);
  const { draining, seq, reconciled = null } = poll;
  const offering = poll.reconciled === null;
  const paused = poll.paused === undefined ? null : cleanJson(poll.paused);
  return arrivals.note(worker, { draining, paused, seq, reconciled, offering });
}

/**
 * Claims work for a worker that reports, without waiting for work. It runs beside the report, because the worker itself says
 * what is free. Waiting until the ends are stored would add a statement to each run.
 * @param args.ending The attempts that the report ends. The worker no longer has them, stored or not.
 * @returns null if the claim failed. The report is stored, and the answer to the worker's next poll has the reason.
 */
export async function claimNext(
  deps: Deps,
  args: {
    worker: WorkerScope;
    next: Omit<Poll, "waitMs" | "brief" | "ending">;
    ending: readonly Fence[];
    dispatchers: Dispatchers;
  },
): Promise<Claimed | null> {
  const { worker, dispatchers, ending } = args;
  dispatchers.ended(
    worker,
    ending.map(({ attemptId }) => attemptId),
  );
  const held = args.next.held.filter((fence) => !ending.some((one) => sameFence(one, fence)));
  const poll = { ...args.next, held, ending, waitMs: 0, brief: true };
  const claimed = await claim(deps, { worker, poll, dispatchers, signal: null }).catch((error: unknown) => {
    deps.log.warn(
      { err: error, worker: worker.workerId },
      "the claim beside a report failed; the worker's next poll claims again",
    );
    return null;
  });
  if (claimed !== null && claimed.assignments.length > 0) failpoint("claim");
  return claimed;
}

/** The most waiting polls of one workspace in one process. Each takes a connection and some kilobytes. */
const WAITING_POLLS_MAX = 10_000;

/** Counts the polls of each workspace that wait in one process. */
export class WaitingPolls {
  readonly #most: number;
  readonly #byWorkspace = new Map<string, number>();

  constructor(most: number = WAITING_POLLS_MAX) {
    this.#most = most;
  }

  /** Lets a poll wait. @throws Problem `too-many-polls` if too many polls of the workspace wait. */
  async pass<Answer>(workspaceId: string, wait: () => Promise<Answer>): Promise<Answer> {
    const before = this.#byWorkspace.get(workspaceId) ?? 0;
    if (before >= this.#most)
      throw new Problem(
        "too-many-polls",
        `${before} workers of this workspace are polling already. Start fewer workers, and give each more slots (\`capacity\`).`,
      );
    this.#byWorkspace.set(workspaceId, before + 1);
    try {
      return await wait();
    } finally {
      const left = (this.#byWorkspace.get(workspaceId) ?? 1) - 1;
      if (left === 0) this.#byWorkspace.delete(workspaceId);
      else this.#byWorkspace.set(workspaceId, left);
    }
  }
}
