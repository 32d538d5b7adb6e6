import { QueryClient, type QueryKey } from "@tanstack/react-query";
import type { FeedChanges } from "@towpath/contract";
import { nowMs } from "./clock.ts";
import { type Missed, onChanges } from "./live/live.ts";

/** How often data that changes with time alone is read again while it is visible, milliseconds: a worker's status. */
export const TIME_PASSES_MS = 15_000;

/** The pause after a refresh: at least this many milliseconds, and this many times the duration of the refresh. */
const REST_MS = 250;
const REST_TIMES = 4;

/** Lists with more pages than this are not refreshed automatically. */
const REFRESHED_PAGES_MAX = 2;

/** The kinds of changes that concern a query, by the first word of its key. @default EVERYTHING */
const TOLD_BY: Readonly<Record<string, readonly string[]>> = {
  me: [],
  "log-end": [],
  "log-page": [],
  "log-row": [],
  "log-finds": [],
  durations: [],
  keys: ["key"],
  notifiers: ["notifier"],
  deliveries: ["notifier"],
  queues: ["pool"],
  version: ["deployment"],
  versions: ["deployment"],
  "version-trust": ["run"],
  upcoming: ["schedule"],
  deployment: ["deployment"],
  run: ["run"],
  waits: ["run", "wait"],
  questions: ["wait"],
  failure: ["run"],
  children: ["run"],
  received: ["run"],
  runs: ["run"],
  overview: ["run"],
};
const EVERYTHING = ["run", "deployment", "schedule", "limit", "pool", "worker"];

/** The first words of keys that name one run. */
const OF_ONE_RUN: readonly unknown[] = ["run", "waits", "failure", "received"];

/** The client repeats requests itself, so queries do not retry. Changes and a new connection refresh them. */
export const queryClient = new QueryClient({
  defaultOptions: {
    queries: { retry: false, staleTime: 1_000, networkMode: "always" },
    mutations: { retry: false, networkMode: "always" },
  },
});

/** Whether changes concern a query. */
export function concerns(key: QueryKey, changes: FeedChanges | Missed): boolean {
  const [word, id] = key;
  const kinds = TOLD_BY[String(word)] ?? EVERYTHING;
  if ("feedId" in changes) return word !== "me";
  if (!changes.kinds.some((kind) => kinds.includes(kind))) return false;
  return !OF_ONE_RUN.includes(word) || changes.more || changes.runs.includes(String(id));
}

/** Whether a query is read once and never changes. */
function isForGood(options: object): boolean {
  return "staleTime" in options && options.staleTime === Number.POSITIVE_INFINITY;
}

/** Whether the reader has loaded many pages of a list: a refresh would request all of them. */
function isLong(data: unknown): boolean {
  if (typeof data !== "object" || data === null || !("pages" in data)) return false;
  return Array.isArray(data.pages) && data.pages.length > REFRESHED_PAGES_MAX;
}

/** The position of the feed from before a list was read, if the list has it. */
function feedIdOf(data: unknown): unknown {
  if (typeof data !== "object" || data === null || !("pages" in data) || !Array.isArray(data.pages))
    return null;
  const first: unknown = data.pages[0];
  return typeof first === "object" && first !== null && "feedId" in first ? first.feedId : null;
}

/** Waits for lists with a position that are being read, so that none is cancelled and read again without need. */
async function untilRead(client: QueryClient): Promise<void> {
  const reading = client.getQueryCache().findAll({ queryKey: ["runs"], fetchStatus: "fetching" });
  await Promise.allSettled(reading.map(({ promise }) => promise));
}

/** Merges changes that wait for a refresh. */
function sum(a: FeedChanges | Missed | undefined, b: FeedChanges | Missed): FeedChanges | Missed {
  if (a === undefined || "feedId" in b) return b;
  if ("feedId" in a) return { feedId: "" };
  return {
    kinds: [...new Set([...a.kinds, ...b.kinds])],
    runs: [...new Set([...a.runs, ...b.runs])],
    more: a.more || b.more,
  };
}

/**
 * Refreshes the queries that changes concern: the first change at once, later ones after a pause that grows with the
 * duration of a refresh. So a busy workspace keeps neither the page nor the server busy. Hidden queries are refreshed
 * when they become visible.
 */
export function keepFresh(client: QueryClient): () => void {
  let waiting: FeedChanges | Missed | undefined;
  let working = false;
  const work = async () => {
    working = true;
    while (waiting !== undefined) {
      const changes = waiting;
      waiting = undefined;
      const fromMs = nowMs();
      const missedAt = "feedId" in changes ? changes.feedId : null;
      if (missedAt !== null) await untilRead(client);
      await client.invalidateQueries({
        predicate: ({ queryKey, state, options }) =>
          concerns(queryKey, changes) &&
          !isForGood(options) &&
          !isLong(state.data) &&
          (missedAt === null || feedIdOf(state.data) !== missedAt),
        refetchType: document.visibilityState === "hidden" ? "none" : "active",
      });
      const restMs = Math.max(REST_MS, REST_TIMES * (nowMs() - fromMs));
      await new Promise((resolve) => setTimeout(resolve, restMs));
    }
    working = false;
  };
  return onChanges((changes) => {
    waiting = sum(waiting, changes);
    if (!working) void work();
  });
}
