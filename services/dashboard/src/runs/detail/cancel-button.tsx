import { useMutation } from "@tanstack/react-query";
import { useMay } from "../../identity/me.ts";
import { Button } from "../../kernel/button.tsx";
import { client } from "../../kernel/client.ts";
import { Refusal } from "../../kernel/standing.tsx";

/** Requests the cancellation of a run. */
export function CancelButton({ runId }: { runId: string }) {
  const may = useMay("run");
  const cancel = useMutation({
    mutationFn: () => client.cancelRun({ params: { runId }, body: { reason: "from the run's page" } }),
  });
  if (!may) return null;
  return (
    <>
      <Refusal failure={cancel.error} />
      <Button look="danger" disabled={cancel.isPending || cancel.isSuccess} onClick={() => cancel.mutate()}>
        {cancel.isPending || cancel.isSuccess ? "Cancelling…" : "Cancel"}
      </Button>
    </>
  );
}
