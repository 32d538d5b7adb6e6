import { stat } from "node:fs/promises";
import { join } from "node:path";
import { type Fence, LIMITS } from "@towpath/contract";
import { ackPath, type JournalLane, readAcknowledged } from "../journal/index.ts";
import type { AttemptAnswer, Reporting, ReportPage } from "../protocol/index.ts";
import { isMissing } from "../state/atomic-file.ts";
import { listFolders } from "./attempt-store.ts";
import { ClaimedAttempt } from "./claimed-attempt.ts";
import type { AttemptDeps } from "./deps.ts";
import { readFence } from "./journal-lanes.ts";
import { claimName } from "./paths.ts";
import { isOver } from "./phases.ts";
import { type Offered, type Owed, StuckOffers } from "./stuck-offers.ts";

/**
 * How many journals of ended attempts are asked about or open at once. A report can ask about so many, and a
 * poll can name them.
 */
const OPEN_MAX = LIMITS.attempts - 100;
/** The longest wait before the next look at the answers, milliseconds. */
const LOOK_MS = 10_000;

/** Holds the attempts of the worker. */
export interface OfferTaker extends Offered {
  readonly asked: Map<string, AskedJournal>;
  add(claimed: ClaimedAttempt): void;
  has(name: string): boolean;
  all(): readonly (Owed & Pick<ClaimedAttempt, "ask">)[];
  /** Waits until a condition is true. Returns false when the time is over first. */
  until(isSo: () => boolean, ms: number): Promise<boolean>;
}

/** The offering of one incarnation. */
export interface Offering {
  /** Resolves once the first journals are asked about, as many as there is room for. From then on polls name them. */
  readonly reopened: Promise<void>;
  /**
   * Resolves once the control plane has all records again and no process runs that it does not know. Attempts
   * that are stuck are left out. What is to be sent again is kept in memory: a worker that is killed before the
   * end offers all of it anew.
   */
  readonly done: Promise<void>;
}

/**
 * Asks the control plane how far it has come, after its database went back. It asks about every held attempt,
 * and about every journal of which something was acknowledged in the last hour. What the control plane lacks is
 * sent again. A claim that it does not know is let go. Of ended attempts, only the journals with missing records
 * are opened: mostly a database restarts and has lost nothing.
 */
export function offerAgain(deps: AttemptDeps, taker: OfferTaker, signal: AbortSignal): Offering {
  // An offering that failed before left these. They are listed again.
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
  deps.log.info({ journals: (await args.journals).length }, "asking the control plane which records it has");
  while (left.length > 0 && !args.signal.aborted) {
    await until(() => hasRoom(taker, stuck.waits()));
    left = await askNext(deps, taker, left);
  }
  await until(() => !stuck.waits());
}

/**
 * Whether there is room to ask about more journals. While some wait for an answer, at least half of the room
 * must be free: then the next report asks about many. A journal that was left out takes room until it is closed.
 */
function hasRoom(taker: OfferTaker, waits: boolean): boolean {
  const open = openOf(taker);
  return waits ? open <= OPEN_MAX / 2 : open < OPEN_MAX;
}

/** How many journals of ended attempts are open or asked about. */
function openOf(taker: OfferTaker): number {
  return taker.asked.size + taker.all().filter(({ assignment }) => assignment === null).length;
}

/** A claim that is being closed is listed as a journal afterwards. */
async function untilClosed(taker: OfferTaker): Promise<void> {
  await taker.until(() => !taker.all().some(({ phase }) => isOver(phase)), LOOK_MS);
}

async function askHeld(deps: AttemptDeps, taker: OfferTaker): Promise<void> {
  for (const claimed of taker.all().filter(({ phase }) => !isOver(phase))) {
    try {
      await claimed.ask();
    } catch (error) {
      deps.log.error(
        { attempt: claimed.name, error: String(error) },
        "the records of an attempt cannot be sent again",
      );
    }
  }
  deps.wake.report();
}

/** Asks about the first of these journals, as many as there is room for. @returns the rest */
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
      // A journal that cannot be read does not stop the others.
      deps.log.error(
        { journal: name, error: String(error) },
        "the records of a journal cannot be sent again",
      );
    }
  });
  deps.wake.report();
  return names.slice(count);
}

/** Takes the control plane's answer about an ended attempt. If it lacks records, the attempt is held again. */
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
    deps.log.error({ journal: name, error: String(error) }, "the records of a journal cannot be sent again");
  }
  if (answer.status === "stale")
    deps.log.warn(
      { attempt: name },
      "the control plane does not know an ended attempt; its journal stays as a late report",
    );
  // The attempt is held by now, so every poll names it.
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
  // This answer says how far the control plane has come.
  await claimed.reported(args.answer, args.sentAtMs);
}

/** How far back acknowledged records are offered again after the control plane's database went back, milliseconds. */
const OFFER_AGAIN_MS = 3_600_000;
/** The most journals of ended attempts that are offered again. The oldest are left out. */
const OFFER_AGAIN_MAX = 20_000;
/** How many journals are read at once. */
const TOGETHER_MAX = 64;
const LANES = ["control", "bulk"] as const satisfies JournalLane[];

/** The last acknowledged number of each lane of a journal. */
type Acked = Readonly<Record<JournalLane, number>>;

/**
 * The journal of an ended attempt that the control plane is asked about. It stays closed: its fence and its
 * acknowledgements are in files of their own.
 */
export class AskedJournal implements Reporting {
  readonly name: string;
  readonly fence: Fence;
  readonly #acked: Acked;
  readonly #askedAtMs: number;
  readonly #answered: (answer: AttemptAnswer, sentAtMs: number) => Promise<void>;

  constructor(
    args: { name: string; fence: Fence; acked: Acked; askedAtMs: number },
    answered: (answer: AttemptAnswer, sentAtMs: number) => Promise<void>,
  ) {
    this.name = args.name;
    this.fence = args.fence;
    this.#acked = args.acked;
    this.#askedAtMs = args.askedAtMs;
    this.#answered = answered;
  }

  async page(): Promise<ReportPage> {
    return { control: [], bulk: [], bytes: 0, acked: this.#acked };
  }

  /** Whether the control plane lacks records of it, by its answer. If the attempt still runs there, its end is missing. */
  isBehind({ status, controlAcked, bulkAcked, outcome }: AttemptAnswer): boolean {
    if (status === "stale") return false;
    return controlAcked < this.#acked.control || bulkAcked < this.#acked.bulk || outcome === null;
  }

  async reported(answer: AttemptAnswer, sentAtMs: number): Promise<boolean> {
    if (sentAtMs < this.#askedAtMs) return false;
    await this.#answered(answer, sentAtMs);
    return true;
  }

  /** It sends no records, so none can be given up. */
  async giveUp(): Promise<void> {}
}

/** What is known of a journal without opening it. Null: it was set aside, because another claim has the same name. */
export async function readAsked(
  deps: Pick<AttemptDeps, "paths">,
  name: string,
): Promise<{ fence: Fence; acked: Acked } | null> {
  const dir = join(deps.paths.journals, name);
  const fence = await readFence(dir);
  if (claimName(fence) !== name) return null;
  const acknowledged = (lane: JournalLane) => readAcknowledged(ackPath(dir, lane));
  return { fence, acked: { control: await acknowledged("control"), bulk: await acknowledged("bulk") } };
}

/** Names of the journals that are not in use and were acknowledged lately, the latest first. */
export async function listLately(
  deps: Pick<AttemptDeps, "paths" | "clock" | "log">,
  isUsed: (name: string) => boolean,
): Promise<string[]> {
  const names = (await listFolders(deps.paths.journals)).filter((name) => !isUsed(name));
  const all = await eachOf(names, async (name) => {
    const atMs = await acknowledgedAtMs(join(deps.paths.journals, name));
    return { name, atMs };
  });
  const lately = all.filter(({ atMs }) => deps.clock.nowMs() - atMs < OFFER_AGAIN_MS);
  lately.sort((a, b) => b.atMs - a.atMs);
  const many = lately.length - OFFER_AGAIN_MAX;
  if (many > 0) deps.log.warn({ many }, "there are too many journals to send again; the oldest are skipped");
  return lately.slice(0, OFFER_AGAIN_MAX).map(({ name }) => name);
}

/** Calls a function with each item, some at once. */
export async function eachOf<Item, Result>(
  items: readonly Item[],
  one: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (let first = 0; first < items.length; first += TOGETHER_MAX)
    results.push(...(await Promise.all(items.slice(first, first + TOGETHER_MAX).map(one))));
  return results;
}

/** When a record of a journal was last acknowledged, on the wall clock. */
async function acknowledgedAtMs(dir: string): Promise<number> {
  const at = async (lane: JournalLane) => {
    try {
      return (await stat(ackPath(dir, lane))).mtimeMs;
    } catch (error) {
      if (isMissing(error)) return Number.NEGATIVE_INFINITY;
      throw error;
    }
  };
  return Math.max(...(await Promise.all(LANES.map(at))));
}
