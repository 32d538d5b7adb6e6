import { useNavigate } from "@tanstack/react-router";
import { type RunSummary, shortId } from "@towpath/contract";
import { client } from "../../kernel/client.ts";
import { RemoveDialog } from "../../kernel/remove-dialog.tsx";
import { toast } from "../../kernel/toast.tsx";

/** Removes a run that has ended, and then shows the list of runs. */
export function RemoveRun({ run, onClose }: { run: RunSummary; onClose: () => void }) {
  const navigate = useNavigate();
  return (
    <RemoveDialog
      title="Remove this run?"
      deleted={`The record of this run of ${run.deployment}: its parameters, attempts, tasks, answers, logs and artifacts.`}
      stays="The values in your store, and the effects of the run on other systems. Runs that it started. Its id and idempotency key stay taken."
      does="Remove the run"
      remove={() => client.deleteRun({ params: { runId: run.id } })}
      onRemoved={() => {
        toast(`Removed run ${shortId(run.id)} of ${run.deployment}.`);
        void navigate({ to: "/runs" });
      }}
      onClose={onClose}
    />
  );
}
