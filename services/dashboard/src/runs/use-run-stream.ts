import type { Artifact, RunEvent, RunSummary, TaskRun } from "@towpath/contract";
import { useEffect, useReducer } from "react";
import { client } from "../kernel/client.ts";

/** What the stream of a run has told so far. */
export interface RunStream {
  readonly run: RunSummary | null;
  readonly tasks: ReadonlyMap<string, TaskRun>;
  readonly artifacts: ReadonlyMap<string, Artifact>;
  /** How far its log goes, `attempt:line`; null before it has one. */
  readonly logEnd: string | null;
  readonly failure: unknown;
}

const EMPTY: RunStream = {
  run: null,
  tasks: new Map(),
  artifacts: new Map(),
  logEnd: null,
  failure: null,
};

/** A page that somebody looks at goes on trying. */
const RECONNECTS_MAX = 100_000;

type Action = RunEvent | { event: "failure"; data: unknown } | { event: "reset"; data: null };

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
    case "log-end":
      return { ...stream, logEnd: `${action.data.attempt}:${action.data.line}` };
    case "failure":
      return { ...stream, failure: action.data };
    case "reset":
      return EMPTY;
    case "log":
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
      for await (const event of client.streamRun({ params: { runId }, query: { log: "end" } }, options))
        dispatch(event);
    };
    follow().catch((error: unknown) => {
      if (!stop.signal.aborted) dispatch({ event: "failure", data: error });
    });
    return () => stop.abort();
  }, [runId]);
  return stream;
}
