import type { Assignment } from "@towpath/contract";
import { type Deps, graceMs, type Incarnation, type WorkerScope, wakeSequencer } from "../../kernel/index.ts";
import { isAwaitingWorkers } from "../../pools/index.ts";
import {
  type AssignedAttempt,
  claimAttempts,
  giveMatched,
  type KeptPlace,
  listChanges,
  type Place,
  sameFence,
} from "../../runs/index.ts";
import { Arrivals } from "./arrivals.ts";
import { assignmentOf, fitting } from "./assignment.ts";
import { heldCommands } from "./commands.ts";
import { PollCache } from "./poll-cache.ts";
import { SentCommands } from "./sent-commands.ts";
import { isUnheard, redeliver } from "./settle.ts";
import { placeOf, placesOf } from "./slots.ts";
import { NOTHING, precedes, type Waiter } from "./waiter.ts";

/** How often it is looked whether workers have offered again what the database may have forgotten, milliseconds. */
const HELD_LOOK_MS = 500;
/** How often waiting polls look by themselves, in case a wake was lost, milliseconds. */
const LOOK_MS = 10_000;

/**
 * Hands the work of one pool to the polls that wait in this process: one claim statement for all of them, the next one
 * as soon as the previous has come back, and no timers in between. Wakes only make it look sooner.
 */
export class Dispatcher {
  readonly #deps: Deps;
  readonly #pool: { readonly workspaceId: string; readonly poolId: string };
  /** Where polls of this pool are noted before they wait here. */
  readonly arrivals: Arrivals;
  /** Who polls here, and what they may hold. */
  readonly pollCache: PollCache;
  readonly #waiting = new Map<string, { waiter: Waiter; leave: () => void }>();
  /** Polls that a statement under way may give something to: no other one does meanwhile. */
  readonly #offered = new Set<Waiter>();
  /** What workers were told, and what they are still owed. */
  readonly told = new SentCommands();
  #working: Promise<void> | null = null;
  #again = { claim: false, changes: false };
  /**
   * Whether the queue was empty when we last looked, and nobody has woken us since: a poll that comes then has nothing
   * to look for. A wake that was lost is made up for by the next look, and so is a claim that gave nothing because the
   * only polls that waited were of workers who poll elsewhere by now.
   */
  #dry = false;
  #stopWatching: (() => void) | null = null;
  /** The next look while nothing is given away yet. One at a time: every poll that comes meanwhile would begin another chain of them. */
  #heldLook: NodeJS.Timeout | null = null;
  /** Whether something ready needed more than a place when we last looked: then the next look need not find that out. */
  #mixed = false;
  /** The list of needs after which the next look begins. */
  #after = "";

  constructor(deps: Deps, pool: { workspaceId: string; poolId: string }) {
    this.#deps = deps;
    this.#pool = pool;
    this.pollCache = new PollCache(deps.clock);
    this.arrivals = new Arrivals(deps, pool.workspaceId);
  }

  /** Answers an older poll of this worker: it has a newer one. */
  supersede(worker: WorkerScope, seq: number): void {
    const older = this.#waiting.get(worker.workerId)?.waiter;
    if (older === undefined || !precedes(older, { worker, seq })) return;
    older.answer({ ...NOTHING, superseded: true });
    this.#forgetAnswered();
  }

  /** Lets a poll wait here until it is answered. */
  enlist(waiter: Waiter, answered: Promise<unknown>): void {
    const { workerId } = waiter.worker;
    this.supersede(waiter.worker, waiter.seq);
    if (this.#waiting.has(workerId)) {
      waiter.answer({ ...NOTHING, superseded: true });
      return;
    }
    const leave = this.#deps.wakes.subscribe("pool", workerId, () =>
      this.#look({ claim: false, changes: true }),
    );
    this.#waiting.set(workerId, { waiter, leave });
    this.#stopWatching ??= this.#watch();
    void answered.then(() => this.#forget(workerId, waiter));
    const owed = this.told.takeOwed(workerId);
    if (owed || !this.#dry) this.#look({ claim: !this.#dry, changes: owed });
    else if (waiter.brief) waiter.answer(NOTHING);
  }

  /** Whether a poll with free slots waits. */
  hasRoom(): boolean {
    return [...this.#waiting.values()].some(({ waiter }) => !waiter.answered && waiter.free > 0);
  }

  /**
   * Reserves the slot of the poll that has waited longest for a run that is about to be made, so that the statement that makes it may give
   * it away too. What is given is fenced as a claim is; if it never gets there, it is told again as a claim is.
   * @returns null if nobody waits who is not offered something already.
   */
  keep(): KeptPlace | null {
    const waiter = this.#unoffered().find((one) => one.free > 0);
    if (waiter === undefined || mayBeHeld(this.#deps, this.#deps.incarnations.last)) return null;
    this.#offered.add(waiter);
    const { workerId } = waiter.worker;
    const release = (changes: boolean) => {
      this.#offered.delete(waiter);
      this.#forgetAnswered();
      if (changes || !this.#dry) this.#look({ claim: !this.#dry, changes });
    };
    return {
      place: placeOf(waiter),
      settle: (given) => {
        if (given !== null) this.#hand([placeOf(waiter)], [given]);
        release(false);
      },
      doubt: () => {
        this.told.owe(workerId);
        release(true);
      },
    };
  }

  /** Settles once nothing is under way. */
  async idle(): Promise<void> {
    await this.#working;
  }

  #watch(): () => void {
    // Waiting polls must learn that the database is another one, since it may have lost reports of their workers.
    const stopListening = this.#deps.incarnations.onChange(() => {
      for (const { waiter } of this.#waiting.values()) waiter.answer(NOTHING);
      this.#forgetAnswered();
    });
    const unsubscribe = this.#deps.wakes.subscribe("pool", this.#pool.poolId, () => {
      this.#dry = false;
      this.#look({ claim: true, changes: false });
    });
    const timer = setInterval(() => {
      this.#look({ claim: true, changes: true });
      void this.writePollCache();
    }, LOOK_MS);
    return () => {
      unsubscribe();
      stopListening();
      clearInterval(timer);
    };
  }

  /** Writes who has polled here. A worker that polls elsewhere by now, or whose session is over, waits here no longer. */
  async writePollCache(): Promise<void> {
    const { workspaceId, poolId } = this.#pool;
    try {
      const gone = await this.pollCache.write(this.#deps, workspaceId);
      for (const workerId of gone) {
        this.#waiting.get(workerId)?.waiter.answer({ ...NOTHING, superseded: true });
      }
      this.#forgetAnswered();
    } catch (error) {
      this.#deps.log.warn({ err: error, pool: poolId }, "that idle workers polled could not be written");
    }
  }

  #forgetAnswered(): void {
    for (const [workerId, { waiter }] of this.#waiting) if (waiter.answered) this.#forget(workerId, waiter);
  }

  /** A poll waits no longer, unless another of its worker has taken its place already. */
  #forget(workerId: string, waiter: Waiter): void {
    const found = this.#waiting.get(workerId);
    if (found?.waiter !== waiter) return;
    found.leave();
    this.#waiting.delete(workerId);
    if (this.#waiting.size > 0) return;
    this.#stopWatching?.();
    this.#stopWatching = null;
    this.#dry = false;
  }

  #look(for_: { claim: boolean; changes: boolean }): void {
    // The next poll looks by itself.
    if (this.#waiting.size === 0) return;
    this.#again = { claim: this.#again.claim || for_.claim, changes: this.#again.changes || for_.changes };
    this.#working ??= this.#work();
  }

  async #work(): Promise<void> {
    try {
      while ((this.#again.claim || this.#again.changes) && this.#waiting.size > 0) {
        const { claim, changes } = this.#again;
        this.#again = { claim: false, changes: false };
        const brief = this.#unoffered().filter((one) => one.brief);
        if (changes) await this.#tellChanges();
        if (claim) await this.#claim();
        for (const one of brief) one.answer(NOTHING);
        this.#forgetAnswered();
      }
    } catch (error) {
      this.#deps.log.error(
        { err: error, pool: this.#pool.poolId },
        "a claim failed; waiting polls look again",
      );
    }
    this.#again = { claim: false, changes: false };
    this.#working = null;
  }

  /** The polls that wait and are offered nothing yet. */
  #unoffered(): Waiter[] {
    const waiters = [...this.#waiting.values()].map(({ waiter }) => waiter);
    return waiters.filter((one) => !one.answered && !this.#offered.has(one));
  }

  async #claim(): Promise<void> {
    const waiters = this.#unoffered();
    for (const one of waiters) this.#offered.add(one);
    try {
      await this.#claimFor(waiters);
    } finally {
      for (const one of waiters) this.#offered.delete(one);
    }
  }

  async #claimFor(waiters: readonly Waiter[]): Promise<void> {
    const places = placesOf(waiters);
    if (places.length === 0 || (await this.#isHeld())) return;
    const { claimLeaseMs } = this.#deps.config;
    const { database, clock } = this.#deps;
    const claimed = this.#mixed
      ? "mixed"
      : await claimAttempts(database.db, clock, { ...this.#pool, places, claimLeaseMs });
    if (claimed === "mixed") return this.#match(waiters, places);
    this.#hand(places, claimed);
    const exhausted = claimed.length < places.length;
    // What woke us while the statement was on its way may not have been seen by it.
    this.#dry = exhausted && !this.#again.claim;
    if (!exhausted) this.#again.claim = true;
  }

  /**
   * Whether nothing is given away yet: the database went back, and workers that it knows have not said what they hold.
   * What is ready here may be theirs.
   */
  async #isHeld(): Promise<boolean> {
    const { incarnations, database } = this.#deps;
    const incarnation = incarnations.known ?? (await incarnations.current());
    if (!mayBeHeld(this.#deps, incarnation)) return false;
    if (!(await isAwaitingWorkers(database.db, { ...this.#pool, incarnation: incarnation.id }))) return false;
    this.#dry = false;
    this.#heldLook ??= setTimeout(() => {
      this.#heldLook = null;
      this.#look({ claim: true, changes: false });
    }, HELD_LOOK_MS).unref();
    return true;
  }

  /** Something that is ready needs more than a place: all that is ready is matched with what the waiting workers have. */
  async #match(offered: readonly Waiter[], places: readonly Place[]): Promise<void> {
    const waiters = offered.filter((one) => !one.answered);
    const { claimLeaseMs } = this.#deps.config;
    const given = await giveMatched(this.#deps, {
      pool: this.#pool,
      waiters,
      places: places.length,
      after: this.#after,
      claimLeaseMs,
    });
    this.#hand(places, given.claimed);
    this.#mixed = given.mixed;
    this.#after = given.after;
    // What fits nobody now may fit the next poll that comes.
    this.#dry = !given.mixed && !given.more && !this.#again.claim;
    if (given.more) this.#again.claim = true;
  }

  #hand(places: readonly Place[], claimed: readonly AssignedAttempt[]): void {
    const { claimLeaseMs } = this.#deps.config;
    const toldSeq = new Map(places.map(({ workerId, told }) => [workerId, told.seq]));
    for (const [workerId, given] of Map.groupBy(claimed, (one) => one.workerId)) {
      this.#deliver(
        { workerId, seq: toldSeq.get(workerId) },
        given.map((one) => assignmentOf(one, claimLeaseMs)),
      );
    }
    if (claimed.length > 0) wakeSequencer(this.#deps);
  }

  /**
   * If the poll has gone meanwhile, or a newer one waits, the process with the worker's next one hears that something waits
   * for it; so it does with what is too much for one answer. Only the poll that was noted with a claim may tell of it.
   */
  #deliver(poll: { workerId: string; seq: number | undefined }, assignments: Assignment[]): void {
    const { workerId, seq } = poll;
    const waiter = this.#waiting.get(workerId)?.waiter;
    const there = waiter !== undefined && !waiter.answered && waiter.seq === seq;
    const told = there ? fitting(assignments) : [];
    if (told.length < assignments.length) {
      this.told.owe(workerId);
      this.#deps.wakes.publish("pool", [workerId]);
    }
    if (there) waiter.answer({ ...NOTHING, assignments: told });
  }

  async #tellChanges(): Promise<void> {
    const workerIds = [...this.#waiting.keys()];
    const { workspaceId } = this.#pool;
    const rows = await listChanges(this.#deps.database.db, { workspaceId, workerIds });
    for (const [workerId, held] of Map.groupBy(rows, (row) => row.workerId)) {
      const waiter = this.#waiting.get(workerId)?.waiter;
      if (waiter === undefined || waiter.answered) continue;
      const missing = held.filter(
        (row) => row.state === "claimed" && !waiter.held.some((fence) => sameFence(row, fence)),
      );
      const commands = held.some(isUnheard) ? heldCommands(held) : [];
      const tells = commands.length > 0 && this.told.tells(workerId, commands);
      if (missing.length === 0 && !tells) continue;
      const assignments = await redeliver(this.#deps, waiter, missing);
      waiter.answer({ assignments, commands, superseded: false });
    }
  }
}

/** Whether workers may still hold what the database has forgotten to have given them; unknown while a connection was lost. */
function mayBeHeld({ config }: Deps, incarnation: Incarnation | null): boolean {
  return incarnation === null || (incarnation.ageMs !== null && incarnation.ageMs < graceMs(config));
}
