import { useQueryClient } from "@tanstack/react-query";
import type { Worker } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { RemoveDialog } from "../kernel/remove-dialog.tsx";

/** Removes an offline worker from the list of its pool. */
export function RemoveWorker({ worker, onClose }: { worker: Worker; onClose: () => void }) {
  const queries = useQueryClient();
  const { id: workerId, name, pool } = worker;
  return (
    <RemoveDialog
      title={`Remove ${name}?`}
      deleted={`The worker's entry in the pool ${pool}.`}
      stays="Its runs and its key. If the worker starts again, it registers again. To keep it out, revoke its key."
      does="Remove the worker"
      remove={() => client.deleteWorker({ params: { name: pool, workerId } })}
      onRemoved={() => {
        void queries.invalidateQueries({ queryKey: ["workers", pool] });
        onClose();
      }}
      onClose={onClose}
    />
  );
}
