import type { Scene } from "../scene.ts";
import type { KindName } from "../travel/kinds.ts";

/** One row of the matrix: a fault and its target. */
export interface Case {
  readonly name: string;
  readonly embedded?: boolean;
  /** Also deploys the flows with waits, limits and schedules. */
  readonly loads?: boolean;
  /** The way in which the case's database goes back in time. */
  readonly travel?: KindName;
  /** Environment of the control plane. Its failpoints are armed from the start. */
  controlEnv?(scene: { readonly nth: (most: number) => number }): NodeJS.ProcessEnv;
  /** More environment variables for every worker. */
  readonly workerEnv?: NodeJS.ProcessEnv;
  /**
   * Starts workers and runs, injects the fault, and stops it. Throws if the fault did not happen, so that a case which tests nothing
   * cannot pass.
   */
  act(scene: Scene): Promise<void>;
  /** Checks more than the invariants. @returns A sentence for each breach. */
  expect?(scene: Scene): Promise<string[]>;
}

/** @returns What is wrong, unless every run that was not cancelled completed. */
export async function allCompleted(scene: Scene): Promise<string[]> {
  const ids = scene.runs
    .filter(({ cancelledAt, cancelForgotten = false }) => cancelledAt === null && !cancelForgotten)
    .map(({ id }) => id);
  const rows = await scene.sql<{ id: string; state: string; cause: string | null }[]>`
    select id, state, cause from run where id = any(${ids}) and state <> 'completed'`;
  return rows.map(({ id, state, cause }) => `run ${id} is ${state} (${cause}), not completed`);
}

/** @returns What is wrong, unless every run completed in its first attempt. */
export async function allAtOnce(scene: Scene): Promise<string[]> {
  const rows = await scene.sql<{ id: string; attempts: number }[]>`
    select id, attempts from run where attempts <> 1`;
  return [
    ...(await allCompleted(scene)),
    ...rows.map(({ id, attempts }) => `run ${id} took ${attempts} attempts`),
  ];
}
