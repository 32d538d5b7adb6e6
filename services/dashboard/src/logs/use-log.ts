import { keepPreviousData, useQueries, useQuery } from "@tanstack/react-query";
import { LOG_LEVELS, type LogEntry, type LogLevel, type LogWindow } from "@towpath/contract";
import { useCallback, useEffect, useMemo, useRef } from "react";
import { client } from "../kernel/client.ts";

/** Rows of one request. */
const PAGE_ROWS = 200;
/** How long pages outside the view are cached, milliseconds. */
const KEPT_MS = 60_000;
/** How often a live log is searched again, and a failed request repeated, milliseconds. */
const AGAIN_MS = 3_000;

/** Repeats failed requests. No change of the stream would trigger them. */
function untilRead({ state }: { state: { error: unknown } }): number | false {
  return state.error === null ? false : AGAIN_MS;
}

/** The part of a run's log that is shown. */
export interface LogPart {
  readonly runId: string;
  /** The ordinal of the attempt. Undefined: all attempts. */
  readonly attempt: number | undefined;
  readonly hidden: ReadonlySet<LogLevel>;
}

/** The query parameters of a part of a log. */
export function queryOf({ attempt, hidden }: Omit<LogPart, "runId">): { attempt?: number; levels?: string } {
  const levels = LOG_LEVELS.filter((level) => !hidden.has(level));
  return {
    ...(attempt === undefined ? {} : { attempt }),
    ...(hidden.size === 0 || levels.length === 0 ? {} : { levels: levels.join(",") }),
  };
}

/**
 * The last rows of a log, read again when the log has grown. The result contains the length it was read for: a cached
 * result may be older than the current length.
 */
function useEnd(part: LogPart, grownTo: string | null) {
  const { runId } = part;
  const query = queryOf(part);
  const { data, error, isFetching, refetch } = useQuery({
    queryKey: ["log-end", runId, query],
    queryFn: async ({ signal }) => {
      const wanted = { params: { runId }, query: { ...query, limit: PAGE_ROWS } };
      return { grownTo, window: await client.getLogWindow(wanted, { signal }) };
    },
    refetchInterval: untilRead,
    structuralSharing: false,
  });
  const isOld = data !== undefined && data.grownTo !== grownTo && error === null;
  useEffect(() => {
    if (isOld && !isFetching) void refetch();
  }, [isOld, isFetching, refetch]);
  return { data: data?.window, error };
}

/** A log of which only the visible parts are loaded. */
export interface Log {
  readonly rows: number;
  readonly levels: LogWindow["levels"] | null;
  readonly failure: unknown;
  readonly isLoading: boolean;
  /** Whether the log has more lines than are shown. */
  readonly isCut: boolean;
  /** The entry at a row. Undefined while it is loading. */
  readonly entryAt: (row: number) => LogEntry | undefined;
}

/**
 * Reads the visible parts of a log: its end, and whole pages of rows, which never change.
 * @param args.grownTo the length of the log, as the stream reports it; any new value means that the log has grown
 */
export function useLog(args: {
  part: LogPart;
  grownTo: string | null;
  seen: { readonly first: number; readonly end: number };
}): Log {
  const { part, grownTo, seen } = args;
  const { runId } = part;
  const query = queryOf(part);
  const end = useEnd(part, grownTo);
  const { data, error } = end;
  // Until another part is loaded, the old number of rows stays, so that the page does not jump.
  const known = useRef<LogWindow | undefined>(undefined);
  if (data !== undefined) known.current = data;
  const { rows, levels } = known.current ?? { rows: 0, levels: null };
  const first = Math.floor(seen.first / PAGE_ROWS);
  // The end covers the rows after the whole pages.
  const whole = Math.ceil(Math.min(seen.end, data?.first ?? 0) / PAGE_ROWS);
  const wanted = Array.from({ length: Math.max(0, whole - first) });
  const pages = useQueries({
    queries: wanted.map((_, index) => ({
      queryKey: ["log-page", runId, query, first + index],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        client.getLogWindow(
          { params: { runId }, query: { ...query, row: (first + index) * PAGE_ROWS, limit: PAGE_ROWS } },
          { signal },
        ),
      staleTime: Number.POSITIVE_INFINITY,
      gcTime: KEPT_MS,
      refetchInterval: untilRead,
      structuralSharing: false,
    })),
    combine: (results) => results.flatMap((result) => result.data ?? []),
  });
  const entryAt = useCallback(
    (row: number) => {
      for (const window of data ? [data, ...pages] : pages) {
        const entry = window.entries[row - window.first];
        if (entry !== undefined) return entry;
      }
      return undefined;
    },
    [data, pages],
  );
  return useMemo(
    () => ({ rows, levels, failure: error, isLoading: data === undefined, entryAt, isCut: false }),
    [rows, levels, data, error, entryAt],
  );
}

/** The row of a line in the visible part. Null until it is known. */
export function useRowOf(part: LogPart, place: string | undefined): number | null {
  const { runId } = part;
  const query = queryOf(part);
  const { data } = useQuery({
    enabled: place !== undefined,
    queryKey: ["log-row", runId, query, place],
    queryFn: ({ signal }) =>
      client.getLogWindow({ params: { runId }, query: { ...query, at: place, limit: 1 } }, { signal }),
    staleTime: Number.POSITIVE_INFINITY,
    refetchInterval: untilRead,
  });
  return place === undefined ? null : (data?.at ?? null);
}

/** The matches of a text around a line. Live logs are searched again at intervals. */
export function useFinds(part: LogPart, args: { text: string; from: string; live: boolean; isOn: boolean }) {
  const { runId } = part;
  const query = { ...queryOf(part), text: args.text, from: args.from };
  return useQuery({
    enabled: args.isOn,
    queryKey: ["log-finds", runId, query],
    queryFn: ({ signal }) => client.searchLogs({ params: { runId }, query }, { signal }),
    refetchInterval: args.live ? AGAIN_MS : (false as const),
    placeholderData: keepPreviousData,
  });
}
