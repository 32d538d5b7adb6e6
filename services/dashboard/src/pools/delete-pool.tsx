import type { Pool } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { DeleteForm, useSave } from "../kernel/edit-form.tsx";
import { Modal } from "../kernel/modal.tsx";

/** A dialog that asks before it deletes a pool. */
export function DeletePool({ pool, onClose }: { pool: Pool; onClose: () => void }) {
  const { name } = pool;
  const saving = useSave({
    save: () => client.deletePool({ params: { name } }),
    lists: ["pools", "limits"],
    said: () => `Deleted the pool ${name}.`,
    onClose,
  });
  return (
    <Modal title={`Delete pool ${name}?`} onClose={onClose}>
      <DeleteForm does="Delete the pool" saving={saving} onBack={onClose}>
        <p>Its queues and limits are deleted with it. Ended runs are kept.</p>
        <p className="text-soft">A pool that deployments or workers use cannot be deleted.</p>
      </DeleteForm>
    </Modal>
  );
}
