import { type Assignment, type Command, ONLY_HOOK_PROTOCOL, sameFence } from "@towpath/contract";
import { type Deps, graceMs, type Incarnation, type WorkerScope, wakeSequencer } from "../../kernel/index.ts";
import { isAwaitingWorkers } from "../../pools/index.ts";
import {
  type AssignedAttempt,
  claimAttempts,
  claimHooks,
  giveMatched,
  listHeld,
  type ReservedSlot,
  type WorkerSlot,
} from "../../runs/index.ts";
import { Arrivals } from "./arrivals.ts";
import { assignmentOf, fitting } from "./assignment.ts";
import { heldCommands } from "./commands.ts";
import { PollCache } from "./poll-cache.ts";
import { isUnconfirmed, isUnheard, redeliver } from "./settle.ts";
import { NOTHING, precedes, type Waiter } from "./waiter.ts";

/** How often the dispatcher checks whether workers have offered again what the database lost, milliseconds. */
const HELD_LOOK_MS = 500;
/** How often the dispatcher looks for work without a wake, in case one was lost, milliseconds. */
const LOOK_MS = 10_000;
/** The most attempts that one claim statement gives away. */
const SLOTS_MAX = 500;
/** The most attempts in one answer: the worker polls again at once. */
const SLOTS_PER_POLL = 100;
/** For how long the same commands do not answer another poll at once, milliseconds. */
const RESEND_MS = 1_000;
/** The most workers that are remembered. */
const REMEMBERED_MAX = 10_000;

/**
 * Gives the ready attempts of one pool to the polls that wait in this process. One claim statement serves all of them, and the
 * next one starts when the previous has returned. Wakes only make it look sooner.
 */
export class Dispatcher {
  readonly #deps: Deps;
  readonly #pool: { readonly workspaceId: string; readonly poolId: string };
  /** Records the polls of this pool before they wait here. */
  readonly arrivals: Arrivals;
  /** The workers that poll here, and the attempts that they may hold. */
  readonly pollCache: PollCache;
  readonly #waiting = new Map<string, { waiter: Waiter; leave: () => void }>();
  /** Polls that a running statement may give something to. Another statement skips them. */
  readonly #offered = new Set<Waiter>();
  /** The commands that workers were sent, and the workers that are owed an answer. */
  readonly sent = new SentCommands();
  #working: Promise<void> | null = null;
  #again = { claim: false, changes: false };
  /**
   * Whether the last look found the pool's queue empty and no wake has come since. A new poll then starts no look. The regular
   * look makes up for a lost wake, and for a claim whose only polls were of workers that poll elsewhere by now.
   */
  #dry = false;
  #stopWatching: (() => void) | null = null;
  /** The next look while nothing may be given away. There is one at most, or each new poll would start another chain. */
  #heldLook: NodeJS.Timeout | null = null;
  /** Whether the last look found an attempt that needs more than a slot. The next look then matches at once. */
  #mixed = false;
  /** Whether the last look found attempts that run only a hook. Then the next one gives these away first: few are, and soon over. */
  #hooks = false;
  /** The group of equal needs after which the next look begins. */
  #after = "";

  constructor(deps: Deps, pool: { workspaceId: string; poolId: string }) {
    this.#deps = deps;
    this.#pool = pool;
    this.pollCache = new PollCache(deps.clock);
    this.arrivals = new Arrivals(deps, pool.workspaceId);
  }

  /** Answers an older poll of this worker, since a newer one has come. */
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
    const owed = this.sent.takeOwed(workerId);
    if (owed || !this.#dry) this.#look({ claim: !this.#dry, changes: owed });
    else if (waiter.brief) waiter.answer(NOTHING);
  }

  /** Whether a poll with free slots waits. */
  hasRoom(): boolean {
    return [...this.#waiting.values()].some(({ waiter }) => !waiter.answered && waiter.free > 0);
  }

  /**
   * Reserves a slot of the poll that has waited longest, for a run that is about to be created. The statement that creates the
   * run may then give it away too. The assignment is fenced and redelivered like a claimed one.
   * @returns null if every waiting poll is offered something already.
   */
  reserve(): ReservedSlot | null {
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
      slot: slotOf(waiter),
      settle: (given) => {
        if (given !== null) this.#hand([slotOf(waiter)], [given]);
        release(false);
      },
      doubt: () => {
        this.sent.owe(workerId);
        release(true);
      },
    };
  }

  /** Resolves when no statement is under way. */
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

  /** Stores which workers have polled here. Polls of workers that poll elsewhere by now, or whose session is over, are answered. */
  async writePollCache(): Promise<void> {
    const { workspaceId, poolId } = this.#pool;
    try {
      const gone = await this.pollCache.write(this.#deps, workspaceId);
      for (const workerId of gone) {
        this.#waiting.get(workerId)?.waiter.answer({ ...NOTHING, superseded: true });
      }
      this.#forgetAnswered();
    } catch (error) {
      this.#deps.log.warn({ err: error, pool: poolId }, "polls of idle workers could not be stored");
    }
  }

  #forgetAnswered(): void {
    for (const [workerId, { waiter }] of this.#waiting) if (waiter.answered) this.#forget(workerId, waiter);
  }

  /** Removes a poll that was answered, unless a newer one of its worker has replaced it. */
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
        if (changes) await this.#sendChanges();
        if (claim) await this.#claim();
        for (const one of brief) one.answer(NOTHING);
        this.#forgetAnswered();
      }
    } catch (error) {
      this.#deps.log.error(
        { err: error, pool: this.#pool.poolId },
        "a claim failed; waiting polls try again",
      );
    }
    this.#again = { claim: false, changes: false };
    this.#working = null;
  }

  /** The waiting polls that no statement offers anything. */
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

  async #claimFor(all: readonly Waiter[]): Promise<void> {
    if (slotsOf(all).length === 0 || (await this.#isHeld())) return;
    if (this.#hooks || this.#mixed) await this.#claimHooks(all);
    const waiters = all.filter((one) => !one.answered);
    const slots = slotsOf(waiters);
    if (slots.length === 0) {
      this.#dry = false;
      return;
    }
    const { claimLeaseMs } = this.#deps.config;
    const { database, clock } = this.#deps;
    const given = this.#mixed
      ? "mixed"
      : await claimAttempts(database.db, clock, { ...this.#pool, slots: slots, claimLeaseMs });
    if (given === "mixed") return this.#match(waiters, slots);
    const { claimed, hooks } = given;
    this.#hand(slots, claimed);
    const isNew = hooks && !this.#hooks;
    this.#hooks = hooks;
    if (isNew) await this.#claimHooks(waiters);
    const exhausted = claimed.length < slots.length;
    // The statement may not have seen what a wake during it was about. Another worker may know attempts that run only a hook.
    this.#dry = exhausted && !this.#again.claim && !hooks;
    if (!exhausted) this.#again.claim = true;
  }

  /** Gives attempts that run only a hook to the workers that know them. */
  async #claimHooks(waiters: readonly Waiter[]): Promise<void> {
    const able = ({ answered, worker: { protocol = 1 } }: Waiter) =>
      !answered && protocol >= ONLY_HOOK_PROTOCOL;
    const slots = slotsOf(waiters.filter(able));
    if (slots.length === 0) return;
    const { database, clock, config } = this.#deps;
    const { claimLeaseMs } = config;
    this.#hand(slots, await claimHooks(database.db, clock, { ...this.#pool, slots, claimLeaseMs }));
  }

  /**
   * Whether nothing may be given away: the database went back, and workers that it knows have not said yet what they hold. A ready
   * attempt may be running on one of them.
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

  /** Matches the ready attempts with what the waiting workers have free, since some need more than a slot. */
  async #match(offered: readonly Waiter[], slots: readonly WorkerSlot[]): Promise<void> {
    const waiters = offered.filter((one) => !one.answered);
    const { claimLeaseMs } = this.#deps.config;
    const given = await giveMatched(this.#deps, {
      pool: this.#pool,
      waiters,
      slots: slots.length,
      after: this.#after,
      claimLeaseMs,
    });
    this.#hand(slots, given.claimed);
    this.#mixed = given.mixed;
    this.#after = given.after;
    // An attempt that fits no worker now may fit the next poll.
    this.#dry = !given.mixed && !given.more && !this.#again.claim;
    if (given.more) this.#again.claim = true;
  }

  #hand(slots: readonly WorkerSlot[], claimed: readonly AssignedAttempt[]): void {
    const { claimLeaseMs } = this.#deps.config;
    const toldSeq = new Map(slots.map(({ workerId, poll: told }) => [workerId, told.seq]));
    for (const [workerId, given] of Map.groupBy(claimed, (one) => one.workerId)) {
      this.#deliver(
        { workerId, seq: toldSeq.get(workerId) },
        given.map((one) => assignmentOf(one, claimLeaseMs)),
      );
    }
    if (claimed.length > 0) wakeSequencer(this.#deps);
  }

  /**
   * Answers the poll that was recorded with the claim. If it has gone, or the assignments are too many for one answer, the process
   * with the worker's next poll is woken to deliver the rest.
   */
  #deliver(poll: { workerId: string; seq: number | undefined }, assignments: Assignment[]): void {
    const { workerId, seq } = poll;
    const waiter = this.#waiting.get(workerId)?.waiter;
    const there = waiter !== undefined && !waiter.answered && waiter.seq === seq;
    const delivered = there ? fitting(assignments) : [];
    if (delivered.length < assignments.length) {
      this.sent.owe(workerId);
      this.#deps.wakes.publish("pool", [workerId]);
    }
    if (there) waiter.answer({ ...NOTHING, assignments: delivered });
  }

  async #sendChanges(): Promise<void> {
    const workerIds = [...this.#waiting.keys()];
    const { workspaceId } = this.#pool;
    const rows = await listHeld(this.#deps.database.db, { workspaceId, workerIds, changed: true });
    for (const [workerId, held] of Map.groupBy(rows, (row) => row.workerId)) {
      const waiter = this.#waiting.get(workerId)?.waiter;
      if (waiter === undefined || waiter.answered) continue;
      const missing = held.filter(
        (row) => isUnconfirmed(row) && !waiter.held.some((fence) => sameFence(row, fence)),
      );
      const commands = held.some(isUnheard) ? heldCommands(held) : [];
      const isDue = commands.length > 0 && this.sent.isDue(workerId, commands);
      if (missing.length === 0 && !isDue) continue;
      const assignments = await redeliver(this.#deps, waiter, missing);
      waiter.answer({ assignments, commands, superseded: false });
    }
  }
}

/** Whether workers may hold attempts of which the database has lost the claim. It is unknown while a connection is lost. */
function mayBeHeld({ config }: Deps, incarnation: Incarnation | null): boolean {
  return incarnation === null || (incarnation.ageMs !== null && incarnation.ageMs < graceMs(config));
}

/** A slot of a waiting poll. */
function slotOf({ worker, name, seq }: Waiter): WorkerSlot {
  return { workerId: worker.workerId, workerName: name, poll: { generation: worker.generation, seq } };
}

/** The free slots of waiting polls, one of each poll in turn, so that work spreads over the workers. */
function slotsOf(waiters: readonly Waiter[]): WorkerSlot[] {
  const slots: WorkerSlot[] = [];
  let open = waiters;
  for (let round = 0; round < SLOTS_PER_POLL && slots.length < SLOTS_MAX; round++) {
    open = open.filter((waiter) => waiter.free > round);
    if (open.length === 0) break;
    for (const waiter of open) slots.push(slotOf(waiter));
  }
  return slots.slice(0, SLOTS_MAX);
}

/** The commands that the workers of a pool were sent by this process, and the workers that are owed an answer. */
class SentCommands {
  readonly #last = new Map<string, { text: string; atMs: number }>();
  readonly #owed = new Set<string>();

  /**
   * Whether these commands answer a poll at once. Not if the worker was just sent the same commands: its polls would spin
   * until it has carried them out.
   */
  isDue(workerId: string, commands: readonly Command[]): boolean {
    const text = JSON.stringify(commands);
    const last = this.#last.get(workerId);
    const atMs = performance.now();
    if (last !== undefined && last.text === text && atMs - last.atMs < RESEND_MS) return false;
    if (this.#last.size >= REMEMBERED_MAX) this.#last.clear();
    this.#last.set(workerId, { text, atMs });
    return true;
  }

  /** No answer has delivered an assignment to this worker. Its next poll is answered at once. */
  owe(workerId: string): void {
    if (this.#owed.size >= REMEMBERED_MAX) this.#owed.clear();
    this.#owed.add(workerId);
  }

  /** Whether a worker is owed an answer. The caller answers it now. */
  takeOwed(workerId: string): boolean {
    return this.#owed.delete(workerId);
  }
}
