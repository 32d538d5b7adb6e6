import { uuidv7 } from "@towpath/contract";
import type { Deps, Tx } from "../kernel/index.ts";
import type { Entering } from "./step.ts";
import {
  insertBehind,
  insertNeeds,
  insertWaitLists,
  lockWaitLists,
  longWaitLists,
  type NewWaitList,
  type RunKind,
  refreshWaitLists,
  selectWaitLists,
} from "./store/wait-lists.ts";

function runKey({ deploymentId, pool, queue }: RunKind): string {
  return `run ${deploymentId} ${pool} ${queue ?? ""}`;
}

/**
 * The wait lists for runs of these kinds; missing ones are created. Call it before locking any limit.
 * @returns wait list ids in the order of `kinds`
 */
export async function findWaitLists(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; kinds: readonly RunKind[] },
): Promise<string[]> {
  const { workspaceId } = args;
  const wanted = new Map(args.kinds.map((kind) => [runKey(kind), kind]));
  const keys = [...wanted.keys()];
  let found = await selectWaitLists(tx, { workspaceId, keys });
  if (found.size < wanted.size) {
    await lockWaitLists(tx, workspaceId);
    const lines = [...wanted].map(
      ([key, runs]): NewWaitList => ({ id: uuidv7(deps.clock.nowMs()), key, runs }),
    );
    await insertWaitLists(tx, { workspaceId, lines });
    await refreshWaitLists(tx, deps.clock, { workspaceId, which: { keys } });
    found = await selectWaitLists(tx, { workspaceId, keys });
  }
  return args.kinds.map((kind) => found.get(runKey(kind)) ?? "");
}

/** The wait list of task runs that need exactly these slots, by limit. Call it before locking any limit. */
export async function findTaskWaitList(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; needs: ReadonlyMap<string, number> },
): Promise<string> {
  const { workspaceId } = args;
  const key = `task ${[...args.needs]
    .map(([id, amount]) => `${id}:${amount}`)
    .sort()
    .join(" ")}`;
  const known = (await selectWaitLists(tx, { workspaceId, keys: [key] })).get(key);
  if (known !== undefined) return known;
  await lockWaitLists(tx, workspaceId);
  await insertWaitLists(tx, { workspaceId, lines: [{ id: uuidv7(deps.clock.nowMs()), key, runs: null }] });
  const waitListId = (await selectWaitLists(tx, { workspaceId, keys: [key] })).get(key) ?? "";
  await insertNeeds(tx, { waitListId, needs: args.needs });
  return waitListId;
}

/**
 * Adds requests to long wait lists, where they cannot be next, without locking limits. So creating many runs for a full
 * limit is as fast as creating runs without a limit.
 * @returns the requests whose wait lists are not long
 */
export async function enterBehind(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; entering: readonly Entering[] },
): Promise<Entering[]> {
  const { workspaceId } = args;
  const patient = args.entering.filter((one) => one.refuseOn === null);
  if (patient.length === 0) return [...args.entering];
  const waitListIds = [...new Set(patient.map((one) => one.waitListId))];
  const long = await longWaitLists(tx, { workspaceId, waitListIds });
  const behind = patient.filter((one) => long.has(one.waitListId));
  if (behind.length > 0) {
    const rows = behind.map(({ refuseOn: _, ...one }) => ({ ...one, id: uuidv7(deps.clock.nowMs()) }));
    await insertBehind(tx, deps.clock, { workspaceId, behind: rows });
  }
  return args.entering.filter((one) => !behind.includes(one));
}
