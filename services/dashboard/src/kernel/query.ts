import { QueryClient, type QueryKey } from "@tanstack/react-query";
import type { FeedChanges } from "@towpath/contract";
import { nowMs } from "./clock.ts";
import { onChanges } from "./live/live.ts";

/** How often what changes by time alone is read anew while it is looked at, milliseconds: whether a worker still lives. */
export const TIME_PASSES_MS = 15_000;

/** The pause after one reading anew, milliseconds, and how many times as long as the reading it is at least. */
const REST_MS = 250;
const REST_TIMES = 4;

/** Pages of a list that are read anew by themselves. */
const REFRESHED_PAGES_MAX = 2;

/** What tells of what each sort of list shows, where that is less than everything of EVERYTHING. */
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

/** Words of lists that are about the one run in their key alone. */
const OF_ONE_RUN: readonly unknown[] = ["run", "waits", "failure", "received"];

/** The client repeats calls itself: what reaches a query is final for now. Changes, or the stream's return, try again. */
export const queryClient = new QueryClient({
  defaultOptions: {
    queries: { retry: false, staleTime: 1_000, networkMode: "always" },
    mutations: { retry: false, networkMode: "always" },
  },
});

/** Whether changes concern what a key names. Null: anything may have changed. */
export function concerns(key: QueryKey, changes: FeedChanges | null): boolean {
  const [word, id] = key;
  const kinds = TOLD_BY[String(word)] ?? EVERYTHING;
  if (changes === null) return word !== "me";
  if (!changes.kinds.some((kind) => kinds.includes(kind))) return false;
  return !OF_ONE_RUN.includes(word) || changes.more || changes.runs.includes(String(id));
}

/** Whether a query is read once and stays as it is. */
function isForGood(options: object): boolean {
  return "staleTime" in options && options.staleTime === Number.POSITIVE_INFINITY;
}

/** Whether a list was read further than is read anew by itself: all of its pages would be asked for. */
function isLong(data: unknown): boolean {
  if (typeof data !== "object" || data === null || !("pages" in data)) return false;
  return Array.isArray(data.pages) && data.pages.length > REFRESHED_PAGES_MAX;
}

/** Adds up changes that wait to be acted on. */
function sum(a: FeedChanges | null | undefined, b: FeedChanges | null): FeedChanges | null {
  if (a === undefined) return b;
  if (a === null || b === null) return null;
  return {
    kinds: [...new Set([...a.kinds, ...b.kinds])],
    runs: [...new Set([...a.runs, ...b.runs])],
    more: a.more || b.more,
  };
}

/**
 * Reads anew what changes concern: the first at once, the next when that is done and as long again several times over has
 * passed, so that a busy workspace keeps neither this page nor the server busy. What nobody looks at is read when
 * somebody does.
 */
export function keepFresh(client: QueryClient): () => void {
  let waiting: FeedChanges | null | undefined;
  let working = false;
  const work = async () => {
    working = true;
    while (waiting !== undefined) {
      const changes = waiting;
      waiting = undefined;
      const fromMs = nowMs();
      await client.invalidateQueries({
        predicate: ({ queryKey, state, options }) =>
          concerns(queryKey, changes) && !isForGood(options) && !isLong(state.data),
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
