import { diverged, outOfMemory, tooSlow } from "./failures.ts";
import type { DemoFlow } from "./flow.ts";

const MINUTE_MS = 60_000;
const GIB = 1024 ** 3;
const FOLDS = ["1", "2", "3", "4", "5"];

/** Flows for machine learning. */
export const LEARNING: readonly DemoFlow[] = [
  {
    name: "train-ranker",
    pool: "gpu",
    medianMs: 68 * MINUTE_MS,
    spread: 0.22,
    tags: ["ml", "ranking"],
    stages: [
      { task: "load-features", weight: 3, logs: ["{n} rows, 412 features"] },
      { task: "train-fold", weight: 16, items: FOLDS, logs: ["fold {item}: epoch {n}, loss 0.2{ms}"] },
      { task: "evaluate", weight: 2, logs: ["ndcg@10 0.4{ms}"] },
      { task: "register-model", weight: 1 },
    ],
    failures: [outOfMemory, diverged],
    schedule: {
      name: "nightly",
      overlap: "skip",
      tags: ["ml", "ranking"],
      timing: { kind: "cron", cron: "0 1 * * *", zone: "Europe/Berlin" },
    },
    byHand: 0.6,
    deployedDaysAgo: [84, 57, 41, 18, 5],
    spec: {
      compute: { cpu: 8, memoryBytes: 64 * GIB, gpu: { count: 1, kind: "a100" } },
      concurrency: { limit: 1, collision: "enqueue" },
      limits: [{ name: "gpu-memory", slots: 1 }],
    },
    parameters: (random) => ({ learningRate: random.pick([0.05, 0.1]), folds: 5 }),
  },
  {
    name: "score-customers",
    pool: "gpu",
    medianMs: 11 * MINUTE_MS,
    spread: 0.3,
    tags: ["ml", "crm"],
    stages: [
      { task: "load-model", weight: 1, logs: ["ranker of last night, ndcg@10 0.412"] },
      {
        task: "score-segment",
        weight: 9,
        logs: ["segment {item}: {n} customers scored"],
        items: ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"],
      },
      { task: "write-scores", weight: 2 },
    ],
    failures: [tooSlow],
    schedule: {
      name: "every-3-hours",
      tags: ["ml", "crm"],
      overlap: "skip",
      timing: { kind: "cron", cron: "20 */3 * * *", zone: "UTC" },
    },
    deployedDaysAgo: [66, 22],
    spec: { timeoutMs: 45 * MINUTE_MS },
  },
  {
    name: "fraud-features",
    pool: "etl",
    medianMs: 95_000,
    spread: 0.4,
    tags: ["prod", "ml"],
    stages: [
      { task: "read-window", weight: 2, logs: ["{n} transactions in the window"] },
      { task: "aggregate", weight: 4 },
      { task: "write-features", weight: 2 },
    ],
    failures: [
      {
        ...tooSlow,
        perMille: 3,
        task: "aggregate",
        message: () => "aggregate did not end within 10 minutes",
      },
    ],
    schedule: {
      name: "quarter-hourly",
      overlap: "skip",
      tags: ["prod", "ml"],
      timing: { kind: "cron", cron: "*/15 * * * *", zone: "America/New_York" },
    },
    retries: 1,
    deployedDaysAgo: [84, 50, 25],
  },
  {
    name: "replay-clickstream",
    pool: "etl",
    medianMs: 90 * MINUTE_MS,
    spread: 0.2,
    tags: ["backfill"],
    stages: [
      { task: "list-days", weight: 1 },
      { task: "replay-day", weight: 20, items: ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] },
    ],
    failures: [],
    byHand: 0.1,
    deployedDaysAgo: [45],
    parameters: () => ({ week: "2026-W44" }),
  },
  {
    name: "evaluate-ranker",
    pool: "gpu",
    medianMs: 22 * MINUTE_MS,
    spread: 0.3,
    tags: ["ml", "ranking"],
    stages: [
      { task: "load-judgements", weight: 1, logs: ["{n} judgements"] },
      { task: "rank", weight: 6, logs: ["{n} queries ranked"] },
      { task: "compare", weight: 1, logs: ["ndcg@10 0.4{ms}"] },
    ],
    failures: [],
    byHand: 0.25,
    deployedDaysAgo: [57, 2],
    // The latest version needs more than any worker has, so that its runs wait and show why.
    spec: { compute: { gpu: { count: 4, kind: "a100" } } },
  },
];
