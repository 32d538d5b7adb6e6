import { stat } from "node:fs/promises";
import { join } from "node:path";
import { LIMITS } from "@towpath/contract";
import { ackPath, type JournalLane } from "../journal/index.ts";
import { isMissing } from "../state/atomic-file.ts";
import type { AttemptDeps } from "./deps.ts";
import { Hold } from "./hold.ts";
import { readFence } from "./journal-owner.ts";
import { isBusy, isOver } from "./phases.ts";
import { listFolders, type ResumeTaker } from "./resume.ts";

/** How far back acknowledged records are offered again after the control plane's database went back, milliseconds. */
const OFFER_AGAIN_MS = 3_600_000;
/** The most journals of ended attempts that are offered again, those acknowledged last first. */
const OFFER_AGAIN_MAX = 20_000;
/** How many of them are open at once: no more than polls can name. */
const OPEN_MAX = LIMITS.attempts - 100;
/** How long is waited before it is looked again whether answers have come, milliseconds, though nobody told of one. */
const LOOK_MS = 10_000;

/** Who holds attempts. */
export interface OfferTaker extends ResumeTaker {
  all(): readonly Hold[];
  /** Waits until something is so; false when the time is over first. */
  until(isSo: () => boolean, ms: number): Promise<boolean>;
}

/** The offering of one incarnation. */
export interface Offering {
  /** Resolves once as many journals are held again as may be: then polls name them. */
  readonly reopened: Promise<void>;
  /**
   * Resolves once the control plane has all of each again, and nothing runs on that it does not know. What is to be sent again is known in
   * memory alone: a worker that is killed before offers it anew.
   */
  readonly done: Promise<void>;
}

/**
 * Asks of every attempt that is held, and of all whose records were acknowledged in the last hour, how far the control plane has come:
 * its database went back, and may have forgotten some. What it lacks is then sent again, as any record is; and what it does not know at all is
 * let go.
 */
export function offerAgain(deps: AttemptDeps, taker: OfferTaker, signal: AbortSignal): Offering {
  const asked = askHeld(deps, taker).then(() => untilClosed(taker));
  const journals = asked.then(() => listLately(deps, taker));
  const first = journals.then((names) => reopen(deps, taker, names));
  const reopened = first.then(() => {});
  reopened.catch(() => {});
  return { reopened, done: finish(deps, taker, { journals, first, signal }) };
}

async function finish(
  deps: AttemptDeps,
  taker: OfferTaker,
  a: { journals: Promise<string[]>; first: Promise<string[]>; signal: AbortSignal },
): Promise<void> {
  const until = async (isSo: () => boolean) => {
    while (!a.signal.aborted && !(await taker.until(isSo, LOOK_MS)));
  };
  let left = await a.first;
  deps.log.info({ journals: (await a.journals).length }, "asking how far the control plane has come");
  while (left.length > 0 && !a.signal.aborted) {
    await until(() => openOf(taker) < OPEN_MAX);
    left = await reopen(deps, taker, left);
  }
  await until(() => taker.all().every((hold) => !hold.asks && !hold.resends && !isGoing(hold)));
}

/** Whether an attempt that is somebody else's, or nobody's, still has a process here: the next one must not start beside it. */
function isGoing(hold: Hold): boolean {
  return hold.stop === "abandoned" && isBusy(hold.phase);
}

/** Journals of ended attempts that are open. */
function openOf(taker: OfferTaker): number {
  return taker.all().filter(({ assignment }) => assignment === null).length;
}

/** What is being closed is looked at as a journal, once it is. */
async function untilClosed(taker: OfferTaker): Promise<void> {
  await taker.until(() => !taker.all().some(({ phase }) => isOver(phase)), LOOK_MS);
}

async function askHeld(deps: AttemptDeps, taker: OfferTaker): Promise<void> {
  for (const hold of taker.all().filter(({ phase }) => !isOver(phase))) {
    try {
      await hold.ask();
    } catch (error) {
      deps.log.error({ attempt: hold.name, error: String(error) }, "an attempt cannot be offered again");
    }
  }
  deps.events.pending();
}

/** Holds the first of these journals again, as many as there is room for. @returns the others */
async function reopen(deps: AttemptDeps, taker: OfferTaker, names: readonly string[]): Promise<string[]> {
  const count = Math.max(0, OPEN_MAX - openOf(taker));
  for (const name of names.slice(0, count)) {
    if (taker.has(name)) continue;
    try {
      const fence = await readFence(join(deps.paths.journals, name));
      const leaseEndsAtMs = deps.bootClock.nowMs();
      const hold = new Hold(deps, { fence, assignment: null, phase: "closing", leaseMs: 0, leaseEndsAtMs });
      // One that was set aside has a name of its own, and another claim's journal stands under that of its fence.
      if (hold.name !== name) continue;
      await hold.ask();
      taker.add(hold);
    } catch (error) {
      // One journal that cannot be read keeps no other from being offered.
      deps.log.error({ journal: name, error: String(error) }, "a journal cannot be offered again");
    }
  }
  deps.events.pending();
  return names.slice(count);
}

/** Names of the journals of ended attempts of which something was acknowledged lately, the latest first. */
async function listLately(deps: AttemptDeps, taker: OfferTaker): Promise<string[]> {
  const lately: { name: string; atMs: number }[] = [];
  for (const name of await listFolders(deps.paths.journals)) {
    if (taker.has(name)) continue;
    const atMs = await acknowledgedAtMs(join(deps.paths.journals, name));
    if (deps.clock.nowMs() - atMs < OFFER_AGAIN_MS) lately.push({ name, atMs });
  }
  lately.sort((a, b) => b.atMs - a.atMs);
  const many = lately.length - OFFER_AGAIN_MAX;
  if (many > 0) deps.log.warn({ many }, "there is too much to offer again; the oldest are left out");
  return lately.slice(0, OFFER_AGAIN_MAX).map(({ name }) => name);
}

/** When anything of a journal was last acknowledged, on the wall clock. */
async function acknowledgedAtMs(dir: string): Promise<number> {
  const at = async (lane: JournalLane) => {
    try {
      return (await stat(ackPath(dir, lane))).mtimeMs;
    } catch (error) {
      if (isMissing(error)) return Number.NEGATIVE_INFINITY;
      throw error;
    }
  };
  return Math.max(await at("control"), await at("bulk"));
}
