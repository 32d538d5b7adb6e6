import { LIMITS } from "@towpath/contract";
import type { AttemptAnswer } from "../protocol/index.ts";
import { AskedJournal, eachOf, listLately, readAsked } from "./asked-journals.ts";
import { ClaimedAttempt } from "./claimed-attempt.ts";
import type { AttemptDeps } from "./deps.ts";
import { isOver } from "./phases.ts";
import { type Offered, type Owed, StuckOffers } from "./stuck-offers.ts";

/** How many journals of ended attempts are asked about or open at once: no more than one report asks about, and polls can name. */
const OPEN_MAX = LIMITS.attempts - 100;
/** How long is waited before it is looked again whether answers have come, milliseconds, though nobody told of one. */
const LOOK_MS = 10_000;

/** Who holds attempts. */
export interface OfferTaker extends Offered {
  add(claimed: ClaimedAttempt): void;
  has(name: string): boolean;
  all(): readonly (Owed & Pick<ClaimedAttempt, "ask">)[];
  /** Waits until something is so; false when the time is over first. */
  until(isSo: () => boolean, ms: number): Promise<boolean>;
}

/** The offering of one incarnation. */
export interface Offering {
  /** Resolves once as many journals are asked about as may be: then polls name them. */
  readonly reopened: Promise<void>;
  /**
   * Resolves once the control plane has all of each again, and nothing runs on that it does not know; what is stuck is left out. What is to be
   * sent again is known in memory alone: a worker that is killed before offers it anew.
   */
  readonly done: Promise<void>;
}

/**
 * Asks of every attempt that is held, and of all whose records were acknowledged in the last hour, how far the control plane has come:
 * its database went back, and may have forgotten some. What it lacks is then sent again, as any record is; and what it does not know at all is
 * let go. Of ended attempts only those journals are opened of which it lacks something: a restart of the database takes back nothing.
 */
export function offerAgain(deps: AttemptDeps, taker: OfferTaker, signal: AbortSignal): Offering {
  // Those that an offering which failed was about to ask are listed again.
  taker.asked.clear();
  const asked = askHeld(deps, taker).then(() => untilClosed(taker));
  const journals = asked.then(() => listLately(deps, (name) => taker.has(name)));
  const first = journals.then((names) => askNext(deps, taker, names));
  const reopened = first.then(() => {});
  reopened.catch(() => {});
  return { reopened, done: finish(deps, taker, { journals, first, signal }) };
}

async function finish(
  deps: AttemptDeps,
  taker: OfferTaker,
  args: { journals: Promise<string[]>; first: Promise<string[]>; signal: AbortSignal },
): Promise<void> {
  const stuck = new StuckOffers(deps, taker);
  const until = async (isSo: () => boolean) => {
    while (!args.signal.aborted && !(await taker.until(isSo, LOOK_MS)));
  };
  let left = await args.first;
  deps.log.info({ journals: (await args.journals).length }, "asking how far the control plane has come");
  while (left.length > 0 && !args.signal.aborted) {
    await until(() => hasRoom(taker, stuck.waits()));
    left = await askNext(deps, taker, left);
  }
  await until(() => !stuck.waits());
}

/**
 * Whether more journals may be asked about. Half of them at once, while some are waited for: the next report asks of many. What is left out
 * takes room until it is closed.
 */
function hasRoom(taker: OfferTaker, waits: boolean): boolean {
  const open = openOf(taker);
  return waits ? open <= OPEN_MAX / 2 : open < OPEN_MAX;
}

/** Journals of ended attempts that are open or asked about. */
function openOf(taker: OfferTaker): number {
  return taker.asked.size + taker.all().filter(({ assignment }) => assignment === null).length;
}

/** What is being closed is looked at as a journal, once it is. */
async function untilClosed(taker: OfferTaker): Promise<void> {
  await taker.until(() => !taker.all().some(({ phase }) => isOver(phase)), LOOK_MS);
}

async function askHeld(deps: AttemptDeps, taker: OfferTaker): Promise<void> {
  for (const claimed of taker.all().filter(({ phase }) => !isOver(phase))) {
    try {
      await claimed.ask();
    } catch (error) {
      deps.log.error({ attempt: claimed.name, error: String(error) }, "an attempt cannot be offered again");
    }
  }
  deps.wake.report();
}

/** Asks about the first of these journals, as many as there is room for. @returns the others */
async function askNext(deps: AttemptDeps, taker: OfferTaker, names: readonly string[]): Promise<string[]> {
  const count = Math.max(0, OPEN_MAX - openOf(taker));
  await eachOf(names.slice(0, count), async (name) => {
    try {
      const found = taker.has(name) ? null : await readAsked(deps, name);
      if (found === null) return;
      const asked = new AskedJournal(
        { ...found, name, askedAtMs: deps.bootClock.nowMs() },
        (answer, sentAtMs) => settle(deps, taker, { asked, answer, sentAtMs }),
      );
      taker.asked.set(name, asked);
    } catch (error) {
      // One journal that cannot be read keeps no other from being offered.
      deps.log.error({ journal: name, error: String(error) }, "a journal cannot be offered again");
    }
  });
  deps.wake.report();
  return names.slice(count);
}

/** The control plane has said how far it has come with an ended attempt: what it lacks is held again. */
async function settle(
  deps: AttemptDeps,
  taker: OfferTaker,
  args: { asked: AskedJournal; answer: AttemptAnswer; sentAtMs: number },
): Promise<void> {
  const { asked, answer } = args;
  const { name } = asked;
  if (taker.asked.get(name) !== asked) return;
  try {
    if (asked.isBehind(answer) && !taker.has(name)) await reopen(deps, taker, args);
  } catch (error) {
    deps.log.error({ journal: name, error: String(error) }, "a journal cannot be offered again");
  }
  if (answer.status === "stale")
    deps.log.warn(
      { attempt: name },
      "the control plane does not know an ended attempt; its journal stays as a late report",
    );
  // After it is held, so that it is always named.
  taker.asked.delete(name);
}

async function reopen(
  deps: AttemptDeps,
  taker: OfferTaker,
  args: { asked: AskedJournal; answer: AttemptAnswer; sentAtMs: number },
): Promise<void> {
  const { fence } = args.asked;
  const leaseEndsAtMs = deps.bootClock.nowMs();
  const claimed = new ClaimedAttempt(deps, {
    fence,
    assignment: null,
    phase: "closing",
    leaseMs: 0,
    leaseEndsAtMs,
  });
  await claimed.spool();
  taker.add(claimed);
  // It has been asked already: this is the answer.
  await claimed.reported(args.answer, args.sentAtMs);
}
