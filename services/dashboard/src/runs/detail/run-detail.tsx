import { type Attempt, isFinalRunState, type Run } from "@towpath/contract";
import { bytes, counted, duration } from "../../kernel/format.ts";
import { Elapsed, Instant } from "../../kernel/instant.tsx";
import { Panel } from "../../kernel/panel.tsx";
import { StateBadge } from "../state-badge.tsx";

interface Step {
  readonly at: string;
  readonly text: string;
  /** Time since the previous step, milliseconds. */
  readonly afterMs: number | null;
}

function stepsOf(attempt: Attempt): Step[] {
  const steps: (readonly [string | null, string])[] = [
    [attempt.createdAt, "ready"],
    [attempt.claimedAt, `claimed by ${attempt.worker?.name ?? "a worker"}`],
    [attempt.startedAt, "started"],
    [attempt.endedAt, [attempt.state, attempt.cause].filter(Boolean).join(", ")],
    [attempt.reportedAt, "reported to the control plane"],
  ];
  const known = steps.flatMap(([at, text]) => (at === null ? [] : [{ at, text }]));
  return known.map((step, index) => {
    const before = known[index - 1];
    return { ...step, afterMs: before ? Date.parse(step.at) - Date.parse(before.at) : null };
  });
}

function AttemptHistory({ attempt }: { attempt: Attempt }) {
  return (
    <li>
      <div className="flex flex-wrap items-center gap-2">
        <span className="font-medium">Attempt {attempt.ordinal}</span>
        <StateBadge state={attempt.state} />
        <span className="text-12 text-faint tabular-nums">
          <Elapsed startedAt={attempt.startedAt} endedAt={attempt.endedAt} />
        </span>
        {attempt.exitCode !== null && (
          <span className="text-12 text-faint">exit code {attempt.exitCode}</span>
        )}
      </div>
      <ol className="mt-1 space-y-0.5 border-l border-line pl-3">
        {stepsOf(attempt).map((step) => (
          <li key={step.text} className="flex flex-wrap gap-x-3 text-12">
            <span className="w-44 text-faint">
              <Instant at={step.at} absolute />
            </span>
            {step.text}
            {step.afterMs !== null && (
              <span className="ml-auto text-faint tabular-nums" title="since the previous step">
                +{duration(step.afterMs)}
              </span>
            )}
          </li>
        ))}
      </ol>
      {attempt.releases > 0 && attempt.state !== "completed" && (
        <p className="mt-1 text-12 text-soft">
          Released {counted(attempt.releases, "time")} before it started: {attempt.releaseReason}
        </p>
      )}
      {attempt.lateReports.map((late) => (
        <p key={`${late.workerId} ${late.epoch}`} className="mt-1 text-12 text-warn">
          {counted(late.records, "record")} arrived too late (claim {late.epoch}) and were not applied.
        </p>
      ))}
    </li>
  );
}

/** The parameters, the result and the history of a run. */
export function RunDetail({ run }: { run: Run }) {
  const parameters = JSON.stringify(run.parameters, null, 2);
  return (
    <>
      {run.result && (
        <Panel title="Result" note={`${run.result.codec}, ${bytes(run.result.sizeBytes)}`}>
          <code className="font-mono text-12 [overflow-wrap:anywhere]">{run.result.uri}</code>
        </Panel>
      )}
      <Panel title="Parameters">
        {parameters === "{}" ? (
          <p className="text-faint">None.</p>
        ) : (
          <pre className="max-h-80 overflow-auto font-mono text-12">{parameters}</pre>
        )}
      </Panel>
      <Panel title="History">
        {run.cancelRequestedAt && (
          <p className="mb-2">
            Cancellation requested <Instant at={run.cancelRequestedAt} />
            {run.cancelReason && <>: {run.cancelReason}</>}
          </p>
        )}
        {run.endsBy && (
          <p className="mb-2">
            Time limit: the run fails <Instant at={run.endsBy} /> if it has not ended by then.
          </p>
        )}
        {run.checkpointsDeletedAt && (
          <p className="mb-2">
            Checkpoints deleted <Instant at={run.checkpointsDeletedAt} />: a rerun runs all tasks again.
          </p>
        )}
        <p className="mb-3 flex flex-wrap gap-x-3 border-l border-transparent pl-3 text-12">
          <span className="w-44 text-faint">
            <Instant at={run.createdAt} absolute />
          </span>
          created
        </p>
        {run.attemptList.length === 0 && (
          <p className="text-faint">{isFinalRunState(run.state) ? "No attempts." : "No attempts yet."}</p>
        )}
        <ol className="space-y-3">
          {run.attemptList.map((attempt) => (
            <AttemptHistory key={attempt.id} attempt={attempt} />
          ))}
        </ol>
      </Panel>
    </>
  );
}
