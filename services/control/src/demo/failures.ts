import type { Failure } from "./flow.ts";

/** The failures of the demo. Like real ones, they have a message and the stack of the flow. */

export const noRate: Failure = {
  perMille: 14,
  task: "convert-currency",
  cause: "error",
  name: "RangeError",
  message: (random) =>
    `There is no exchange rate for ${random.pick(["CHF", "NOK", "ISK"])} on invoice ${random.whole(40_000, 99_999)}`,
  frames: [
    "at rateOf (flows/invoices/rates.ts:41:11)",
    "at convertCurrency (flows/invoices/convert.ts:28:18)",
    "at flows/invoices/ledger.ts:64:23",
  ],
  log: "no rate for CHF in EUR, USD, GBP, SEK",
};

export const schemaDrift: Failure = {
  perMille: 3,
  task: "parse-events",
  cause: "error",
  name: "ZodError",
  message: (random) =>
    `events[${random.whole(0, 4_999)}].${random.pick(["consent", "referrer", "screen"])}: expected string, received null`,
  frames: ["at parseBatch (flows/web/parse.ts:77:30)", "at flows/web/events.ts:31:20"],
  log: "the collector sends fields that the schema does not know",
};

export const deadlock: Failure = {
  perMille: 5,
  task: "load-warehouse",
  cause: "error",
  name: "DatabaseError",
  message: () => 'deadlock detected while merging into "mart.orders" (40P01)',
  frames: [
    "at merge (flows/orders/warehouse.ts:112:13)",
    "at loadWarehouse (flows/orders/warehouse.ts:58:9)",
  ],
  log: "merge waits for a lock held by mart.refresh_daily",
};

export const warehouseAway: Failure = {
  perMille: 0,
  task: "load-warehouse",
  cause: "error",
  name: "ConnectionError",
  message: () => "connect ECONNREFUSED 10.20.0.14:5432",
  frames: [
    "at connect (flows/shared/warehouse.ts:19:22)",
    "at withWarehouse (flows/shared/warehouse.ts:44:17)",
  ],
  log: "warehouse-1 refuses connections; 5 tries in 31 s",
};

export const outOfMemory: Failure = {
  perMille: 45,
  task: "train-fold",
  cause: "oom",
  name: "ProcessKilled",
  message: (random) =>
    `The process was killed for want of memory: it held ${random.whole(30, 31)}.${random.whole(1, 9)} GiB of 32 GiB`,
  frames: [],
  log: "rss 31.2 GiB; the batch no longer fits",
};

export const diverged: Failure = {
  perMille: 30,
  task: "evaluate",
  cause: "error",
  name: "ModelRejected",
  message: (random) => `ndcg@10 is 0.${random.whole(310, 379)}, below the 0.380 that production has`,
  frames: ["at assertBetter (flows/ranking/evaluate.ts:52:11)", "at flows/ranking/train.ts:97:9"],
  log: "the candidate is worse than what is in production",
};

export const tooSlow: Failure = {
  perMille: 12,
  task: "score-segment",
  cause: "timeout",
  name: "TimeLimitReached",
  message: () => "score-segment did not end within 15 minutes",
  frames: [],
  log: "segment 7 of 12: 41,000 rows/min, usually 310,000",
};

export const sensorSilent: Failure = {
  perMille: 4,
  task: "read-gateway",
  cause: "error",
  name: "GatewayTimeout",
  message: (random) => `gateway lisbon-${random.whole(1, 6)} did not answer within 8 s`,
  frames: ["at read (flows/sensors/gateway.ts:36:15)", "at flows/sensors/readings.ts:22:24"],
};

export const workerLost: Failure = {
  perMille: 2,
  task: "resize-images",
  cause: "lost",
  name: "WorkerLost",
  message: () => "The worker spot-3 stopped reporting and its lease ended.",
  frames: [],
};

export const partnerRefused: Failure = {
  perMille: 60,
  task: "upload",
  cause: "error",
  name: "HttpError",
  message: (random) =>
    `PUT /partners/${random.pick(["nordwind", "halden", "brisa"])}/catalogue answered 413: the file is too large`,
  frames: ["at put (flows/partners/upload.ts:48:13)", "at flows/partners/export.ts:39:5"],
  log: "the file is 2.1 GiB; the partner takes 2.0 GiB",
};
