import { useMutation } from "@tanstack/react-query";
import { RUN_TRANSITIONS, type RunState, type RunSummary } from "@towpath/contract";
import { type FormEvent, useState } from "react";
import { Button } from "../../kernel/button.tsx";
import { client } from "../../kernel/client.ts";
import { Labelled } from "../../kernel/labelled.tsx";
import { Modal } from "../../kernel/modal.tsx";
import { FormError } from "../../kernel/query-result.tsx";

/** The longest reason that the API takes. */
const REASON_MAX = 500;

/** Whether a run has no process, so that its cancellation ends it at once. */
function isWaiting(state: RunState): boolean {
  return RUN_TRANSITIONS.cancel.from.some((one) => one === state);
}

/** Asks for confirmation, and requests the cancellation of a run. */
export function CancelDialog({ run, onClose }: { run: RunSummary; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const cancel = useMutation({
    mutationFn: () => client.cancelRun({ params: { runId: run.id }, body: { reason: reason.trim() } }),
    onSuccess: onClose,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    cancel.mutate();
  };
  return (
    <Modal title="Cancel this run?" onClose={onClose}>
      <form onSubmit={submit} className="space-y-3">
        <p>
          {run.deployment} is {run.state}.{" "}
          {isWaiting(run.state)
            ? "It has no process. It ends at once, or after its flow's onCancellation hook."
            : "It gets a signal to stop and its clean-up time."}{" "}
          A rerun can reuse the results of its completed tasks.
        </p>
        <Labelled name="Reason" hint="optional, shown in the history of the run">
          <input
            className="field"
            value={reason}
            maxLength={REASON_MAX}
            onChange={(event) => setReason(event.target.value)}
          />
        </Labelled>
        <FormError failure={cancel.error} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Close</Button>
          <Button type="submit" look="danger" disabled={cancel.isPending}>
            Cancel the run
          </Button>
        </div>
      </form>
    </Modal>
  );
}
