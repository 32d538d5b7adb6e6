import type { Artifact, RunEvent, RunSummary, TaskRun } from "@towpath/contract";
import { useEffect, useReducer } from "react";
import { followRun } from "../../kernel/live/live.ts";

/** Everything that the stream has sent of a run. */
export interface RunStream {
  readonly run: RunSummary | null;
  readonly tasks: ReadonlyMap<string, TaskRun>;
  readonly artifacts: ReadonlyMap<string, Artifact>;
  /** The length of the log, `attempt:lines`. Null while there is none. */
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

/** The events of one message, which are drawn together. */
interface Part {
  readonly events: readonly RunEvent[];
  readonly begins: boolean;
  readonly failure: unknown;
}

function reduce(stream: RunStream, { events, begins, failure }: Part): RunStream {
  const before = begins ? EMPTY : stream;
  let { run, logEnd } = before;
  const tasks = new Map<string, TaskRun>();
  const artifacts = new Map<string, Artifact>();
  for (const event of events) {
    if (event.event === "run") run = event.data;
    if (event.event === "log-end") logEnd = `${event.data.attempt}:${event.data.lines}`;
    if (event.event === "task") tasks.set(`${event.data.attemptId} ${event.data.path}`, event.data);
    if (event.event === "artifact") artifacts.set(event.data.key, event.data);
  }
  return {
    run,
    logEnd,
    failure,
    tasks: tasks.size === 0 ? before.tasks : new Map([...before.tasks, ...tasks]),
    artifacts: artifacts.size === 0 ? before.artifacts : new Map([...before.artifacts, ...artifacts]),
  };
}

/** Follows a run over the browser's one stream, which reconnects by itself. */
export function useRunStream(runId: string): RunStream {
  const [stream, dispatch] = useReducer(reduce, EMPTY);
  useEffect(() => {
    dispatch({ events: [], begins: true, failure: null });
    return followRun(runId, {
      told: (events, begins) => dispatch({ events, begins, failure: null }),
      refused: (failure) => dispatch({ events: [], begins: false, failure }),
    });
  }, [runId]);
  return stream;
}
