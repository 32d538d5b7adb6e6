import type { Scene } from "../scene.ts";
import { completedRan, noLeftovers, noOverlap, onceEach, readExecutions } from "./executions.ts";
import { staleChangesNothing } from "./fence.ts";
import { fencesRise, linesKept, readJournals } from "./journals.ts";
import { slotsKept } from "./slots.ts";
import {
  type Breach,
  cancelHolds,
  createdOnce,
  lawfulMoves,
  nothingHeld,
  oneLease,
  readTables,
} from "./tables.ts";
import { cameBack } from "./travel.ts";

export type { Breach } from "./tables.ts";

/** The outcome of a scene. */
export interface Findings {
  readonly breaches: readonly Breach[];
  readonly runs: number;
  /** How many processes ran an attempt's code. */
  readonly executions: number;
  /** How many attempts were admitted. */
  readonly attempts: number;
}

/**
 * Checks a scene after its faults: waits until every run has ended (invariant 5), stops the workers, then compares tables, journals
 * and the ledger. Invariant 12 is a case of its own: a worker with a wrong clock that must satisfy all the others.
 */
export async function checkInvariants(scene: Scene): Promise<Findings> {
  const open = await scene.settle();
  const breaches: Breach[] = open.map((seen) => ({ invariant: 5, seen }));
  const executions = await readExecutions(scene);
  breaches.push(...(await noLeftovers(open.length > 0 ? [] : executions)));
  await scene.stopWorkers();
  const tables = await readTables(scene);
  const journals = await readJournals(scene);
  breaches.push(
    ...(await createdOnce(scene, tables)),
    ...oneLease(tables),
    ...(await fencesRise(scene, journals)),
    ...onceEach(executions),
    ...(await lawfulMoves(scene, tables)),
    ...(await completedRan(scene, executions)),
    ...noOverlap(scene, executions),
    ...(await linesKept(scene, journals)),
    ...nothingHeld(tables),
    ...(await slotsKept(scene)),
    ...cancelHolds(scene, tables),
    ...(await cameBack(scene)),
    ...(await staleChangesNothing(scene)),
  );
  return {
    breaches,
    runs: scene.runs.length,
    executions: executions.length,
    attempts: tables.attempts.length,
  };
}
