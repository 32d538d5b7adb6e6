import type { Pool } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { DeleteForm, useSave } from "../kernel/edit-form.tsx";
import { Modal } from "../kernel/modal.tsx";

/** A dialog that asks before it removes a pool. */
export function DeletePool({ pool, onClose }: { pool: Pool; onClose: () => void }) {
  const { name } = pool;
  const saving = useSave({
    save: () => client.deletePool({ params: { name } }),
    lists: ["pools", "limits"],
    said: () => `Removed the pool ${name}.`,
    onClose,
  });
  return (
    <Modal title={`Remove pool ${name}?`} onClose={onClose}>
      <DeleteForm does="Remove the pool" saving={saving} onBack={onClose}>
        <p>Its queues and limits are removed with it. Ended runs are kept.</p>
        <p className="text-soft">A pool that deployments or workers use cannot be removed.</p>
      </DeleteForm>
    </Modal>
  );
}
