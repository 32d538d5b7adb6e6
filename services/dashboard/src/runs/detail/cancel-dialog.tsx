import { useMutation } from "@tanstack/react-query";
import type { RunSummary } from "@towpath/contract";
import { type FormEvent, useState } from "react";
import { Button } from "../../kernel/button.tsx";
import { client } from "../../kernel/client.ts";
import { Labelled } from "../../kernel/labelled.tsx";
import { Modal } from "../../kernel/modal.tsx";
import { FormError } from "../../kernel/query-result.tsx";

/** The longest reason that the API takes. */
const REASON_MAX = 500;

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
          {run.startedAt === null
            ? "It ends at once and does not start."
            : "Its tasks are told to stop and get their clean-up time. Completed tasks keep their results."}
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
