import type { Artifact, LogPage, RunEvent, RunSummary, TaskRun } from "@towpath/contract";
import { useEffect, useReducer } from "react";
import { client } from "../kernel/client.ts";

/** The most log entries kept on the page; older ones stay readable with `towpath logs` and by downloading. */
const ENTRIES_MAX = 50_000;

/** One entry of the log: a line, or a gap where lines were lost. */
export type LogEntry = LogPage["entries"][number];

/** What the stream of a run has told so far. */
export interface RunStream {
  readonly run: RunSummary | null;
  readonly tasks: ReadonlyMap<string, TaskRun>;
  readonly artifacts: ReadonlyMap<string, Artifact>;
  readonly entries: readonly LogEntry[];
  readonly dropped: number;
  readonly failure: unknown;
}

const EMPTY: RunStream = {
  run: null,
  tasks: new Map(),
  artifacts: new Map(),
  entries: [],
  dropped: 0,
  failure: null,
};

/** A page that somebody looks at goes on trying. */
const RECONNECTS_MAX = 100_000;

type Action = RunEvent | { event: "failure"; data: unknown } | { event: "reset"; data: null };

function append(stream: RunStream, more: readonly LogEntry[]): RunStream {
  const all = [...stream.entries, ...more];
  const excess = Math.max(0, all.length - ENTRIES_MAX);
  return { ...stream, entries: all.slice(excess), dropped: stream.dropped + excess };
}

function reduce(stream: RunStream, action: Action): RunStream {
  switch (action.event) {
    case "run":
      return { ...stream, run: action.data };
    case "task":
      return {
        ...stream,
        tasks: new Map(stream.tasks).set(`${action.data.attemptId} ${action.data.path}`, action.data),
      };
    case "artifact":
      return { ...stream, artifacts: new Map(stream.artifacts).set(action.data.key, action.data) };
    case "log":
      return append(stream, action.data);
    case "failure":
      return { ...stream, failure: action.data };
    case "reset":
      return EMPTY;
    case "log-end":
    case "end":
      return stream;
  }
}

/** Follows a run live. The client reconnects by itself and goes on after the last event it saw. */
export function useRunStream(runId: string): RunStream {
  const [stream, dispatch] = useReducer(reduce, EMPTY);
  useEffect(() => {
    const stop = new AbortController();
    dispatch({ event: "reset", data: null });
    const options = { signal: stop.signal, reconnects: RECONNECTS_MAX };
    const follow = async () => {
      for await (const event of client.streamRun({ params: { runId } }, options)) dispatch(event);
    };
    follow().catch((error: unknown) => {
      if (!stop.signal.aborted) dispatch({ event: "failure", data: error });
    });
    return () => stop.abort();
  }, [runId]);
  return stream;
}
