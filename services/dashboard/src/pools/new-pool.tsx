import { useState } from "react";
import { client } from "../kernel/client.ts";
import { EditForm, FormField, useSave } from "../kernel/edit-form.tsx";
import { Modal } from "../kernel/modal.tsx";

/** A dialog that creates a pool. */
export function NewPool({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const saving = useSave({
    save: () => client.createPool({ body: { name: name.trim() } }),
    lists: ["pools"],
    said: (pool) => `The pool ${pool.name} is ready for workers.`,
    onClose,
  });
  return (
    <Modal title="New pool" onClose={onClose}>
      <EditForm does="Create the pool" saving={saving} paths={["name"]} onClose={onClose}>
        <FormField path="name" name="Name" hint="lower-case letters, digits, - and _">
          {(attributes) => (
            <input
              {...attributes}
              required
              autoComplete="off"
              placeholder="local"
              className="field aria-invalid:border-bad"
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </FormField>
        <p className="text-12 text-soft">
          Its workers run each attempt as a process. After this, start a worker where the runs should execute.
        </p>
      </EditForm>
    </Modal>
  );
}
