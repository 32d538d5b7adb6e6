import type { Scene } from "../scene.ts";
import type { KindName } from "../travel/kinds.ts";

/** One row of the matrix: a fault, and who suffers it. */
export interface Case {
  readonly name: string;
  readonly embedded?: boolean;
  /** Whether the flows with waits, limits and for schedules are deployed as well. */
  readonly loads?: boolean;
  /** The way in which the case's database goes back in time. */
  readonly travel?: KindName;
  /** The control plane's environment; its failpoints are armed from the start. */
  controlEnv?(scene: { readonly nth: (most: number) => number }): NodeJS.ProcessEnv;
  /** What every worker's environment holds besides. */
  readonly workerEnv?: NodeJS.ProcessEnv;
  /**
   * Starts workers and runs, strikes, and stops striking. Throws if the fault did not come about, so that a case which tests
   * nothing cannot pass.
   */
  act(scene: Scene): Promise<void>;
  /** What must hold beside the invariants; a sentence about what does not. */
  expect?(scene: Scene): Promise<string[]>;
}

/** @returns What is wrong unless every run that nobody cancelled was completed. */
export async function allCompleted(scene: Scene): Promise<string[]> {
  const ids = scene.runs
    .filter(({ cancelledAt, cancelForgotten = false }) => cancelledAt === null && !cancelForgotten)
    .map(({ id }) => id);
  const rows = await scene.sql<{ id: string; state: string; cause: string | null }[]>`
    select id, state, cause from run where id = any(${ids}) and state <> 'completed'`;
  return rows.map(({ id, state, cause }) => `run ${id} is ${state} (${cause}), not completed`);
}

/** @returns What is wrong unless every run was completed in its first attempt. */
export async function allAtOnce(scene: Scene): Promise<string[]> {
  const rows = await scene.sql<{ id: string; attempts: number }[]>`
    select id, attempts from run where attempts <> 1`;
  return [
    ...(await allCompleted(scene)),
    ...rows.map(({ id, attempts }) => `run ${id} took ${attempts} attempts`),
  ];
}
