import { setImmediate as nextTurn } from "node:timers/promises";
import { type Amounts, type Claimed, type Fence, LIMITS } from "@towpath/contract";
import { createBackoff } from "./backoff.ts";
import { createOutageLog, type Loop, type LoopDeps } from "./loop.ts";
import { createBell, pause, waitOrRing } from "./signal.ts";

/** Polls under way at once: the newest, and one that it supersedes and whose answer may still bring work. */
const POLLS_MAX = 2;
/** An answer without news that came sooner than this was not waited for. */
const QUICK_MS = 1_000;
/** The longest that the next poll gives way to the launch of what the last one brought, milliseconds. */
const GIVE_WAY_MS = 20;
/** The pause after such an answer: commands are repeated until they are done, and must not turn polls into a busy loop. */
const QUIET_MS = 500;

/** What a worker offers and takes. */
export interface ClaimSource {
  /** How many attempts it can take now. */
  free(): number;
  /** What of its amounts is free; null: all that it has declared. */
  amounts(): Amounts | null;
  /** Every attempt it knows. */
  held(): Fence[];
  draining(): boolean;
  /** How much longer it takes nothing since starts failed, and why; null while it takes work. */
  paused(): { readonly forMs: number; readonly reason: string } | null;
  /** Takes an answer; says whether anything in it was new. */
  take(answer: Claimed, sentAtMs: number): boolean;
  /** Resolves once all that was taken has been launched or given up, or when the time is over, milliseconds. */
  begun(mostMs: number): Promise<void>;
}

interface Poll {
  readonly seq: number;
  readonly free: number;
  readonly amounts: string;
  readonly draining: boolean;
  readonly abort: AbortController;
  readonly done: Promise<PollResult>;
}

type PollResult =
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "answered"; readonly idle: boolean; readonly brought: boolean };

/**
 * Polls for work until it is stopped. When what is free changes, a newer poll is sent at once: it supersedes the older,
 * whose answer is still taken if it brings something.
 */
export function startClaiming(deps: LoopDeps, source: ClaimSource): Loop {
  const stopping = new AbortController();
  const bell = createBell();
  const polls: Poll[] = [];
  let sent = 0;

  function begin(): Poll {
    const abort = new AbortController();
    const [free, draining, amounts] = [source.free(), source.draining(), JSON.stringify(source.amounts())];
    // The list of what is held is written now: it knows of what earlier polls brought, and of nothing still on its way.
    const heard = (polls[0]?.seq ?? sent + 1) - 1;
    const seq = ++sent;
    const done = exchange(deps, source, { seq, heard, free, draining, signal: abort.signal });
    const poll: Poll = { seq, free, amounts, draining, abort, done };
    polls.push(poll);
    void done.then(() => polls.splice(polls.indexOf(poll), 1));
    if (polls.length > POLLS_MAX) polls[0]?.abort.abort(new Error("superseded"));
    return poll;
  }

  function offersElse(poll: Poll): boolean {
    if (source.free() !== poll.free || source.draining() !== poll.draining) return true;
    return JSON.stringify(source.amounts()) !== poll.amounts;
  }

  /** The poll's result, or `outdated` once it offers something else than what is free. */
  async function follow(poll: Poll): Promise<PollResult | "outdated"> {
    const finished = poll.done;
    let result: PollResult | undefined;
    void finished.then((value) => {
      result = value;
      bell.ring();
    });
    while (!stopping.signal.aborted) {
      await bell.wait(stopping.signal);
      if (result) return result;
      if (offersElse(poll)) return "outdated";
    }
    return "outdated";
  }

  async function run(): Promise<void> {
    const backoff = createBackoff(deps.random);
    const outage = createOutageLog(deps.log, "claim");
    while (!stopping.signal.aborted) {
      const result = await follow(begin());
      if (result === "outdated") continue;
      if (result.kind === "failed") {
        outage.failed(result.error);
        await pause(deps.sleep, { ms: backoff.next(), signal: stopping.signal });
        continue;
      }
      outage.succeeded();
      backoff.reset();
      if (result.brought) await giveWay(source);
      if (result.idle) await waitOrRing(deps.sleep, { ms: QUIET_MS, bell, signal: stopping.signal });
    }
  }

  const running = run();
  return {
    nudge: () => bell.ring(),
    async stop() {
      stopping.abort(new Error("the worker stops"));
      for (const poll of polls) poll.abort.abort(stopping.signal.reason);
      await running;
      await Promise.all(polls.map((poll) => poll.done));
    },
  };
}

/**
 * The next poll is work for both sides, and whoever it is for can wait better than a run that is starting: a report of a start that it
 * crossed took a millisecond longer (`first-line`).
 */
async function giveWay(source: ClaimSource): Promise<void> {
  await source.begun(GIVE_WAY_MS);
  // A turn later, so that the runner has its message.
  await nextTurn();
}

async function exchange(
  deps: LoopDeps,
  source: ClaimSource,
  a: { seq: number; heard: number; free: number; draining: boolean; signal: AbortSignal },
): Promise<PollResult> {
  try {
    const paused = source.paused();
    const amounts = source.amounts();
    const { answer, sentAtMs } = await deps.connection.call(
      "claim",
      {
        ...{ free: a.free, held: source.held(), waitMs: LIMITS.claimWaitMs, draining: a.draining },
        ...{ seq: a.seq, heard: a.heard },
        ...(amounts === null ? {} : { amounts }),
        ...(paused === null ? {} : { paused }),
      },
      { signal: a.signal },
    );
    const news = source.take(answer, sentAtMs);
    const quick = deps.bootClock.nowMs() - sentAtMs < QUICK_MS;
    return { kind: "answered", idle: quick && !news, brought: answer.assignments.length > 0 };
  } catch (error) {
    return { kind: "failed", error };
  }
}
