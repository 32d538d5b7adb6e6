import { uuidv7 } from "@towpath/contract";
import type { Deps, Tx } from "../kernel/index.ts";
import {
  findLines,
  insertLines,
  insertNeeds,
  lockLines,
  type RunKind,
  refreshLines,
  type WantedLine,
} from "./store/lines.ts";

function runKey({ deploymentId, pool, queue }: RunKind): string {
  return `run ${deploymentId} ${pool} ${queue ?? ""}`;
}

/**
 * The lines where runs of these kinds wait, made if they are not there. Before any limit's lock is taken.
 * @returns line ids in the order of `kinds`
 */
export async function linesOfRuns(
  tx: Tx,
  deps: Deps,
  a: { workspaceId: string; kinds: readonly RunKind[] },
): Promise<string[]> {
  const { workspaceId } = a;
  const wanted = new Map(a.kinds.map((kind) => [runKey(kind), kind]));
  const keys = [...wanted.keys()];
  let found = await findLines(tx, { workspaceId, keys });
  if (found.size < wanted.size) {
    await lockLines(tx, workspaceId);
    const lines = [...wanted].map(
      ([key, runs]): WantedLine => ({ id: uuidv7(deps.clock.nowMs()), key, runs }),
    );
    await insertLines(tx, { workspaceId, lines });
    await refreshLines(tx, deps.clock, { workspaceId });
    found = await findLines(tx, { workspaceId, keys });
  }
  return a.kinds.map((kind) => found.get(runKey(kind)) ?? "");
}

/** The line of task runs that need just these slots, by limit. Before any limit's lock is taken. */
export async function lineOfTasks(
  tx: Tx,
  deps: Deps,
  a: { workspaceId: string; needs: ReadonlyMap<string, number> },
): Promise<string> {
  const { workspaceId } = a;
  const key = `task ${[...a.needs]
    .map(([id, amount]) => `${id}:${amount}`)
    .sort()
    .join(" ")}`;
  const known = (await findLines(tx, { workspaceId, keys: [key] })).get(key);
  if (known !== undefined) return known;
  await lockLines(tx, workspaceId);
  await insertLines(tx, { workspaceId, lines: [{ id: uuidv7(deps.clock.nowMs()), key, runs: null }] });
  const lineId = (await findLines(tx, { workspaceId, keys: [key] })).get(key) ?? "";
  await insertNeeds(tx, { lineId, needs: a.needs });
  return lineId;
}
