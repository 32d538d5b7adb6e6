import { type Fence, Problem } from "@towpath/contract";
import type { Clock, Deps, WorkerScope } from "../../kernel/index.ts";
import { noteWorkers, type SeenPoll } from "../../pools/index.ts";

/** The most workers whose last polls are remembered. */
const WORKERS_MAX = 10_000;
/** For how long polls may stay unrecorded, milliseconds. A worker counts as online for longer. */
const UNWRITTEN_MAX_MS = 10_000;

/** The part of a poll that shows whether anything has changed since the previous one. */
interface PollState {
  readonly seq: number;
  readonly held: readonly Pick<Fence, "attemptId">[];
  readonly draining: boolean;
  readonly paused?: unknown;
  readonly reconciled?: string | null | undefined;
}

/** The last poll of a worker. */
interface Last {
  readonly generation: number;
  readonly seq: number;
  readonly name: string;
  readonly reconciled: string | null | undefined;
  /** Since when its worker offers its reports again. Null: it does not. */
  readonly offeringSinceMs: number | null;
  /** The attempts that its worker may hold: those in its poll, and those assigned since, without the ones that ended here. */
  readonly open: Set<string>;
}

/** A poll that directly follows another in this process, so that it need not be recorded. */
export interface Successor {
  /** The worker's name. */
  readonly name: string;
  /** For how long its worker has offered its reports again, milliseconds. Null: it does not. */
  readonly offeringMs: number | null;
  /** Whether its worker holds an attempt, so that the database is asked for commands. */
  readonly holds: boolean;
}

/**
 * The workers of a pool that poll here, and the attempts that they may hold. A poll that directly follows another in this process
 * is not recorded by itself: all of them are recorded together every ten seconds. If its worker holds nothing, the database is not
 * asked about it at all. An idle fleet then costs almost nothing. The claim itself checks that the worker's session is current.
 */
export class PollCache {
  readonly #clock: Clock;
  readonly #last = new Map<string, Last>();
  #unwritten = new Map<string, SeenPoll>();
  #writtenAtMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#writtenAtMs = clock.nowMs();
  }

  /** Whether this process has seen a later poll of the same start of the worker. */
  isLate(worker: WorkerScope, poll: PollState): boolean {
    const last = this.#last.get(worker.workerId);
    return last !== undefined && last.generation === worker.generation && poll.seq <= last.seq;
  }

  /** The previous poll's details, if the poll directly follows it. Null: the poll must be recorded. */
  follows(worker: WorkerScope, poll: PollState): Successor | null {
    const last = this.#last.get(worker.workerId);
    if (last === undefined || !isPlain(poll) || last.generation !== worker.generation) return null;
    if (last.seq + 1 !== poll.seq || last.reconciled !== poll.reconciled) return null;
    const { name, offeringSinceMs, open } = last;
    const offeringMs = offeringSinceMs === null ? null : this.#clock.nowMs() - offeringSinceMs;
    return { name, offeringMs, holds: poll.held.length + open.size > 0 };
  }

  /** Keeps a poll that `follows` another, to record it together with others. */
  put(worker: WorkerScope, { seq, reconciled }: PollState): void {
    const { workerId, generation } = worker;
    const state = { draining: false, paused: null, reconciled: null, offering: reconciled === null };
    this.#unwritten.set(workerId, { workerId, generation, seq, ...state });
  }

  /** Forgets a worker until its new poll is recorded. */
  forget({ workerId }: Pick<WorkerScope, "workerId">): void {
    this.#last.delete(workerId);
    this.#unwritten.delete(workerId);
  }

  /** Remembers a poll that waits now. */
  heard(worker: WorkerScope, poll: PollState & Pick<Successor, "name" | "offeringMs">): void {
    if (!isPlain(poll)) return;
    if (this.#last.size >= WORKERS_MAX) this.#last.clear();
    const { seq, name, held, reconciled, offeringMs } = poll;
    const open = new Set(held.map(({ attemptId }) => attemptId));
    const offeringSinceMs = offeringMs === null ? null : this.#clock.nowMs() - offeringMs;
    const last = { generation: worker.generation, seq, name, reconciled, offeringSinceMs, open };
    this.#last.set(worker.workerId, last);
  }

  /** A poll was answered: its worker may hold these assignments. */
  answered(worker: WorkerScope, { assignments }: { assignments: readonly Pick<Fence, "attemptId">[] }): void {
    const last = this.#last.get(worker.workerId);
    for (const { attemptId } of assignments) last?.open.add(attemptId);
  }

  /** This process has committed the ends of a worker's attempts. */
  ended(worker: WorkerScope, attemptIds: readonly string[]): void {
    const last = this.#last.get(worker.workerId);
    for (const attemptId of attemptIds) last?.open.delete(attemptId);
  }

  /** Whether it is time to record the kept polls. */
  get isDue(): boolean {
    return this.#unwritten.size > 0 && this.#clock.nowMs() - this.#writtenAtMs >= UNWRITTEN_MAX_MS;
  }

  /** Records the kept polls. @returns workers whose session has expired, or that have polled at another process since. */
  async write(deps: Deps, workspaceId: string): Promise<string[]> {
    this.#writtenAtMs = this.#clock.nowMs();
    if (this.#unwritten.size === 0) return [];
    const polls = [...this.#unwritten.values()];
    this.#unwritten = new Map();
    const noted = await noteWorkers(deps, deps.database.db, { workspaceId, polls });
    const gone = polls.filter((_, index) => noted[index] === null || noted[index] instanceof Problem);
    for (const one of gone) this.forget(one);
    return gone.map(({ workerId }) => workerId);
  }
}

/** Whether a poll has no state that the database keeps. */
function isPlain({ draining, paused }: PollState): boolean {
  return !draining && paused === undefined;
}
