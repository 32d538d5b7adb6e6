import { Problem } from "@towpath/contract";
import type { Deps, WorkerScope } from "../../kernel/index.ts";
import { type Noted, noteWorkers, type SeenPoll } from "../../pools/index.ts";
import { type HeldAttempt, listHeld } from "../../runs/index.ts";

/** The most polls that go in one statement. */
const TOGETHER_MAX = 500;

/** A poll with what the database knows: the worker's name, if the poll was recorded, and the attempts that it holds. Null: it is superseded. */
export type Arrived = {
  readonly name: string;
  /** For how long its worker has offered its reports again, milliseconds. Null: it does not. */
  readonly offeringMs: number | null;
  readonly held: readonly HeldAttempt[];
} | null;

/** The state of the worker in a poll. */
type Said = Omit<SeenPoll, "workerId" | "generation">;

interface Arriving {
  readonly worker: WorkerScope;
  /** Null: the poll is not recorded, and only the attempts are read. */
  readonly said: Said | null;
  readonly answer: PromiseWithResolvers<Arrived>;
}

/**
 * Records the polls of one pool and reads what their workers hold, together for all polls that came while the previous ones were
 * under way. There are no timers. One by one it would be two statements for each poll.
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
   * Notes a poll. Of any number of racing ones of a worker, in however many processes, the latest stays.
   * @throws Problem `session-expired` if the session is of an earlier start of the worker.
   */
  note(worker: WorkerScope, said: Said): Promise<Arrived> {
    return this.#arrive(worker, said);
  }

  /** What the worker of a poll holds that need not be noted. */
  async held(worker: WorkerScope): Promise<readonly HeldAttempt[]> {
    return (await this.#arrive(worker, null))?.held ?? [];
  }

  #arrive(worker: WorkerScope, said: Said | null): Promise<Arrived> {
    const answer = Promise.withResolvers<Arrived>();
    this.#waiting.push({ worker, said, answer });
    if (!this.#working) void this.#work();
    return answer.promise;
  }

  async #work(): Promise<void> {
    this.#working = true;
    while (this.#waiting.length > 0) await this.#noteTogether(this.#next());
    this.#working = false;
  }

  /** Those who go together: each worker once, so that its later poll meets what the earlier one left. */
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
        listHeld(db, { workspaceId, workerIds }),
      ]);
      const notes = new Map(seen.map(({ workerId }, index) => [workerId, noted[index] ?? null]));
      const heldBy = Map.groupBy(held, (row) => row.workerId);
      for (const one of polls) {
        const { workerId } = one.worker;
        settle(one, one.said === null ? UNNOTED : (notes.get(workerId) ?? null), heldBy.get(workerId) ?? []);
      }
    } catch (error) {
      for (const { answer } of polls) answer.reject(error);
    }
  }
}

const UNNOTED = { name: "", offeringMs: null } as const;

function seenOf({ worker, said }: Arriving): SeenPoll[] {
  return said === null ? [] : [{ workerId: worker.workerId, generation: worker.generation, ...said }];
}

function settle({ answer }: Arriving, noted: Noted, held: readonly HeldAttempt[]): void {
  if (noted instanceof Problem) answer.reject(noted);
  else answer.resolve(noted && { ...noted, held });
}
