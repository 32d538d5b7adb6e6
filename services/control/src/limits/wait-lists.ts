import { createHash } from "node:crypto";
import { uuidv7 } from "@towpath/contract";
import type { SQL } from "#sql";
import type { Deps, Tx } from "../kernel/index.ts";
import type { Entering } from "./step.ts";
import { selectLimitedTags } from "./store/limits.ts";
import {
  insertBehind,
  insertNeeds,
  insertWaitLists,
  listUntagged,
  lockTags,
  lockWaitLists,
  longWaitLists,
  moveWaits,
  type NewWaitList,
  type RunKind,
  refreshWaitLists,
  selectWaitLists,
} from "./store/wait-lists.ts";

/** Tags can be longer than an index entry, so the key has their hash. */
function runKey({ deploymentId, pool, queue, tags }: RunKind): string {
  const key = `run ${deploymentId} ${pool} ${queue ?? ""}`;
  if (tags.length === 0) return key;
  return `${key} ${createHash("sha256").update(JSON.stringify(tags)).digest("hex")}`;
}

/**
 * Which of these tags have limits, for runs that are about to enter wait lists. Until the end of the transaction no other
 * tag gets a limit. Call it before locking any limit.
 */
export async function limitedTags(
  tx: Tx,
  args: { workspaceId: string; tags: readonly string[] },
): Promise<ReadonlySet<string>> {
  if (args.tags.length === 0) return new Set();
  await lockTags(tx, { workspaceId: args.workspaceId, mode: "shared" });
  return selectLimitedTags(tx, args);
}

/**
 * Moves waiting runs that carry a tag to the wait lists with the limit of the tag, which is new. They keep their positions.
 * The caller holds `lockTags` exclusively and `lockWaitLists`.
 * @param args.isTagged Whether the run of a row `w` of slot_wait carries the tag.
 */
export async function moveTagged(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; tag: string; isTagged: SQL },
): Promise<void> {
  const { workspaceId, tag, isTagged } = args;
  const lists = await listUntagged(tx, args);
  if (lists.length === 0) return;
  const kinds = lists.map((list) => ({ ...list, tags: [...list.tags, tag].sort() }));
  const targets = await findWaitLists(tx, deps, { workspaceId, kinds });
  const moves = lists.map(({ id }, index) => ({ from: id, to: targets[index] ?? id }));
  await moveWaits(tx, deps.clock, { workspaceId, moves, isMoved: isTagged });
}

/**
 * The wait lists for runs of these kinds, whose tags all have limits and are sorted; missing ones are created. Call it
 * before locking any limit.
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
