import { DELIVERY_TRIES_MAX, proxyAddressFor } from "@towpath/contract";
import { type Deps, type Duty, failpoint, inTransaction, VERSION, writeChanges } from "../kernel/index.ts";
import { bodyOf, signatureOf } from "./notice.ts";
import { type Posted, post } from "./post.ts";
import * as store from "./store.ts";

/** Deliveries that one round sends, at the same time. */
const SENT_AT_ONCE = 16;

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
    ...{ url: due.url, body, mayBePrivate: deps.config.notifyPrivate },
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
  const outcome = outcomeOf(due, posted);
  await inTransaction(deps, async (tx) => {
    await store.markTried(tx, deps.clock, outcome);
    await writeChanges(tx, [{ workspaceId: due.workspaceId, kind: "notifier", entityId: due.notifierId }]);
  });
  return outcome;
}

/** Sends deliveries that are due. Any number of processes may: each takes others. */
export const sendDuty: Duty = {
  name: "notify-send",
  everyMs: 1_000,
  nextInMs: ({ clock }) => store.untilDue(clock),
  async runOnce(deps) {
    const due = await store.takeDue(deps.database.db, deps.clock, { limit: SENT_AT_ONCE, leaseMs: LEASE_MS });
    await Promise.all(due.map((one) => send(deps, one)));
    return { worked: due.length === SENT_AT_ONCE };
  },
};

/** Takes one delivery that was just written, and sends it. */
export async function sendNow(deps: Deps, id: string): Promise<void> {
  const [due] = await store.takeDue(deps.database.db, deps.clock, { limit: 1, leaseMs: LEASE_MS, id });
  if (due !== undefined) await send(deps, due);
}

/** Forgets deliveries that are over, once nobody asks any more. */
export const forgetDeliveriesDuty: Duty = {
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
