import { Id } from "@towpath/contract";
import { z } from "zod";
import { readFileIfAny, writeFileAtomic } from "./atomic-file.ts";
import { StateError } from "./errors.ts";

const IdentityFile = z.object({ workerId: Id, incarnation: Id.nullable() });

/** Who a worker is to its control plane, kept in its state directory. */
export interface WorkerIdentity {
  readonly workerId: string;
  /** Whether the control plane's incarnation is another than the one remembered. */
  isAnother(incarnation: string): boolean;
  /** Remembers the control plane's incarnation. */
  meet(incarnation: string): Promise<void>;
}

/**
 * Reads a worker's identity, or makes one.
 * @param newId Called when there is none yet.
 * @throws StateError when the file is damaged.
 */
export async function openIdentity(path: string, newId: () => string): Promise<WorkerIdentity> {
  let known = await readIdentity(path);
  if (!known) {
    known = { workerId: newId(), incarnation: null };
    await writeFileAtomic(path, JSON.stringify(known));
  }
  let current = known;
  return {
    workerId: current.workerId,
    isAnother: (incarnation) => current.incarnation !== null && current.incarnation !== incarnation,
    async meet(incarnation) {
      if (current.incarnation === incarnation) return;
      const next = { ...current, incarnation };
      await writeFileAtomic(path, JSON.stringify(next));
      current = next;
    },
  };
}

async function readIdentity(path: string): Promise<z.infer<typeof IdentityFile> | null> {
  const text = await readFileIfAny(path);
  if (text === null) return null;
  try {
    return IdentityFile.parse(JSON.parse(text));
  } catch {
    throw new StateError(`${path} is damaged. Delete it: the worker then introduces itself as a new one.`);
  }
}
