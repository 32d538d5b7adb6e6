import { setImmediate as nextTurn } from "node:timers/promises";
import {
  type Amounts,
  type Claim,
  type Claimed,
  createBackoff,
  type Fence,
  LIMITS,
  NEXT_PROTOCOL,
  type NextClaim,
  Problem,
  WakeUp,
} from "@towpath/contract";
import { askedPauseMs } from "./errors.ts";
import { createOutageLog, type Loop, type LoopDeps, pause, QuickAnswers } from "./loop.ts";
import type { Answered } from "./transport.ts";

/** Polls under way at once: the newest, and the one before it, whose answer may still bring work. */
const POLLS_MAX = 2;
/** An answer without changes that comes sooner than this was not waited for, milliseconds. */
const QUICK_MS = 1_000;
/** The pause after such an answer, milliseconds: repeated commands must not turn polls into a busy loop. */
const QUIET_MS = 500;
/** The longest time that the next poll waits for the launch of what the last one brought, milliseconds. */
const GIVE_WAY_MS = 20;
/** How long a free slot waits for a report that is about to leave, to be offered with it, milliseconds. */
const RIDE_WAIT_MS = 20;

/** What a worker offers and takes. */
export interface ClaimSource {
  /** How many attempts the worker can take now. */
  free(): number;
  /** The worker's free amounts. Null: all that it has declared. */
  amounts(): Amounts | null;
  /** Every attempt that the worker holds. */
  held(): Fence[];
  draining(): boolean;
  /** How long the worker still takes nothing because starts failed, and why. Null while it takes work. */
  paused(): { readonly forMs: number; readonly reason: string } | null;
  /**
   * The incarnation of the database to which everything was offered again. Null while it is being offered.
   * Undefined: the control plane does not ask.
   */
  reconciled(): string | null | undefined;
  /** Whether the end of an attempt must still be reported. */
  endsUnreported(): boolean;
  /** Takes an answer. Returns whether anything in it was new. */
  take(answer: Claimed, sentAtMs: number): boolean;
  /** Resolves once everything taken was launched or given up, or the time is over. */
  begun(mostMs: number): Promise<void>;
}

/** What a poll offers, lists as text. */
interface Offer {
  readonly free: number;
  readonly amounts: string;
  readonly reconciled: string | null | undefined;
  readonly draining: boolean;
}

interface Poll extends Offer {
  readonly seq: number;
  readonly abort: AbortController;
  readonly done: Promise<PollResult>;
}

/** A poll that is sent with a report. */
export interface Ride {
  readonly next: NextClaim;
  /** Takes the poll's answer. Null: the report had none. */
  over(answer: Claimed | null, sentAtMs: number): void;
}

/** The loop that asks for work. */
export interface Claiming extends Loop {
  /**
   * Asks for work with a report that is about to leave, instead of in a poll of its own.
   * @returns null if the newest poll already offers what is free, or nothing is free.
   */
  ride(): Ride | null;
}

type PollResult =
  /** It was sent with a report and had no answer. */
  | { readonly kind: "unanswered" }
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "answered"; readonly quick: boolean; readonly news: boolean; readonly brought: boolean };

/**
 * Polls for work until it is stopped. When the free slots change, it sends a newer poll at once. That supersedes
 * the older one, whose answer still counts if it brings work. When a slot is free because an attempt has ended,
 * the poll is sent with the report of that end: one request instead of two.
 */
export function startClaiming(deps: LoopDeps, source: ClaimSource): Claiming {
  const polls = new Polls(deps, source);
  const running = run(deps, polls);
  return {
    nudge: () => polls.wakeUp.wake(),
    ride: () => polls.ride(),
    async stop() {
      polls.stopping.abort(new Error("the worker stops"));
      await running;
      await polls.giveUp();
    },
  };
}

async function run(deps: LoopDeps, polls: Polls): Promise<void> {
  const { signal } = polls.stopping;
  const backoff = createBackoff(deps.random);
  const outage = createOutageLog(deps.log, "claim");
  const quickAnswers = new QuickAnswers();
  while (!signal.aborted) {
    const result = await polls.follow(await polls.next());
    if (result === "outdated" || result.kind === "unanswered") continue;
    if (result.kind === "failed") {
      outage.failed(result.error);
      await pause(deps.sleep, { ms: backoff.next(askedPauseMs(result.error)), signal });
      continue;
    }
    outage.succeeded();
    backoff.reset();
    if (result.brought) await polls.giveWay();
    // A poll that brings work is not one of them.
    if (quickAnswers.heard({ quick: result.quick && !result.brought, news: result.news }))
      await polls.wakeUp.wait(QUIET_MS, signal, deps.sleep);
  }
}

/** The polls under way, in the order of their numbers. */
class Polls {
  readonly stopping = new AbortController();
  readonly wakeUp = new WakeUp();
  readonly #deps: LoopDeps;
  readonly #source: ClaimSource;
  readonly #open: Poll[] = [];
  #sent = 0;

  constructor(deps: LoopDeps, source: ClaimSource) {
    this.#deps = deps;
    this.#source = source;
  }

  ride(): Ride | null {
    const [source, offer] = [this.#source, offerOf(this.#source)];
    const mayAsk = asksWithReports(this.#deps) && !offer.draining && offer.free > 0;
    if (this.stopping.signal.aborted || !mayAsk || this.#upToDate() !== null) return null;
    const abort = new AbortController();
    const { promise: done, resolve } = Promise.withResolvers<PollResult>();
    // The control plane never takes it. Later polls say so.
    abort.signal.addEventListener("abort", () => resolve({ kind: "unanswered" }));
    const numbers = this.#number();
    this.#add({ ...offer, seq: numbers.seq, abort, done });
    this.wakeUp.wake();
    return {
      next: bodyOf(source, { ...offer, ...numbers }),
      over(answer, sentAtMs) {
        if (answer !== null && !abort.signal.aborted) source.take(answer, sentAtMs);
        const brought = answer !== null && answer.assignments.length > 0;
        resolve(
          answer === null ? { kind: "unanswered" } : { kind: "answered", quick: false, news: true, brought },
        );
      },
    };
  }

  /** The next poll: one that is sent with a report, if one leaves soon; otherwise a new one. */
  async next(): Promise<Poll> {
    const over = new AbortController();
    const signal = AbortSignal.any([this.stopping.signal, over.signal]);
    if (this.#mayRide()) void pause(this.#deps.sleep, { ms: RIDE_WAIT_MS, signal }).then(() => over.abort());
    while (!signal.aborted && this.#mayRide() && this.#upToDate() === null)
      await this.wakeUp.wait(null, signal);
    over.abort();
    return this.#upToDate() ?? this.#begin();
  }

  /** The poll's result, or `outdated` once the free slots have changed or a newer poll was sent. */
  async follow(poll: Poll): Promise<PollResult | "outdated"> {
    const { signal } = this.stopping;
    let result: PollResult | undefined;
    void poll.done.then((value) => {
      result = value;
      this.wakeUp.wake();
    });
    while (!signal.aborted) {
      await this.wakeUp.wait(null, signal);
      if (result) return result;
      if (this.#open.at(-1) !== poll || offersElse(this.#source, poll)) return "outdated";
    }
    return "outdated";
  }

  /** A run that is starting comes before the next poll, which takes time on both sides. */
  async giveWay(): Promise<void> {
    await this.#source.begun(GIVE_WAY_MS);
    // One turn later, when the runner has its message.
    await nextTurn();
  }

  /** Ends all polls. */
  async giveUp(): Promise<void> {
    const open = [...this.#open];
    for (const poll of open) poll.abort.abort(this.stopping.signal.reason);
    await Promise.all(open.map((poll) => poll.done));
  }

  #begin(): Poll {
    const abort = new AbortController();
    const offer = offerOf(this.#source);
    const numbers = this.#number();
    const body = () => ({ ...bodyOf(this.#source, { ...offer, ...numbers }), waitMs: LIMITS.claimWaitMs });
    const done = exchange(this.#deps, this.#source, { body, signal: abort.signal });
    return this.#add({ ...offer, seq: numbers.seq, abort, done });
  }

  #add(poll: Poll): Poll {
    const open = this.#open;
    open.push(poll);
    void poll.done.then(() => open.splice(open.indexOf(poll), 1));
    if (open.length > POLLS_MAX) open[0]?.abort.abort(new Error("superseded"));
    return poll;
  }

  /** The number of a poll that is written now. `heard` is the last poll before the oldest one still under way. */
  #number(): { seq: number; heard: number } {
    const heard = (this.#open[0]?.seq ?? this.#sent + 1) - 1;
    return { seq: ++this.#sent, heard };
  }

  /** The newest poll, if it is under way and offers what is free. */
  #upToDate(): Poll | null {
    const newest = this.#open.at(-1);
    const isNewest = newest !== undefined && newest.seq === this.#sent;
    return isNewest && !offersElse(this.#source, newest) ? newest : null;
  }

  /** Whether a report is about to leave with which a poll can be sent. */
  #mayRide(): boolean {
    return this.#source.free() > 0 && this.#source.endsUnreported() && asksWithReports(this.#deps);
  }
}

function offersElse(source: ClaimSource, poll: Offer): boolean {
  const { free, draining, amounts, reconciled } = offerOf(source);
  // Replicas of two releases may answer in turn. A release that does not ask makes no poll outdated.
  if (reconciled !== undefined && reconciled !== poll.reconciled) return true;
  return free !== poll.free || draining !== poll.draining || amounts !== poll.amounts;
}

/** Whether the control plane takes polls with reports. */
function asksWithReports({ connection }: LoopDeps): boolean {
  return connection.protocol() >= NEXT_PROTOCOL;
}

function offerOf(source: ClaimSource): Offer {
  return {
    free: source.free(),
    amounts: JSON.stringify(source.amounts()),
    draining: source.draining(),
    reconciled: source.reconciled(),
  };
}

function bodyOf(
  source: ClaimSource,
  args: { seq: number; heard: number; free: number; draining: boolean },
): NextClaim {
  const { seq, heard, free, draining } = args;
  const [paused, amounts, reconciled] = [source.paused(), source.amounts(), source.reconciled()];
  return {
    free,
    held: source.held(),
    draining,
    seq,
    heard,
    ...(amounts === null ? {} : { amounts }),
    ...(paused === null ? {} : { paused }),
    ...(reconciled === undefined ? {} : { reconciled }),
  };
}

async function exchange(
  deps: LoopDeps,
  source: ClaimSource,
  args: { body: () => Claim; signal: AbortSignal },
): Promise<PollResult> {
  try {
    const { answer, sentAtMs } = await ask(deps, args);
    const changes = source.take(answer, sentAtMs);
    const quick = deps.bootClock.nowMs() - sentAtMs < QUICK_MS;
    // Work that the worker ignores must not turn polls into a busy loop.
    const brought = changes && answer.assignments.length > 0;
    return { kind: "answered", quick, news: changes, brought };
  } catch (error) {
    return { kind: "failed", error };
  }
}

/** Polls. If a control plane of an earlier release rejects a field that it does not know, polls again without it. */
async function ask(
  { connection }: LoopDeps,
  { body, signal }: { body: () => Claim; signal: AbortSignal },
): Promise<Answered<"claim">> {
  let refusable = false;
  const all = () => {
    const said = body();
    refusable = said.reconciled !== undefined;
    return said;
  };
  try {
    return await connection.call("claim", all, { signal });
  } catch (error) {
    if (!refusable || !(error instanceof Problem) || error.code !== "bad-request") throw error;
    const { reconciled: _, ...asked } = body();
    return await connection.call("claim", asked, { signal });
  }
}
