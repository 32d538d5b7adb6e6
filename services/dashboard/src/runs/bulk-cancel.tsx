import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { RunSummary } from "@towpath/contract";
import { Button } from "../kernel/button.tsx";
import { client } from "../kernel/client.ts";
import { counted } from "../kernel/format.ts";
import { Refusal } from "../kernel/standing.tsx";

/** Cancels the runs that were chosen, one after another; one that has ended meanwhile is left as it is. */
export function BulkCancel({ runs, onDone }: { runs: readonly RunSummary[]; onDone: () => void }) {
  const cache = useQueryClient();
  const cancel = useMutation({
    mutationFn: async () => {
      const asked = runs.map((run) =>
        client.cancelRun({ params: { runId: run.id }, body: { reason: "cancelled from the list of runs" } }),
      );
      const refused = (await Promise.allSettled(asked)).filter((one) => one.status === "rejected");
      await cache.invalidateQueries({ queryKey: ["runs"] });
      if (refused[0] && refused.length === runs.length) throw refused[0].reason;
    },
    onSuccess: onDone,
  });
  return (
    <>
      <Refusal failure={cancel.error} />
      <Button look="danger" disabled={cancel.isPending} onClick={() => cancel.mutate()}>
        {cancel.isPending ? "Cancelling…" : `Cancel ${counted(runs.length, "run")}`}
      </Button>
    </>
  );
}
