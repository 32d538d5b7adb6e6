import { keepPreviousData, useQueries, useQuery } from "@tanstack/react-query";
import { LOG_LEVELS, type LogEntry, type LogLevel, type LogWindow } from "@towpath/contract";
import { useCallback, useEffect, useMemo, useRef } from "react";
import { client } from "../kernel/client.ts";

/** Rows that are asked for at once. */
const PAGE_ROWS = 200;
/** How long pages that are out of view are kept, milliseconds. */
const KEPT_MS = 60_000;
/** How often a search of a log that grows is made again, and what could not be read, milliseconds. */
const AGAIN_MS = 3_000;

/** Asks again for what could not be read; nothing else would. */
function untilRead({ state }: { state: { error: unknown } }): number | false {
  return state.error === null ? false : AGAIN_MS;
}

/** Which part of a run's log is shown. */
export interface LogPart {
  readonly runId: string;
  /** Ordinal of the attempt. Undefined: all. */
  readonly attempt: number | undefined;
  readonly hidden: ReadonlySet<LogLevel>;
}

/** A part of a log as the routes are asked for it. */
export function queryOf({ attempt, hidden }: Omit<LogPart, "runId">): { attempt?: number; levels?: string } {
  const levels = LOG_LEVELS.filter((level) => !hidden.has(level));
  return {
    ...(attempt === undefined ? {} : { attempt }),
    ...(hidden.size === 0 || levels.length === 0 ? {} : { levels: levels.join(",") }),
  };
}

/**
 * The last rows of a log, read again whenever the log has become longer. What was read says how long it was then: what is
 * remembered of a part that was hidden for a moment may be older than what was asked for since.
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

/** A log of which only what is looked at is here. */
export interface Log {
  readonly rows: number;
  readonly levels: LogWindow["levels"] | null;
  readonly failure: unknown;
  readonly isLoading: boolean;
  /** Whether there is more of it than is shown. */
  readonly isCut: boolean;
  /** The entry at a row, once it is here. */
  readonly entryAt: (row: number) => LogEntry | undefined;
}

/**
 * Reads a log as far as it is looked at: its end, and whole pages of rows, which never change once they are full.
 * @param args.grownTo how far the log goes, as the stream tells: whatever it says, another word is changes
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
  // Until another part of the log is here, as many rows stand for it, so that the page does not jump.
  const known = useRef<LogWindow | undefined>(undefined);
  if (data !== undefined) known.current = data;
  const { rows, levels } = known.current ?? { rows: 0, levels: null };
  const first = Math.floor(seen.first / PAGE_ROWS);
  // The end covers what comes after the whole pages, and itself.
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

/** The row of a line among those that are shown; null until it is known. */
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

/** Where a text is in a log, around a line. Live logs are searched again now and then. */
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
