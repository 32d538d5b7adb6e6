import { useMutation } from "@tanstack/react-query";
import type { FormEvent, ReactNode } from "react";
import { Button } from "./button.tsx";
import { Modal } from "./modal.tsx";
import { FormError } from "./query-result.tsx";

/** Asks for confirmation and removes something. Says what is deleted and what stays. */
export function RemoveDialog({
  title,
  deleted,
  stays,
  does,
  remove,
  onRemoved,
  onClose,
}: {
  title: string;
  /** Sentences about what is deleted, and about what stays. */
  deleted: string;
  stays: ReactNode;
  /** The text of the button. */
  does: string;
  remove: () => Promise<unknown>;
  onRemoved: () => void;
  onClose: () => void;
}) {
  const removal = useMutation({ mutationFn: remove, onSuccess: onRemoved });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    removal.mutate();
  };
  return (
    <Modal title={title} onClose={onClose}>
      <form onSubmit={submit} className="space-y-3">
        <dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-4 gap-y-2">
          <dt className="text-soft">Deleted</dt>
          <dd>{deleted}</dd>
          <dt className="text-soft">Stays</dt>
          <dd>{stays}</dd>
        </dl>
        <FormError failure={removal.error} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Close</Button>
          <Button type="submit" look="danger" disabled={removal.isPending}>
            {does}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
