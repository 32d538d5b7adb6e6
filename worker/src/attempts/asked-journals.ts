import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { Fence } from "@towpath/contract";
import { ackPath, type JournalLane, readAcknowledged } from "../journal/index.ts";
import type { AttemptAnswer, Reporting, ReportPage } from "../protocol/index.ts";
import { isMissing } from "../state/atomic-file.ts";
import { listFolders } from "./attempt-store.ts";
import type { AttemptDeps } from "./deps.ts";
import { readFence } from "./journal-owner.ts";
import { claimName } from "./paths.ts";

/** How far back acknowledged records are offered again after the control plane's database went back, milliseconds. */
const OFFER_AGAIN_MS = 3_600_000;
/** The most journals of ended attempts that are offered again, those acknowledged last first. */
const OFFER_AGAIN_MAX = 20_000;
/** How many journals are looked at together. */
const TOGETHER_MAX = 64;
const LANES = ["control", "bulk"] as const satisfies JournalLane[];

/** What was acknowledged of both lanes of a journal. */
type Acked = Readonly<Record<JournalLane, number>>;

/**
 * The journal of an ended attempt of which it is asked how far the control plane has come. It stays closed: whose it is and what was
 * acknowledged of it stand in files of their own.
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

  /** Whether the control plane lacks something of it, by its answer. An attempt that goes on there has not heard of its end. */
  isBehind({ status, controlAcked, bulkAcked, outcome }: AttemptAnswer): boolean {
    if (status === "stale") return false;
    return controlAcked < this.#acked.control || bulkAcked < this.#acked.bulk || outcome === null;
  }

  async reported(answer: AttemptAnswer, sentAtMs: number): Promise<boolean> {
    if (sentAtMs < this.#askedAtMs) return false;
    await this.#answered(answer, sentAtMs);
    return true;
  }

  /** It has no records that could be given up. */
  async giveUp(): Promise<void> {}
}

/** What is known of a journal without opening it. Null: it was set aside, and another claim's journal stands under the name of its fence. */
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

/** Names of the journals that are not in use and of which something was acknowledged lately, the latest first. */
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
  if (many > 0) deps.log.warn({ many }, "there is too much to offer again; the oldest are left out");
  return lately.slice(0, OFFER_AGAIN_MAX).map(({ name }) => name);
}

/** Does the same with each, some at once. */
export async function eachOf<Item, Result>(
  items: readonly Item[],
  one: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (let first = 0; first < items.length; first += TOGETHER_MAX)
    results.push(...(await Promise.all(items.slice(first, first + TOGETHER_MAX).map(one))));
  return results;
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
  return Math.max(...(await Promise.all(LANES.map(at))));
}
