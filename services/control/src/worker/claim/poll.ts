import { type Amounts, type Claimed, Problem } from "@towpath/contract";
import { cleanJson, type Deps, failpoint, graceMs, type WorkerScope } from "../../kernel/index.ts";
import { type FenceOf, type KeptPlace, sameFence } from "../../runs/index.ts";
import type { Arrived } from "./arrivals.ts";
import { Dispatcher } from "./dispatcher.ts";
import { namedBy, settleHeld } from "./settle.ts";
import { NOTHING, openWaiter } from "./waiter.ts";

/** The shortest wait of a poll with free slots, milliseconds: one look for work fits in. */
const LEAST_WAIT_MS = 100;

/** A worker's poll, parsed by the contract. */
export interface Poll {
  readonly free: number;
  /** What of its amounts is free. Missing: all of them. */
  readonly amounts?: Amounts | undefined;
  readonly held: readonly FenceOf[];
  readonly waitMs: number;
  readonly draining: boolean;
  /** That it takes nothing for a while, and why. */
  readonly paused?: { readonly forMs: number; readonly reason: string } | undefined;
  /** Its number since the worker's start. */
  readonly seq: number;
  /** What polls up to this one brought is in `held`, or will never be taken. */
  readonly heard: number;
  /** The incarnation of the database to which its worker has offered again what it knows. Null: it is doing so. Missing: it cannot. */
  readonly reconciled?: string | null | undefined;
  /** Whether it is answered as soon as it was looked for work once. @default false */
  readonly brief?: boolean;
  /** The attempts that a report with it ends, stored or not: they are neither held nor missing. @default none */
  readonly ending?: readonly FenceOf[];
}

/** The dispatchers of the pools whose workers poll at one process. */
export class Dispatchers {
  readonly #byPool = new Map<string, Dispatcher>();

  /** The dispatcher of a pool. One that nobody waits at costs a map's entry. */
  of(deps: Deps, worker: WorkerScope): Dispatcher {
    const found = this.#byPool.get(worker.poolId) ?? new Dispatcher(deps, worker);
    this.#byPool.set(worker.poolId, found);
    return found;
  }

  /** Whether a worker with a free slot polls a pool in this process. A run that becomes ready there is taken at once. */
  areWaiting(poolId: string): boolean {
    return this.#byPool.get(poolId)?.hasRoom() ?? false;
  }

  /** Reserves a slot of a poll that waits in this process, for a run that is about to be created. Null: no poll waits. */
  keep(poolId: string): KeptPlace | null {
    return this.#byPool.get(poolId)?.keep() ?? null;
  }

  /** Attempts of a worker have ended, and that was committed by this process. */
  ended(worker: WorkerScope, attemptIds: readonly string[]): void {
    this.#byPool.get(worker.poolId)?.pollCache.ended(worker, attemptIds);
  }

  /** Settles once no claim is under way: what polls that have gone may still have been given is committed then. */
  async idle(): Promise<void> {
    await Promise.all([...this.#byPool.values()].map((dispatcher) => dispatcher.idle()));
  }
}

/**
 * A worker's long-poll: settles what it holds, then answers assignments and commands as soon as there are any. A newer
 * poll of the same worker replaces the older one, in whatever order they arrive. A lost answer costs nothing: the next poll delivers
 * its content again.
 */
export async function claim(deps: Deps, args: Arriving): Promise<Claimed> {
  const { worker, poll } = args;
  const dispatcher = args.dispatchers.of(deps, worker);
  const { draining, seq } = poll;
  // Before the database is asked what the worker holds: the older poll is given nothing more that this one would miss.
  dispatcher.supersede(worker, seq);
  const told = await arrive(deps, args);
  if ("answer" in told) return told.answer;
  if (args.signal?.aborted || (await isMistaken(deps, poll))) return NOTHING;
  const { name, offeringMs } = told;
  const { pollCache } = dispatcher;
  if (told.unsettled) pollCache.forget(worker);
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
 * Whether a worker is given nothing yet, for what is ready may be what it is about to offer. A full grace after it began to offer to this database
 * that is over: a worker that cannot finish must not stay without work forever.
 */
async function isOffering({ incarnations, config }: Deps, offeringMs: number | null): Promise<boolean> {
  if (offeringMs === null) return false;
  const { ageMs } = incarnations.known ?? (await incarnations.current());
  return Math.min(offeringMs, ageMs ?? offeringMs) < graceMs(config);
}

/** Whether a worker takes the database for one that it was: then it is told at once. */
async function isMistaken({ incarnations }: Deps, { reconciled }: Poll): Promise<boolean> {
  if (typeof reconciled !== "string") return false;
  return reconciled !== (incarnations.known ?? (await incarnations.current())).id;
}

/** A poll, whose it is, and where. */
interface Arriving {
  readonly worker: WorkerScope;
  readonly poll: Poll;
  readonly dispatchers: Dispatchers;
  /** Fires when its caller has gone. Null: that is not asked about one which is answered at once. */
  readonly signal: AbortSignal | null;
}

/** A poll for which there is nothing to tell at once. */
interface Heard {
  /** The worker's name. */
  readonly name: string;
  /** For how long its worker has said that it is offering again what it knows, milliseconds. Null: it does not say so. */
  readonly offeringMs: number | null;
  /** Whether it is still to be settled what its worker no longer holds. */
  readonly unsettled: boolean;
}

/** Notes a poll where that is needed, and settles what its worker holds. @returns an answer, if there is something to tell. */
async function arrive(deps: Deps, args: Arriving): Promise<Heard | { answer: Claimed }> {
  const { worker, poll } = args;
  const dispatcher = args.dispatchers.of(deps, worker);
  const { pollCache } = dispatcher;
  if (pollCache.isLate(worker, poll)) return { answer: { ...NOTHING, superseded: true } };
  const arrived = (await unnoted(dispatcher, args)) ?? (await noted(dispatcher, args));
  if (arrived === null) return { answer: { ...NOTHING, superseded: true } };
  if (args.signal?.aborted) return { answer: NOTHING };
  const { assignments, commands, urgent, unsettled } = await settleHeld(deps, worker, {
    poll,
    held: arrived.held,
  });
  const tells = urgent && dispatcher.told.tells(worker.workerId, commands);
  if (assignments.length > 0 || tells) return { answer: { assignments, commands, superseded: false } };
  const { name, offeringMs } = arrived;
  return { name, offeringMs, unsettled };
}

/**
 * A poll that follows one which was heard here is not noted. Null: it is to be, for it does not; or because its worker holds
 * what it does not say, and what comes of that may be the loss of an attempt.
 */
async function unnoted(dispatcher: Dispatcher, { worker, poll }: Arriving): Promise<Arrived> {
  const { pollCache, arrivals } = dispatcher;
  const follows = pollCache.follows(worker, poll);
  if (follows === null) return null;
  const held = follows.holds ? await arrivals.held(worker) : [];
  if (!held.every((row) => namedBy(poll).some((fence) => sameFence(row, fence)))) return null;
  pollCache.put(worker, poll);
  if (pollCache.isDue) await dispatcher.writePollCache();
  // Null as well if that told that its session is over: to note it says so.
  const { name, offeringMs } = follows;
  return pollCache.follows(worker, poll) && { name, offeringMs, held };
}

/** Null: it is superseded. */
async function noted({ pollCache, arrivals }: Dispatcher, { worker, poll }: Arriving): Promise<Arrived> {
  pollCache.forget(worker);
  const { draining, seq, reconciled = null } = poll;
  const offering = poll.reconciled === null;
  const paused = poll.paused === undefined ? null : cleanJson(poll.paused);
  return arrivals.note(worker, { draining, paused, seq, reconciled, offering });
}

/**
 * Claims work for a worker that reports, without waiting for any. It runs beside the report, since a worker says itself what it has
 * free: waiting until the ends are stored would be a third statement in a row for each run.
 * @param args.ending The attempts that the report ends. The worker has them no longer, stored or not.
 * @returns null if that failed. The report is stored all the same, and the worker's next poll is answered with the reason.
 */
export async function claimNext(
  deps: Deps,
  args: {
    worker: WorkerScope;
    next: Omit<Poll, "waitMs" | "brief" | "ending">;
    ending: readonly FenceOf[];
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
    deps.log.warn({ err: error, worker: worker.workerId }, "no work could be claimed beside a report");
    return null;
  });
  if (claimed !== null && claimed.assignments.length > 0) failpoint("claim");
  return claimed;
}

/** The most polls of one workspace that wait in one process. Each takes a connection and some kilobytes. */
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
        `${before} polls of this workspace wait here already. Start fewer workers, and give each more slots (\`capacity\`).`,
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
