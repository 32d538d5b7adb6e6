import type { Amounts, Claimed } from "@towpath/contract";
import type { Deps, WorkerScope } from "../../kernel/index.ts";
import type { FenceOf } from "../store/leases.ts";
import { cleanJson } from "../text.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { KeptPlace } from "./places.ts";
import { settleHeld } from "./settle.ts";
import { NOTHING, openWaiter } from "./waiter.ts";

/** How long a poll with free places waits at least, so that one look at the line fits in, milliseconds. */
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

  /** Whether a worker with a free place waits at a pool in this process: a run that becomes ready there is taken at once. */
  areWaiting(poolId: string): boolean {
    return this.#byPool.get(poolId)?.hasRoom() ?? false;
  }

  /** Keeps a place of a poll that waits at a pool in this process, for a run that is about to be made. Null: nobody waits. */
  keep(poolId: string): KeptPlace | null {
    return this.#byPool.get(poolId)?.keep() ?? null;
  }

  /** Settles once no claim is under way: what polls that have gone may still have been given is committed then. */
  async idle(): Promise<void> {
    await Promise.all([...this.#byPool.values()].map((dispatcher) => dispatcher.idle()));
  }
}

/**
 * A worker's long-poll: settles what it holds, then answers assignments and commands as soon as there are any. A newer
 * poll of the same worker takes the place of the older one, in whatever order they arrive. An answer that is lost costs nothing: what it held is
 * delivered again at the next poll.
 */
export async function claim(
  deps: Deps,
  a: { worker: WorkerScope; poll: Poll; dispatchers: Dispatchers; signal: AbortSignal },
): Promise<Claimed> {
  const { worker, poll } = a;
  const dispatcher = a.dispatchers.of(deps, worker);
  const { draining, seq } = poll;
  // Before the database is asked what the worker holds: the older poll is given nothing more that this one would miss.
  dispatcher.supersede(worker, seq);
  const quiet = dispatcher.attendance.brings(worker, poll);
  const told = quiet === null ? await arrive(deps, a) : { name: quiet.nothing };
  if ("answer" in told) return told.answer;
  if (a.signal.aborted) return NOTHING;
  const free = draining ? 0 : poll.free;
  const { waiter, answer } = openWaiter({
    ...{
      worker,
      name: told.name,
      seq,
      free,
      amounts: poll.amounts ?? null,
      held: poll.held,
      signal: a.signal,
    },
    waitMs: Math.max(poll.waitMs, free > 0 ? LEAST_WAIT_MS : 0),
  });
  dispatcher.enlist(waiter, answer);
  const claimed = await answer;
  if (claimed === NOTHING) dispatcher.attendance.endedEmpty(worker, { ...poll, name: told.name });
  return claimed;
}

/** Notes a poll in the database and settles what its worker holds. @returns an answer, if there is something to tell. */
async function arrive(
  deps: Deps,
  a: { worker: WorkerScope; poll: Poll; dispatchers: Dispatchers; signal: AbortSignal },
): Promise<{ name: string } | { answer: Claimed }> {
  const { worker, poll } = a;
  const { draining, seq } = poll;
  const dispatcher = a.dispatchers.of(deps, worker);
  const paused = poll.paused === undefined ? null : cleanJson(poll.paused);
  const arrived = await dispatcher.arrivals.note(worker, { draining, paused, seq });
  if (arrived === null) return { answer: { ...NOTHING, superseded: true } };
  if (a.signal.aborted) return { answer: NOTHING };
  const { assignments, commands, urgent } = await settleHeld(deps, worker, { poll, held: arrived.held });
  const tells = urgent && dispatcher.told.tells(worker.workerId, commands);
  if (assignments.length > 0 || tells) return { answer: { assignments, commands, superseded: false } };
  return { name: arrived.name };
}
