import { CAUSES, isCancellable, isFinalRunState, type RunSummary, triggerText } from "@towpath/contract";
import { useState } from "react";
import { client } from "../kernel/client.ts";
import { elapsed, localTime } from "../kernel/format.ts";
import { RerunButtons } from "./rerun-buttons.tsx";
import { StateBadge } from "./state-badge.tsx";

/** What the derived labels mean. */
const LABELS: Record<RunSummary["labels"][number], string> = {
  late: "It is due, and no worker has taken it for a while.",
  disconnected: "Its worker has stopped renewing; nothing is decided yet.",
};

function CancelButton({ runId }: { runId: string }) {
  const [failure, setFailure] = useState<string | null>(null);
  const [asked, setAsked] = useState(false);
  const cancel = () => {
    setAsked(true);
    client
      .cancelRun({ params: { runId }, body: { reason: "from the run's page" } })
      .catch((error: unknown) => {
        setAsked(false);
        setFailure(error instanceof Error ? error.message : String(error));
      });
  };
  return (
    <>
      <button type="button" onClick={cancel} disabled={asked}>
        {asked ? "Cancelling…" : "Cancel"}
      </button>
      {failure && <span className="error">{failure}</span>}
    </>
  );
}

/** What a run is, how it stands, and what can be done about it. */
export function RunHeader({ run, now }: { run: RunSummary; now: number }) {
  return (
    <header className="run-header">
      <div className="row">
        <h1>{run.deployment}</h1>
        {run.name && <span className="run-name">{run.name}</span>}
        <StateBadge state={run.state} />
        {run.labels.map((label) => (
          <span key={label} className="badge" title={LABELS[label]}>
            {label}
          </span>
        ))}
        <span className="grow" />
        {isCancellable(run.state) && <CancelButton runId={run.id} />}
        <RerunButtons run={run} />
      </div>
      <dl className="facts">
        <div>
          <dt>Duration</dt>
          <dd className="number">{elapsed({ ...run, now }) || "not started"}</dd>
        </div>
        <div>
          <dt>Started</dt>
          <dd>{run.startedAt ? localTime(run.startedAt) : "–"}</dd>
        </div>
        <div>
          <dt>Version</dt>
          <dd>{run.version}</dd>
        </div>
        <div>
          <dt>Pool</dt>
          <dd>{run.pool}</dd>
        </div>
        <div>
          <dt>Attempts</dt>
          <dd>{run.attempts}</dd>
        </div>
        <div>
          <dt>Started by</dt>
          <dd>{triggerText(run.trigger)}</dd>
        </div>
        <div>
          <dt>Run</dt>
          <dd>
            <code>{run.id}</code>
          </dd>
        </div>
      </dl>
      {run.cause && isFinalRunState(run.state) && (
        <p className="cause">
          Cause <strong>{run.cause}</strong>: {CAUSES[run.cause]}
        </p>
      )}
    </header>
  );
}
