import type { LogEntry } from "@towpath/contract";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { client } from "../kernel/client.ts";
import type { Log, LogPart } from "./use-log.ts";

/** Lines of one request. */
const PAGE_LINES = 1_000;
/** The most lines that are shown of one task. */
export const TASK_LINES_MAX = 50_000;

const START = "0:0";

/**
 * The lines of a task call and its inner calls, from the first one, with new lines as they come. They are scattered
 * over the log, so they are read in sequence and not by row.
 * @param args.task its path; undefined: nothing is read
 */
export function useTaskLog(args: { part: LogPart; task: string | undefined; grownTo: string | null }): Log {
  const { task, grownTo } = args;
  const { runId, attempt } = args.part;
  const [entries, setEntries] = useState<readonly LogEntry[] | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  const [isCut, setCut] = useState(false);
  const read = useRef({ after: START, lines: 0 });
  // biome-ignore lint/correctness/useExhaustiveDependencies: another length of the log is why it is read on.
  useEffect(() => {
    if (task === undefined) return;
    const leaving = new AbortController();
    const { signal } = leaving;
    const readOn = async () => {
      while (read.current.lines < TASK_LINES_MAX) {
        const { after, lines } = read.current;
        const query = { task, after, limit: PAGE_LINES, ...(attempt === undefined ? {} : { attempt }) };
        const page = await client.getLogs({ params: { runId }, query }, { signal });
        if (signal.aborted) return;
        read.current = { after: page.next, lines: lines + page.entries.length };
        setEntries((before) => [...(before ?? []), ...page.entries]);
        if (page.end || page.next === after) return;
      }
      setCut(true);
    };
    readOn().then(
      () => setFailure(null),
      (error: unknown) => signal.aborted || setFailure(error),
    );
    return () => leaving.abort();
  }, [runId, attempt, task, grownTo]);
  const entryAt = useCallback((row: number) => entries?.[row], [entries]);
  return useMemo(
    () => ({
      rows: entries?.length ?? 0,
      levels: null,
      failure,
      isLoading: entries === null && failure === null,
      entryAt,
      isCut,
    }),
    [entries, failure, isCut, entryAt],
  );
}
