import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type RerunPlan, type RunSummary, uuidv7 } from "@towpath/contract";
import { useMay } from "../identity/me.ts";
import { Button } from "../kernel/button.tsx";
import { client } from "../kernel/client.ts";
import { nowMs } from "../kernel/clock.ts";
import { Refusal } from "../kernel/standing.tsx";

/** How many reasons a plan shows. */
const REASONS_MAX = 3;

/** A plan as one line: what is reused, what runs, and why. */
function planText({ reuse, run, reasons }: RerunPlan): string {
  const shown = reasons.slice(0, REASONS_MAX).map(({ reason }) => reason);
  const more = reasons.length - shown.length;
  const why = more > 0 ? [...shown, `${more} more reasons`] : shown;
  return `reuse ${reuse} · run ${run}${why.length === 0 ? "" : ` · because ${why.join("; ")}`}`;
}

/** Runs a run again: first it says what will be reused and what will run, then it asks. */
export function RerunButtons({ run }: { run: RunSummary }) {
  const may = useMay("run");
  const navigate = useNavigate();
  const params = { runId: run.id };
  const plan = useMutation({
    mutationFn: async (fromFailure: boolean) => {
      const query = { fromFailure: fromFailure ? ("true" as const) : ("false" as const) };
      return { fromFailure, plan: await client.planRerun({ params, query }) };
    },
  });
  const rerun = useMutation({
    mutationFn: (fromFailure: boolean) =>
      client.rerunRun({ params, body: { id: uuidv7(nowMs()), fromFailure } }),
    onSuccess: (made) => navigate({ to: "/runs/$runId", params: { runId: made.id } }),
  });
  if (!may) return null;
  const asked = plan.data;
  const isBusy = plan.isPending || rerun.isPending;
  return (
    <div className="flex flex-wrap items-center justify-end gap-1.5">
      <Refusal failure={plan.error ?? rerun.error} />
      {asked ? (
        <>
          <span className="text-12 text-soft">
            Version {asked.plan.version}: {planText(asked.plan)}
          </span>
          <Button look="accent" disabled={isBusy} onClick={() => rerun.mutate(asked.fromFailure)}>
            Start
          </Button>
          <Button look="quiet" disabled={isBusy} onClick={() => plan.reset()}>
            Leave
          </Button>
        </>
      ) : (
        <>
          {run.state !== "completed" && (
            <Button look="accent" disabled={isBusy} onClick={() => plan.mutate(true)}>
              Rerun from failure
            </Button>
          )}
          <Button disabled={isBusy} onClick={() => plan.mutate(false)}>
            Rerun
          </Button>
        </>
      )}
    </div>
  );
}
