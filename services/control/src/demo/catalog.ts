import { deadlock, noRate, partnerRefused, schemaDrift, sensorSilent, workerLost } from "./failures.ts";
import type { DemoFlow, Extent } from "./flow.ts";
import { LEARNING } from "./learning.ts";

const MINUTE_MS = 60_000;
const REGIONS = ["biscoe", "dream", "torgersen", "anvers", "cormorant", "litchfield", "humble", "shortcut"];

/** Flows that process small amounts of data all day. */
const streams = (stretch: number): DemoFlow[] => [
  {
    name: "web-events",
    pool: "etl",
    medianMs: 9_000,
    spread: 0.45,
    tags: ["prod", "events"],
    stages: [
      { task: "fetch-batch", weight: 3, logs: ["batch {n} of the collector, {n} events"] },
      { task: "parse-events", weight: 2 },
      { task: "append", weight: 4, logs: ["{n} events appended to lake/events"] },
    ],
    failures: [schemaDrift],
    schedule: {
      name: "every-2-minutes",
      timing: { kind: "interval", everyMs: 2 * MINUTE_MS * stretch },
      overlap: "skip",
      tags: ["prod", "events"],
      catchUp: "latest",
    },
    deployedDaysAgo: [84, 61, 33, 9],
    parameters: (_, atMs) => ({ until: new Date(atMs).toISOString() }),
  },
  {
    name: "sensor-readings",
    pool: "edge",
    medianMs: 21_000,
    spread: 0.5,
    tags: ["prod", "iot"],
    stages: [
      { task: "read-gateway", weight: 5, logs: ["gateway lisbon answered in {ms} ms"] },
      { task: "store-readings", weight: 2, logs: ["{n} readings stored"] },
    ],
    failures: [sensorSilent],
    schedule: {
      name: "every-5-minutes",
      overlap: "skip",
      tags: ["prod", "iot"],
      timing: { kind: "cron", cron: stretch === 1 ? "*/5 * * * *" : "0,50 * * * *", zone: "Europe/Lisbon" },
    },
    retries: 1,
    deployedDaysAgo: [84, 40],
  },
];

/** Flows with results that the business needs. */
const LEDGERS: readonly DemoFlow[] = [
  {
    name: "orders-hourly",
    pool: "etl",
    medianMs: 4 * MINUTE_MS,
    spread: 0.35,
    usesWarehouse: true,
    tags: ["prod", "orders"],
    stages: [
      { task: "extract-orders", weight: 3, logs: ["{n} orders changed since the last run"] },
      { task: "deduplicate", weight: 1, logs: ["{n} duplicates dropped"] },
      { task: "load-warehouse", weight: 5, items: ["orders", "lines", "payments", "returns"] },
      { task: "refresh-marts", weight: 3, logs: ["mart.orders is fresh"] },
    ],
    failures: [deadlock],
    schedule: {
      name: "hourly",
      overlap: "skip",
      tags: ["prod", "orders"],
      priority: 10,
      timing: { kind: "cron", cron: "5 * * * *", zone: "UTC" },
    },
    deployedDaysAgo: [84, 70, 52, 28, 6],
    spec: {
      limits: [{ name: "warehouse", slots: 1 }],
      retry: { limit: 1, delayMs: 30_000, causes: ["error"] },
    },
    parameters: (_, atMs) => ({ hour: new Date(atMs).toISOString().slice(0, 13) }),
  },
  {
    name: "invoices-to-ledger",
    pool: "etl",
    medianMs: 38_000,
    spread: 0.5,
    usesWarehouse: true,
    tags: ["prod", "finance"],
    stages: [
      { task: "fetch-invoices", weight: 3, logs: ["{n} invoices to book"] },
      { task: "convert-currency", weight: 2, items: ["EUR", "USD", "GBP", "CHF"] },
      { task: "load-warehouse", weight: 3, logs: ["ledger 2026 takes {n} entries"] },
    ],
    failures: [noRate],
    schedule: {
      name: "half-hourly",
      overlap: "wait",
      tags: ["prod", "finance"],
      timing: { kind: "cron", cron: "15,45 * * * *", zone: "Europe/Berlin" },
    },
    deployedDaysAgo: [80, 44, 12, 3],
    parameters: (_, atMs) => ({ day: new Date(atMs).toISOString().slice(0, 10), dryRun: false }),
  },
  {
    name: "warehouse-nightly",
    pool: "etl",
    medianMs: 47 * MINUTE_MS,
    spread: 0.25,
    usesWarehouse: true,
    tags: ["prod", "nightly"],
    stages: [
      { task: "snapshot", weight: 4, logs: ["snapshot of {n} tables"] },
      { task: "load-region", weight: 14, items: REGIONS, logs: ["{item}: {n} rows in {ms} ms"] },
      { task: "check-quality", weight: 3, logs: ["31 of 31 checks hold for {n} rows"] },
      { task: "load-warehouse", weight: 6, logs: ["{n} rows merged"] },
      { task: "publish", weight: 1, logs: ["nightly snapshot published"] },
    ],
    failures: [{ ...deadlock, perMille: 40 }],
    schedule: {
      name: "nightly",
      overlap: "skip",
      tags: ["prod", "nightly"],
      priority: 20,
      timing: { kind: "cron", cron: "30 2 * * *", zone: "Europe/Berlin" },
    },
    byHand: 0.15,
    deployedDaysAgo: [84, 35, 8],
    spec: { limits: [{ name: "warehouse", slots: 2 }] },
  },
];

/** Flows that run seldom, on request. */
const REPORTS: readonly DemoFlow[] = [
  {
    name: "weekly-report",
    pool: "reports",
    medianMs: 6 * MINUTE_MS,
    spread: 0.3,
    tags: ["reports"],
    stages: [
      { task: "query-marts", weight: 4, logs: ["{n} rows from mart.weekly"] },
      { task: "draw-charts", weight: 3, items: ["revenue", "returns", "cohorts"] },
      { task: "send", weight: 1, logs: ["sent to 14 people"] },
    ],
    failures: [],
    schedule: {
      name: "monday-morning",
      tags: ["reports"],
      timing: {
        kind: "rrule",
        rrule: "FREQ=WEEKLY;BYDAY=MO;BYHOUR=8;BYMINUTE=0",
        start: "2026-01-05T08:00",
        zone: "America/New_York",
      },
    },
    byHand: 0.4,
    deployedDaysAgo: [84],
  },
  {
    name: "quarterly-close",
    pool: "reports",
    medianMs: 12 * MINUTE_MS,
    spread: 0.4,
    tags: ["finance", "approval"],
    stages: [
      { task: "collect-ledgers", weight: 4 },
      { task: "reconcile", weight: 5, logs: ["{n} entries agree"] },
      { task: "book", weight: 2 },
    ],
    failures: [],
    byHand: 0.3,
    deployedDaysAgo: [60, 14],
    parameters: () => ({ quarter: "2026-Q3" }),
  },
  {
    name: "export-partners",
    pool: "reports",
    medianMs: 3 * MINUTE_MS,
    spread: 0.4,
    tags: ["partners"],
    stages: [
      { task: "build-file", weight: 3 },
      { task: "upload", weight: 2, logs: ["{n} bytes sent"] },
    ],
    failures: [partnerRefused],
    schedule: {
      name: "weekdays",
      timing: { kind: "cron", cron: "0 6 * * 1-5", zone: "Asia/Tokyo" },
      tags: ["partners"],
    },
    deployedDaysAgo: [75, 20],
  },
  {
    name: "index-catalogue",
    pool: "etl",
    medianMs: 26 * MINUTE_MS,
    spread: 0.25,
    tags: ["search"],
    stages: [
      { task: "list-products", weight: 1, logs: ["{n} products changed"] },
      { task: "resize-images", weight: 9, items: REGIONS },
      { task: "swap-index", weight: 1 },
    ],
    failures: [workerLost],
    schedule: {
      name: "twice-a-day",
      timing: { kind: "cron", cron: "10 5,17 * * *", zone: "UTC" },
      overlap: "cancel-running",
      tags: ["search"],
    },
    deployedDaysAgo: [84, 30],
  },
];

/** Every deployment of the demo. */
export function catalogOf({ stretch }: Extent): readonly DemoFlow[] {
  return [...streams(stretch), ...LEDGERS, ...LEARNING, ...REPORTS];
}

/** The pools of the deployments, with the priorities of their queues. */
export const POOLS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  etl: { urgent: 50, bulk: -20 },
  gpu: {},
  reports: {},
  edge: {},
};

/** Named limits with their numbers of slots. With `perMs`, a limit is a rate. */
export const NAMED_LIMITS: readonly { name: string; slots: number; perMs: number | null }[] = [
  { name: "warehouse", slots: 4, perMs: null },
  { name: "bank-api", slots: 60, perMs: MINUTE_MS },
  { name: "gpu-memory", slots: 2, perMs: null },
];

const GIB = 1024 ** 3;

/** The workers of the pools, with their amounts. */
export const WORKERS: readonly {
  readonly name: string;
  readonly pool: string;
  readonly capacity: number;
  readonly amounts: Readonly<Record<string, number>>;
  /** How long ago the worker disconnected, milliseconds. Later runs of its pool wait. */
  readonly goneMs?: number;
}[] = [
  { name: "etl-1", pool: "etl", capacity: 16, amounts: { cpu: 16, memory: 64 * GIB } },
  { name: "etl-2", pool: "etl", capacity: 16, amounts: { cpu: 16, memory: 64 * GIB } },
  { name: "spot-3", pool: "etl", capacity: 8, amounts: { cpu: 8, memory: 32 * GIB } },
  {
    name: "gpu-a100",
    pool: "gpu",
    capacity: 4,
    amounts: { cpu: 32, memory: 256 * GIB, gpu: 2, "gpu:a100": 2 },
  },
  { name: "reports-1", pool: "reports", capacity: 4, amounts: { cpu: 4, memory: 16 * GIB } },
  {
    name: "gateway-lisbon",
    pool: "edge",
    capacity: 2,
    goneMs: 44 * MINUTE_MS,
    amounts: { cpu: 2, memory: 4 * GIB },
  },
];
