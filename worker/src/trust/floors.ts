import { z } from "zod";
import { readFileIfAny, StateError, writeFileAtomic } from "../state/atomic-file.ts";

const FloorsFile = z.record(z.string(), z.int().min(1));

/**
 * The highest floor of each deployment. Without it, an attacker in the control plane could make an old, signed,
 * vulnerable version run again.
 */
export interface Floors {
  /** The oldest version of a deployment that may still run. */
  current(workspaceId: string, deployment: string): number;
  /** Stores a verified spec's floor. When it resolves, it is on disk. A lower floor changes nothing. */
  raise(args: { workspaceId: string; deployment: string; floor: number }): Promise<void>;
}

/**
 * Opens the stored floors.
 * @throws StateError when the file is damaged: without it, old versions could run.
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
      // A floor that could not be written is written with the next one, or a restart would forget it.
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
      // A failed write fails its own caller, not the next one.
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
