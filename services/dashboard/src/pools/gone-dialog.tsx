import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { Worker, WorkerHold } from "@towpath/contract";
import { Button } from "../kernel/button.tsx";
import { client } from "../kernel/client.ts";
import { Modal } from "../kernel/modal.tsx";
import { FormError } from "../kernel/query-result.tsx";
import { RunLink } from "../runs/links.tsx";

const FOLLOWS: Record<NonNullable<WorkerHold["ifLost"]>, string> = {
  retry: "is retried",
  crash: "crashes",
  cancel: "is cancelled",
  release: "goes to another worker",
};

/** Asks for confirmation, and declares that the machine of a worker is gone. */
export function GoneDialog({ worker, onClose }: { worker: Worker; onClose: () => void }) {
  const cache = useQueryClient();
  const declare = useMutation({
    mutationFn: () => client.declareWorkerGone({ params: { name: worker.pool, workerId: worker.id } }),
    onSuccess: async () => {
      await cache.invalidateQueries({ queryKey: ["workers", worker.pool] });
      onClose();
    },
  });
  const more = worker.held - worker.holds.length;
  return (
    <Modal title={`Is the machine of ${worker.name} gone for good?`} onClose={onClose}>
      <div className="space-y-3">
        <p>
          Then its runs are lost when their leases have ended, at most 30 seconds from now. If the worker
          polls again, it keeps them.
        </p>
        <ul aria-label="Runs that would be lost" className="space-y-1">
          {worker.holds.map((hold) => (
            <li key={`${hold.runId} ${hold.attempt}`} className="flex flex-wrap items-center gap-x-2">
              <RunLink {...hold} />
              {hold.ifLost && <span className="text-soft">{FOLLOWS[hold.ifLost]}</span>}
            </li>
          ))}
          {more > 0 && <li className="text-12 text-faint">and {more} more</li>}
        </ul>
        <p className="text-warn">
          If the machine still runs somewhere, a retried run may run twice at the same time.
        </p>
        <FormError failure={declare.error} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Close</Button>
          <Button look="danger" disabled={declare.isPending} onClick={() => declare.mutate()}>
            The machine is gone
          </Button>
        </div>
      </div>
    </Modal>
  );
}
