import { type Limit, type Pool, Problem, type Queue } from "@towpath/contract";
import { useState } from "react";
import { client } from "../kernel/client.ts";
import { DeleteForm, EditForm, FormField, useSave } from "../kernel/edit-form.tsx";
import { refusalOf } from "../kernel/form-texts.ts";
import { Modal } from "../kernel/modal.tsx";
import { effectText, slotsIn } from "../limits/limit-texts.ts";

/** The lists that show queues, by the first words of their keys. */
const LISTS = ["queues", "limits", "pools"] as const;
const PATHS = ["queue", "priority", "slots"] as const;

/** A queue with its limit, as they were read. */
interface Known {
  readonly queue: Queue;
  readonly limit: Limit | null;
}

/** The texts of the form of a queue. */
interface Texts {
  readonly name: string;
  readonly priority: string;
  /** How many of its runs may execute at once. Empty: any number. */
  readonly slots: string;
}

function textsOf(known: Known | null): Texts {
  if (known === null) return { name: "", priority: "0", slots: "" };
  const { queue, limit } = known;
  return {
    name: queue.name,
    priority: String(queue.priority),
    slots: limit === null ? "" : String(limit.slots),
  };
}

/** Reads a queue and its limit. Null: there is no such queue any more. */
async function readKnown(pool: string, queue: string): Promise<Known | null> {
  const [queues, limits] = await Promise.all([
    client.listQueues({ params: { name: pool } }),
    client.listLimits({ query: { kind: "queue", name: `${pool}/${queue}` } }),
  ]);
  const found = queues.items.find(({ name }) => name === queue);
  return found === undefined ? null : { queue: found, limit: limits.items[0] ?? null };
}

/** Sets, changes or removes the limit of a queue, unless it is as wanted. */
async function saveLimit(args: { name: string; slots: number | null; before: Limit | null }): Promise<void> {
  const { name, slots, before } = args;
  if (slots === (before?.slots ?? null)) return;
  if (slots === null) {
    if (before === null) return;
    const { id, updatedAt } = before;
    await client.deleteLimit({ params: { limitId: id }, query: { ifUpdatedAt: updatedAt } });
    return;
  }
  const { perMs, collision, updatedAt } = before ?? { perMs: null, collision: "enqueue", updatedAt: null };
  const body = { kind: "queue", name, slots, perMs, collision, ifUpdatedAt: updatedAt } as const;
  await client.setLimit({ body });
}

/**
 * Saves a queue, then its limit. A repeated call continues where an earlier one stopped.
 * @param args.onQueue receives the queue once it is saved. The next call passes it as `saved`.
 * @throws Problem `bad-request` with the path of each faulty field.
 */
async function save(
  pool: Pool,
  args: {
    texts: Texts;
    known: Known | null;
    saved: Queue | null;
    onQueue: (queue: Queue) => void;
  },
): Promise<Queue> {
  const { texts, known, saved } = args;
  const name = texts.name.trim();
  const priority = Number(texts.priority);
  const slots = slotsIn(texts.slots);
  const faults = [
    ...(texts.priority.trim() === "" || !Number.isInteger(priority) || Math.abs(priority) > 100
      ? [{ path: "priority", message: "Write a whole number from -100 to 100." }]
      : []),
    ...(texts.slots.trim() !== "" && slots === null
      ? [{ path: "slots", message: "Write a whole number, or leave the field empty." }]
      : []),
  ];
  if (faults.length > 0) throw refusalOf(faults);
  const before = saved?.name === name ? saved : known?.queue;
  const queue = await client.setQueue({
    params: { name: pool.name },
    body: { queue: name, priority, ifPriority: before?.priority ?? null },
  });
  args.onQueue(queue);
  await saveLimit({ name: `${pool.name}/${queue.name}`, slots, before: known?.limit ?? null });
  return queue;
}

/** The runs that count towards the limit of a queue now. */
function loadOf(known: Known | null): { taken: number; waiting: number } {
  if (known === null) return { taken: 0, waiting: 0 };
  const { queue, limit } = known;
  return { taken: limit?.taken ?? queue.ready + queue.running, waiting: limit?.waiting ?? 0 };
}

interface FormProps {
  readonly pool: Pool;
  /** Null: a new queue. */
  readonly known: Known | null;
  readonly onReload: () => Promise<void>;
  readonly onDelete: () => void;
  readonly onClose: () => void;
}

function QueueForm({ pool, known, onReload, onDelete, onClose }: FormProps) {
  const [texts, setTexts] = useState(() => textsOf(known));
  /** The queue as this form has saved it, if its limit could not be saved after that. */
  const [saved, setSaved] = useState<Queue | null>(null);
  const change = (some: Partial<Texts>) => setTexts((all) => ({ ...all, ...some }));
  const saving = useSave({
    save: () => save(pool, { texts, known, saved, onQueue: setSaved }),
    lists: LISTS,
    said: ({ name }) => `${known ? "Changed" : "Created"} the queue ${name} of ${pool.name}.`,
    onClose,
  });
  const slots = slotsIn(texts.slots);
  return (
    <EditForm
      does={known ? "Save" : "Create the queue"}
      saving={saving}
      paths={PATHS}
      onReload={onReload}
      onDelete={known ? onDelete : undefined}
      onClose={onClose}
    >
      {known === null && (
        <FormField path="queue" name="Name" hint="lower-case letters, digits, - and _">
          {(attributes) => (
            <input
              {...attributes}
              required
              autoComplete="off"
              placeholder="urgent"
              className="field aria-invalid:border-bad"
              value={texts.name}
              onChange={(event) => change({ name: event.target.value })}
            />
          )}
        </FormField>
      )}
      <FormField path="priority" name="Priority" hint="-100 to 100; runs without a queue have 0">
        {(attributes) => (
          <input
            {...attributes}
            autoComplete="off"
            className="field aria-invalid:border-bad"
            value={texts.priority}
            onChange={(event) => change({ priority: event.target.value })}
          />
        )}
      </FormField>
      <FormField path="slots" name="Runs at once" hint="empty: no limit">
        {(attributes) => (
          <input
            {...attributes}
            inputMode="numeric"
            autoComplete="off"
            placeholder="no limit"
            className="field aria-invalid:border-bad"
            value={texts.slots}
            onChange={(event) => change({ slots: event.target.value })}
          />
        )}
      </FormField>
      <p role="status" className="text-12 text-soft">
        {slots === null
          ? "Runs in a queue of higher priority start first. A new priority also holds for runs that already wait."
          : effectText(slots, loadOf(known))}
      </p>
    </EditForm>
  );
}

function DeleteQueue({
  pool,
  known,
  onBack,
  onClose,
}: {
  pool: Pool;
  known: Known;
  onBack: () => void;
  onClose: () => void;
}) {
  const { queue, limit } = known;
  const saving = useSave({
    save: async () => {
      if (limit) await client.deleteLimit({ params: { limitId: limit.id } });
      await client.deleteQueue({ params: { name: pool.name, queue: queue.name } });
    },
    lists: LISTS,
    said: () => `Removed the queue ${queue.name} of ${pool.name}.`,
    onClose,
  });
  return (
    <DeleteForm does="Remove the queue" saving={saving} onBack={onBack}>
      <p>
        Runs that wait in it keep their position in the pool. {limit && "Its limit is removed too. "}Nothing
        that runs is stopped.
      </p>
      <p className="text-soft">The next deploy of a deployment that names this queue is refused.</p>
    </DeleteForm>
  );
}

/** A dialog that creates a queue of a pool, or changes or removes an existing one. */
export function QueueDialog({
  pool,
  queue,
  limit = null,
  onClose,
}: {
  pool: Pool;
  /** The queue to change. Absent: a new one. */
  queue?: Queue;
  /** The limit of that queue. */
  limit?: Limit | null;
  onClose: () => void;
}) {
  // Changes by other people arrive while the form is open. It keeps what its reader has seen.
  const [known, setKnown] = useState<Known | null>(queue ? { queue, limit } : null);
  const [isDeleting, setDeleting] = useState(false);
  const [round, setRound] = useState(0);
  const reload = async () => {
    if (queue === undefined) return;
    const found = await readKnown(pool.name, queue.name);
    if (found === null)
      throw new Problem("queue-not-found", `Pool "${pool.name}" has no queue "${queue.name}" any more.`);
    setKnown(found);
    setRound(round + 1);
  };
  const what = queue ? `queue ${queue.name} of ${pool.name}` : `queue of ${pool.name}`;
  const title = queue === undefined ? `New ${what}` : `${isDeleting ? "Remove" : "Edit"} ${what}`;
  return (
    <Modal title={isDeleting ? `${title}?` : title} onClose={onClose}>
      {isDeleting && known ? (
        <DeleteQueue pool={pool} known={known} onBack={() => setDeleting(false)} onClose={onClose} />
      ) : (
        <QueueForm
          key={round}
          pool={pool}
          known={known}
          onReload={reload}
          onDelete={() => setDeleting(true)}
          onClose={onClose}
        />
      )}
    </Modal>
  );
}
