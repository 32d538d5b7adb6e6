import { Id } from "@towpath/contract";
import { z } from "zod";
import { readFileIfAny, StateError, writeFileAtomic } from "./atomic-file.ts";

/** The database of the control plane as this worker last saw it. */
const Met = z.object({
  incarnation: Id.nullable(),
  position: z.number().nullable().default(null).describe("Null: not known yet."),
});
export type Met = z.infer<typeof Met>;

const IdentityFile = Met.extend({ workerId: Id });

/** The identity of a worker, kept in its state directory. */
export interface WorkerIdentity {
  readonly workerId: string;
  /** The control plane's database as it was last stored. */
  readonly met: Met;
  /** Stores it. When it resolves, the disk has it. */
  meet(met: Met): Promise<void>;
}

/**
 * Reads a worker's identity, or makes one.
 * @param newId Called when there is none yet.
 * @throws StateError when the file is damaged.
 */
export async function openIdentity(path: string, newId: () => string): Promise<WorkerIdentity> {
  let known = await readIdentity(path);
  if (!known) {
    known = { workerId: newId(), incarnation: null, position: null };
    await writeFileAtomic(path, JSON.stringify(known));
  }
  const { workerId, ...before } = known;
  let met: Met = before;
  let writing = Promise.resolve();
  return {
    workerId,
    get met() {
      return met;
    },
    async meet(next) {
      const turn = writing.then(() => writeFileAtomic(path, JSON.stringify({ workerId, ...next })));
      writing = turn.catch(() => {});
      await turn;
      met = next;
    },
  };
}

async function readIdentity(path: string): Promise<z.infer<typeof IdentityFile> | null> {
  const text = await readFileIfAny(path);
  if (text === null) return null;
  try {
    return IdentityFile.parse(JSON.parse(text));
  } catch {
    throw new StateError(`${path} is damaged. Delete it: the worker then registers as a new worker.`);
  }
}
