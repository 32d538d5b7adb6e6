import { Problem } from "@towpath/contract";
import type { Deps, WorkerScope } from "../../kernel/index.ts";
import { type Noted, noteWorkers, type SeenPoll } from "../../pools/index.ts";
import { type HeldAttempt, listHeld } from "../../runs/index.ts";

/** The most polls in one statement. */
const TOGETHER_MAX = 500;

/** A poll with its worker's name, if the poll was recorded, and the attempts that the worker holds. Null: it is superseded. */
export type Arrived = {
  readonly name: string;
  /** For how long its worker has offered its reports again, milliseconds. Null: it does not. */
  readonly offeringMs: number | null;
  readonly held: readonly HeldAttempt[];
} | null;

/** The state of the worker in a poll. */
type WorkerState = Omit<SeenPoll, "workerId" | "generation">;

interface Arriving {
  readonly worker: WorkerScope;
  /** Null: the poll is not recorded, and only the attempts are read. */
  readonly state: WorkerState | null;
  readonly answer: PromiseWithResolvers<Arrived>;
}

/**
 * Records the polls of one pool and reads the attempts of their workers. Polls that come during a statement share the next
 * one, without timers. One by one, each poll would take two statements.
 */
export class Arrivals {
  readonly #deps: Deps;
  readonly #workspaceId: string;
  #waiting: Arriving[] = [];
  #working = false;

  constructor(deps: Deps, workspaceId: string) {
    this.#deps = deps;
    this.#workspaceId = workspaceId;
  }

  /**
   * Records a poll. If polls of a worker race, in any number of processes, the latest one wins.
   * @throws Problem `session-expired` if the session is of an earlier start of the worker.
   */
  note(worker: WorkerScope, state: WorkerState): Promise<Arrived> {
    return this.#arrive(worker, state);
  }

  /** The attempts of a worker whose poll is not recorded. */
  async held(worker: WorkerScope): Promise<readonly HeldAttempt[]> {
    return (await this.#arrive(worker, null))?.held ?? [];
  }

  #arrive(worker: WorkerScope, state: WorkerState | null): Promise<Arrived> {
    const answer = Promise.withResolvers<Arrived>();
    this.#waiting.push({ worker, state, answer });
    if (!this.#working) void this.#work();
    return answer.promise;
  }

  async #work(): Promise<void> {
    this.#working = true;
    while (this.#waiting.length > 0) await this.#noteTogether(this.#next());
    this.#working = false;
  }

  /** The polls of the next statement, each worker once: its later poll must see the result of the earlier one. */
  #next(): Arriving[] {
    const together = new Map<string, Arriving>();
    const rest: Arriving[] = [];
    for (const one of this.#waiting) {
      const { workerId } = one.worker;
      if (together.size === TOGETHER_MAX || together.has(workerId)) rest.push(one);
      else together.set(workerId, one);
    }
    this.#waiting = rest;
    return [...together.values()];
  }

  async #noteTogether(polls: readonly Arriving[]): Promise<void> {
    const { db } = this.#deps.database;
    const workspaceId = this.#workspaceId;
    const workerIds = polls.map(({ worker }) => worker.workerId);
    const seen = polls.flatMap(seenOf);
    try {
      const [noted, held] = await Promise.all([
        seen.length === 0 ? [] : noteWorkers(this.#deps, db, { workspaceId, polls: seen }),
        listHeld(db, { workspaceId, workerIds, changed: false }),
      ]);
      const notes = new Map(seen.map(({ workerId }, index) => [workerId, noted[index] ?? null]));
      const heldBy = Map.groupBy(held, (row) => row.workerId);
      for (const one of polls) {
        const { workerId } = one.worker;
        settle(one, one.state === null ? UNNOTED : (notes.get(workerId) ?? null), heldBy.get(workerId) ?? []);
      }
    } catch (error) {
      for (const { answer } of polls) answer.reject(error);
    }
  }
}

const UNNOTED = { name: "", offeringMs: null } as const;

function seenOf({ worker, state }: Arriving): SeenPoll[] {
  return state === null ? [] : [{ workerId: worker.workerId, generation: worker.generation, ...state }];
}

function settle({ answer }: Arriving, noted: Noted, held: readonly HeldAttempt[]): void {
  if (noted instanceof Problem) answer.reject(noted);
  else answer.resolve(noted && { ...noted, held });
}
