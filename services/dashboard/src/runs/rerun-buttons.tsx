import { isFinalRunState, type RerunPlan, type RunSummary, uuidv7 } from "@towpath/contract";
import { useState } from "react";
import { client } from "../kernel/client.ts";
import { nowMs } from "../kernel/clock.ts";

/** How many reasons a plan shows. */
const REASONS_MAX = 3;

/** A plan as one line: what is reused, what runs, and why. */
export function planText({ reuse, run, reasons }: RerunPlan): string {
  const shown = reasons.slice(0, REASONS_MAX).map(({ reason }) => reason);
  const more = reasons.length - shown.length;
  const why = more > 0 ? [...shown, `${more} more reasons`] : shown;
  return `reuse ${reuse} · run ${run}${why.length === 0 ? "" : ` · because ${why.join("; ")}`}`;
}

interface Asked {
  readonly fromFailure: boolean;
  readonly plan: RerunPlan;
}

/** Runs a run again: first it says what will be reused and what will run, then it asks. */
export function RerunButtons({ run }: { run: RunSummary }) {
  const [asked, setAsked] = useState<Asked | null>(null);
  const [isBusy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const attempt = (work: () => Promise<void>) => {
    setBusy(true);
    setFailure(null);
    work()
      .catch((error: unknown) => setFailure(error instanceof Error ? error.message : String(error)))
      .finally(() => setBusy(false));
  };
  const params = { runId: run.id };
  const plan = (fromFailure: boolean) =>
    attempt(async () => {
      const query = { fromFailure: fromFailure ? ("true" as const) : ("false" as const) };
      setAsked({ fromFailure, plan: await client.planRerun({ params, query }) });
    });
  const start = ({ fromFailure }: Asked) =>
    attempt(async () => {
      const made = await client.rerunRun({ params, body: { id: uuidv7(nowMs()), fromFailure } });
      window.location.assign(`/runs/${made.id}`);
    });
  if (!isFinalRunState(run.state)) return null;
  return (
    <>
      {asked ? (
        <>
          <span className="quiet">
            Version {asked.plan.version}: {planText(asked.plan)}
          </span>
          <button type="button" disabled={isBusy} onClick={() => start(asked)}>
            Start
          </button>
          <button type="button" disabled={isBusy} onClick={() => setAsked(null)}>
            Leave
          </button>
        </>
      ) : (
        <>
          {run.state !== "completed" && (
            <button type="button" disabled={isBusy} onClick={() => plan(true)}>
              Rerun from failure
            </button>
          )}
          <button type="button" disabled={isBusy} onClick={() => plan(false)}>
            Rerun
          </button>
        </>
      )}
      {failure && <span className="error">{failure}</span>}
    </>
  );
}
