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
import { type Posted, post } from "./post.ts";
import * as store from "./store.ts";
import { UnderWay } from "./under-way.ts";

/** Deliveries that one process sends at the same time. */
const SENT_AT_ONCE = 64;
/** Those of one workspace among them: receivers of one that do not answer leave room for the others. */
const SHARE = 4;
/** How long a round waits for answers, milliseconds. What is still under way then goes on beside the next round. */
const ROUND_MS = 1_000;

/** After how long a delivery whose sender said nothing is tried again, milliseconds: longer than a try takes. */
const LEASE_MS = 20_000;

/** How long after each failed try the next one comes, milliseconds: about a day and a half in all. */
const PAUSES_MS = [10_000, 60_000, 5 * 60_000, 30 * 60_000, 2 * 3_600_000, 8 * 3_600_000, 24 * 3_600_000];

/** How long deliveries that are over can be looked at, milliseconds. */
const KEPT_MS = 30 * 24 * 3_600_000;
const FORGET_MAX = 1_000;

function outcomeOf(due: store.DueRow, { status, failure }: Posted): store.Outcome {
  const { id, tries } = due;
  if (failure === null) return { id, tries, state: "sent", status, failure, againMs: null };
  const over = tries >= DELIVERY_TRIES_MAX;
  const againMs = over ? null : (PAUSES_MS[tries - 1] ?? PAUSES_MS.at(-1) ?? 0);
  return { id, tries, state: over ? "given-up" : "waiting", status, failure, againMs };
}

/** Sends what was taken and notes what became of it. A process that dies between the two sends it again, with the same id. */
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

async function noted(deps: Deps, due: store.DueRow, posted: Posted): Promise<store.Outcome> {
  const outcome = outcomeOf(due, posted);
  await inTransaction(deps, async (tx) => {
    await store.markTried(tx, deps.clock, outcome);
    await writeChanges(tx, [{ workspaceId: due.workspaceId, kind: "notifier", entityId: due.notifierId }]);
  });
  return outcome;
}

/** What processes are sending, per database. Weak, so that it ends with it. */
const underWayOf = new WeakMap<Database, UnderWay>();

function underWayFor(database: Database): UnderWay {
  const underWay = underWayOf.get(database) ?? new UnderWay();
  underWayOf.set(database, underWay);
  return underWay;
}

/**
 * Sends one delivery. One that cannot even be made up is a failed try, like one that is refused: no other waits for it. If
 * the database is away, it is due again once its lease is over.
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
    deps.log.error({ err: error, ...which, failures: due.tries }, "a delivery could not be sent or noted");
    if (isDatabaseAway(error)) return;
    const failure = "The control plane could not make up the message; its log tells why.";
    await noted(deps, due, { status: null, failure }).catch(() => {});
  }
}

/** Begins to send what is due, as far as there is room. @returns how many. */
async function begin(deps: Deps, underWay: UnderWay): Promise<number> {
  const limit = SENT_AT_ONCE - underWay.size;
  if (limit <= 0) return 0;
  const due = await store.takeDue(deps.database.db, deps.clock, {
    limit,
    leaseMs: LEASE_MS,
    share: SHARE,
    underWay: underWay.counts,
  });
  for (const one of due) underWay.add(one.workspaceId, sendSafely(deps, one));
  return due.length;
}

/**
 * Sends deliveries that are due. Any number of processes may: each takes others. A round ends when all are sent, or after
 * a second: a receiver that does not answer holds up only its own workspace, and that only by its share.
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

/** Takes one delivery that was just written, and sends it. */
export async function sendNow(deps: Deps, id: string): Promise<void> {
  const due = await store.takeOne(deps.database.db, deps.clock, { leaseMs: LEASE_MS, id });
  if (due !== null) await send(deps, due);
}

/** Forgets deliveries that are over, once nobody asks any more. */
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
