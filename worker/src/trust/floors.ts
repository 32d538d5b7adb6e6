import { z } from "zod";
import { readFileIfAny, StateError, writeFileAtomic } from "../state/atomic-file.ts";

const FloorsFile = z.record(z.string(), z.int().min(1));

/**
 * The highest floor seen for each deployment. Without this memory, whoever holds the control plane could
 * have an old, signed, vulnerable version run again.
 */
export interface Floors {
  /** The oldest version of a deployment that may still run. */
  current(workspaceId: string, deployment: string): number;
  /** Remembers a verified spec's floor, on disk when it resolves. A lower one changes nothing. */
  raise(args: { workspaceId: string; deployment: string; floor: number }): Promise<void>;
}

/**
 * Opens the memory of floors.
 * @throws StateError when the file is damaged: starting afresh would let old versions run.
 */
export async function openFloors(path: string): Promise<Floors> {
  const floors = new Map(Object.entries(await readFloors(path)));
  let writing: Promise<void> = Promise.resolve();
  let unwritten = false;
  const keyOf = (workspaceId: string, deployment: string) => `${workspaceId}/${deployment}`;
  return {
    current: (workspaceId, deployment) => floors.get(keyOf(workspaceId, deployment)) ?? 1,
    async raise({ workspaceId, deployment, floor }) {
      const key = keyOf(workspaceId, deployment);
      if (floor > (floors.get(key) ?? 1)) {
        floors.set(key, floor);
        unwritten = true;
      }
      // What could not be written before is tried again by whoever comes next, or it would be forgotten at the next start.
      const turn = writing.then(async () => {
        if (!unwritten) return;
        const text = JSON.stringify(Object.fromEntries(floors));
        unwritten = false;
        try {
          await writeFileAtomic(path, text);
        } catch (error) {
          unwritten = true;
          throw error;
        }
      });
      // A failed write must not fail the next one too; it does fail whoever waits for this one.
      writing = turn.catch(() => {});
      await turn;
    },
  };
}

async function readFloors(path: string): Promise<Record<string, number>> {
  const text = await readFileIfAny(path);
  if (text === null) return {};
  try {
    return FloorsFile.parse(JSON.parse(text));
  } catch {
    throw new StateError(
      `${path} is damaged. It keeps old versions from running again: restore it, or delete it if you accept that risk.`,
    );
  }
}
