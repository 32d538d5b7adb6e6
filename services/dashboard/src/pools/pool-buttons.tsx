import type { Limit, Pool, Queue } from "@towpath/contract";
import { lazy, Suspense, useState } from "react";
import { useMay } from "../identity/me.ts";
import { Button } from "../kernel/button.tsx";

const NewPool = lazy(async () => ({ default: (await import("./new-pool.tsx")).NewPool }));
const DeletePool = lazy(async () => ({ default: (await import("./delete-pool.tsx")).DeletePool }));
const QueueDialog = lazy(async () => ({ default: (await import("./queue-dialog.tsx")).QueueDialog }));

/** A button that opens the form of a new pool. Nothing for readers who may not create one. */
export function NewPoolButton() {
  const may = useMay("deploy");
  const [isOpen, setOpen] = useState(false);
  if (!may) return null;
  return (
    <>
      <Button look="accent" onClick={() => setOpen(true)}>
        New pool
      </Button>
      <Suspense>{isOpen && <NewPool onClose={() => setOpen(false)} />}</Suspense>
    </>
  );
}

/** A button that asks before it removes a pool. */
export function DeletePoolButton({ pool }: { pool: Pool }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Button look="danger" aria-label={`Remove pool ${pool.name}`} onClick={() => setOpen(true)}>
        Remove pool…
      </Button>
      <Suspense>{isOpen && <DeletePool pool={pool} onClose={() => setOpen(false)} />}</Suspense>
    </>
  );
}

/** A button that opens the form of a queue, or of a new one. Nothing for readers who may not change it. */
export function QueueButton({
  pool,
  queue,
  limit,
}: {
  pool: Pool;
  queue?: Queue;
  limit?: Limit | undefined;
}) {
  const may = useMay("deploy");
  const [isOpen, setOpen] = useState(false);
  if (!may) return null;
  return (
    <>
      <Button
        aria-label={queue ? `Edit queue ${pool.name}/${queue.name}` : `New queue of ${pool.name}`}
        onClick={() => setOpen(true)}
      >
        {queue ? "Edit" : "New queue"}
      </Button>
      <Suspense>
        {isOpen && (
          <QueueDialog
            pool={pool}
            {...(queue && { queue })}
            {...(limit && { limit })}
            onClose={() => setOpen(false)}
          />
        )}
      </Suspense>
    </>
  );
}
