import { isFinalRunState, type Run } from "@towpath/contract";
import { useEffect, useState } from "react";
import { client } from "../kernel/client.ts";
import { useNow } from "../kernel/clock.ts";
import { Unreadable } from "../kernel/unreadable.tsx";
import { Artifacts } from "../logs/artifacts.tsx";
import { LogView } from "../logs/log-view.tsx";
import { Questions } from "./questions.tsx";
import { RunHeader } from "./run-header.tsx";
import { TaskList } from "./task-list.tsx";
import { useRunStream } from "./use-run-stream.ts";

/** How often the reason of a wait is read again: lines move without news of this run, milliseconds. */
const WHY_MS = 5_000;

/**
 * What the stream does not carry: parameters, the error, why it waits. Read again whenever the state moves, and now and then
 * while it waits.
 */
function useRunDetail(runId: string, state: string | undefined): Run | null {
  const [run, setRun] = useState<Run | null>(null);
  const waits = run !== null && run.why !== null;
  useEffect(() => {
    if (state === undefined) return;
    const stop = new AbortController();
    const read = () => {
      client.getRun({ params: { runId } }, { signal: stop.signal }).then(setRun, () => {});
    };
    read();
    const timer = waits ? setInterval(read, WHY_MS) : undefined;
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, [runId, state, waits]);
  return run;
}

function Detail({ run }: { run: Run }) {
  const waits = run.why !== null && !isFinalRunState(run.state);
  return (
    <>
      {waits && <p className="cause">{run.why}</p>}
      {run.error && (
        <section>
          <h2>{run.error.name}</h2>
          <pre className="error">{run.error.stack ?? run.error.message}</pre>
        </section>
      )}
      {run.cancelReason && (
        <section>
          <h2>Cancelled because</h2>
          <p>{run.cancelReason}</p>
        </section>
      )}
      {run.result && (
        <section>
          <h2>Result</h2>
          <pre>
            {run.result.uri} ({run.result.sizeBytes.toLocaleString()} bytes)
          </pre>
        </section>
      )}
      <section>
        <h2>Parameters</h2>
        <pre>{JSON.stringify(run.parameters, null, 2)}</pre>
      </section>
    </>
  );
}

/** One run: how it stands, its tasks, what it has to show, its log. All of it live. */
export function RunPage({ runId }: { runId: string }) {
  const stream = useRunStream(runId);
  const ended = stream.run !== null && isFinalRunState(stream.run.state);
  const now = useNow(!ended);
  const detail = useRunDetail(runId, stream.run?.state);
  useEffect(() => {
    if (stream.run) document.title = `${stream.run.state} · ${stream.run.deployment} · Towpath`;
  }, [stream.run]);
  if (stream.failure) return <Unreadable failure={stream.failure} />;
  if (!stream.run) return <p className="quiet">Reading the run…</p>;
  return (
    <>
      <RunHeader run={stream.run} now={now} />
      <div className="columns">
        <div>
          <Questions runId={runId} state={stream.run.state} isOver={ended} />
          <section>
            <h2>Tasks</h2>
            <TaskList tasks={[...stream.tasks.values()]} now={now} />
          </section>
          {detail && <Detail run={detail} />}
        </div>
        <div>
          <Artifacts artifacts={[...stream.artifacts.values()]} />
          <LogView entries={stream.entries} dropped={stream.dropped} live={!ended} />
        </div>
      </div>
    </>
  );
}
