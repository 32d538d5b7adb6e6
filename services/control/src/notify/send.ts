import { setTimeout as delay } from "node:timers/promises";
import { DELIVERY_TRIES_MAX, proxyAddressFor } from "@towpath/contract";
import {
  type Database,
  type Deps,
  failpoint,
  inTransaction,
  isDatabaseAway,
  type PeriodicJob,
  VERSION,
  writeChanges,
} from "../kernel/index.ts";
import { bodyOf, signatureOf } from "./notice.ts";
import { type PostResult, post } from "./post.ts";
import * as store from "./store.ts";

/** Deliveries that this process is sending, by workspace. */
export class InFlight {
  readonly #counts = new Map<string, number>();
  readonly #all = new Set<Promise<void>>();

  get size(): number {
    return this.#all.size;
  }

  /** The number of deliveries by workspace. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** Counts a delivery until it ends. @param sending never rejects. */
  add(workspaceId: string, sending: Promise<void>): void {
    this.#counts.set(workspaceId, (this.#counts.get(workspaceId) ?? 0) + 1);
    const counted = sending.then(() => {
      this.#all.delete(counted);
      const left = (this.#counts.get(workspaceId) ?? 1) - 1;
      if (left > 0) this.#counts.set(workspaceId, left);
      else this.#counts.delete(workspaceId);
    });
    this.#all.add(counted);
  }

  /** Waits until one of them ends. */
  async next(): Promise<void> {
    await Promise.race(this.#all);
  }
}

/** The most deliveries that one process sends at the same time. */
const SENT_AT_ONCE = 64;
/** The most of these for one workspace, so that slow receivers leave room for other workspaces. */
const SHARE = 4;
/** How long a round waits for answers, milliseconds. Open deliveries continue beside the next round. */
const ROUND_MS = 1_000;

/** How long until a delivery is tried again if its sender dies, milliseconds. Longer than a try takes. */
const LEASE_MS = 20_000;

/** The pauses after each failed try, milliseconds: about a day and a half in all. */
const PAUSES_MS = [10_000, 60_000, 5 * 60_000, 30 * 60_000, 2 * 3_600_000, 8 * 3_600_000, 24 * 3_600_000];

/** How long finished deliveries are kept, milliseconds. */
const KEPT_MS = 30 * 24 * 3_600_000;
const FORGET_MAX = 1_000;

function outcomeOf(due: store.DueRow, { status, failure }: PostResult): store.Outcome {
  const { id, tries } = due;
  if (failure === null) return { id, tries, state: "sent", status, failure, againMs: null };
  const over = tries >= DELIVERY_TRIES_MAX;
  const againMs = over ? null : (PAUSES_MS[tries - 1] ?? PAUSES_MS.at(-1) ?? 0);
  return { id, tries, state: over ? "given-up" : "waiting", status, failure, againMs };
}

/** Sends a delivery and records the result. If the process dies in between, the delivery is sent again with the same id. */
export async function send(deps: Deps, due: store.DueRow): Promise<store.Outcome> {
  const body = bodyOf(due.kind, due.notice);
  const timestamp = Math.floor(deps.clock.nowMs() / 1000);
  const posted = await post({
    url: due.url,
    body,
    mayBePrivate: deps.config.notifyPrivate,
    proxy: proxyAddressFor(due.url, deps.config.proxies),
    headers: {
      "content-type": "application/json",
      "user-agent": `towpath/${VERSION}`,
      "webhook-id": due.id,
      "webhook-timestamp": String(timestamp),
      "webhook-signature": signatureOf(due.secret, { id: due.id, timestamp, body }),
    },
  });
  failpoint("notify");
  return await noted(deps, due, posted);
}

async function noted(deps: Deps, due: store.DueRow, posted: PostResult): Promise<store.Outcome> {
  const outcome = outcomeOf(due, posted);
  await inTransaction(deps, async (tx) => {
    await store.markTried(tx, deps.clock, outcome);
    await writeChanges(tx, [{ workspaceId: due.workspaceId, kind: "notifier", entityId: due.notifierId }]);
  });
  return outcome;
}

/** The open deliveries of this process, per database. Weak, so that it ends with the database. */
const inFlightOf = new WeakMap<Database, InFlight>();

function underWayFor(database: Database): InFlight {
  const underWay = inFlightOf.get(database) ?? new InFlight();
  inFlightOf.set(database, underWay);
  return underWay;
}

/**
 * Sends one delivery. If its message cannot be made, the try fails like a refused one, and does not delay others. If
 * the database is away, the delivery is due again when its lease ends.
 */
async function sendSafely(deps: Deps, due: store.DueRow): Promise<void> {
  try {
    await send(deps, due);
  } catch (error) {
    const which = {
      periodicJob: "notify-send",
      workspace: due.workspaceId,
      row: due.id,
      subject: due.notifierId,
    };
    deps.log.error({ err: error, ...which, failures: due.tries }, "a delivery could not be sent or recorded");
    if (isDatabaseAway(error)) return;
    const failure = "The control plane could not make the message. Its log says why.";
    await noted(deps, due, { status: null, failure }).catch(() => {});
  }
}

/** Starts sending due deliveries, as far as there is room. @returns how many. */
async function begin(deps: Deps, underWay: InFlight): Promise<number> {
  const limit = SENT_AT_ONCE - underWay.size;
  if (limit <= 0) return 0;
  const due = await store.takeDue(deps.database.db, deps.clock, {
    limit,
    leaseMs: LEASE_MS,
    share: SHARE,
    inFlight: underWay.counts,
  });
  for (const one of due) underWay.add(one.workspaceId, sendSafely(deps, one));
  return due.length;
}

/**
 * Sends due deliveries. Any number of processes may run it: each takes different ones. A round ends when all are sent,
 * or after a second. A slow receiver delays only its own workspace, and there only the share of that workspace.
 */
export const sendPeriodicJob: PeriodicJob = {
  name: "notify-send",
  everyMs: 1_000,
  nextInMs: ({ clock }) => store.untilDue(clock),
  async runOnce(deps) {
    const underWay = underWayFor(deps.database);
    const over = new AbortController();
    const end = delay(ROUND_MS, undefined, { signal: over.signal }).catch(() => {});
    const timer = end.then(() => over.abort());
    let begun = 0;
    while (!over.signal.aborted) {
      begun = await begin(deps, underWay);
      if (underWay.size === 0) break;
      await Promise.race([underWay.next(), timer]);
    }
    over.abort();
    return { worked: begun > 0 };
  },
};

/** Takes one delivery that was just inserted, and sends it. */
export async function sendNow(deps: Deps, id: string): Promise<void> {
  const due = await store.takeOne(deps.database.db, deps.clock, { leaseMs: LEASE_MS, id });
  if (due !== null) await send(deps, due);
}

/** Deletes finished deliveries after their retention. */
export const forgetDeliveriesPeriodicJob: PeriodicJob = {
  name: "forget-deliveries",
  everyMs: 10 * 60_000,
  async runOnce({ database, clock }) {
    const count = await store.forgetDeliveries(database.db, clock, {
      olderThanMs: KEPT_MS,
      limit: FORGET_MAX,
    });
    return { worked: count === FORGET_MAX };
  },
};
