import { Problem } from "@towpath/contract";
import type { Deps, WorkerScope } from "../../kernel/index.ts";
import { noteWorkers, type SeenPoll } from "../../pools/index.ts";

/** The most workers whose last polls are remembered. */
const WORKERS_MAX = 10_000;

/** A poll as far as it tells whether anything has happened since the one before. */
interface Said {
  readonly seq: number;
  readonly held: readonly unknown[];
  readonly draining: boolean;
  readonly paused?: unknown;
  readonly amounts?: unknown;
}

interface Last {
  readonly generation: number;
  readonly seq: number;
  readonly name: string;
}

/**
 * The workers of a pool that poll here and hold nothing. If the poll before had nothing to tell either and was answered
 * here, with nothing, then its successor brings no news: it is not asked about in the database, and that it came is
 * written with all others at the next look. 100 idle workers then cost a statement in ten seconds instead of eight in
 * one. What is given to such a poll is fenced by the claim itself, which asks whether its worker still stands.
 */
export class Attendance {
  readonly #last = new Map<string, Last>();
  #unwritten = new Map<string, SeenPoll>();

  /** The worker's name, if this poll brings no news. The database then hears of it by `write`. */
  brings(worker: WorkerScope, poll: Said): { readonly nothing: string } | null {
    const { workerId, generation } = worker;
    const last = this.#last.get(workerId);
    this.#last.delete(workerId);
    if (last === undefined || !saysNothing(poll)) return null;
    if (last.generation !== generation || last.seq + 1 !== poll.seq) return null;
    this.#unwritten.set(workerId, { workerId, generation, seq: poll.seq, draining: false, paused: null });
    return { nothing: last.name };
  }

  /** Remembers a poll whose answer was that there is nothing. */
  endedEmpty(worker: WorkerScope, poll: Said & { name: string }): void {
    if (!saysNothing(poll)) return;
    if (this.#last.size >= WORKERS_MAX) this.#last.clear();
    const { seq, name } = poll;
    this.#last.set(worker.workerId, { generation: worker.generation, seq, name });
  }

  /** Writes that they came. @returns the workers whose session is over, or who have polled elsewhere since. */
  async write(deps: Deps, workspaceId: string): Promise<string[]> {
    if (this.#unwritten.size === 0) return [];
    const polls = [...this.#unwritten.values()];
    this.#unwritten = new Map();
    const noted = await noteWorkers(deps, deps.database.db, { workspaceId, polls });
    const gone = polls.filter((_, index) => noted[index] === null || noted[index] instanceof Problem);
    return gone.map(({ workerId }) => workerId);
  }
}

function saysNothing({ held, draining, paused, amounts }: Said): boolean {
  return held.length === 0 && !draining && paused === undefined && amounts === undefined;
}
