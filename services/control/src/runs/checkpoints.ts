import { type Checkpoint, type CheckpointPage, checkpointsMax, type Fence, Problem } from "@towpath/contract";
import { z } from "zod";
import { type Deps, pageOf, readCursor, type WorkerScope } from "../kernel/index.ts";
import { sameFence } from "./claim/commands.ts";
import { findAttempt, listCheckpointRows } from "./store/checkpoints.ts";
import type { AttemptRow, TaskRunRow } from "./table.ts";

/**
 * What the attempts of a run before this one have left for it to go on from, oldest first: refs, by path. Under the fence of
 * the attempt that asks, so that a worker sees those of the runs it is given, and of no others.
 * @throws Problem `stale-fence`; `bad-request` for a cursor that no page gave out.
 */
export async function listCheckpoints(
  deps: Deps,
  worker: WorkerScope,
  a: z.infer<typeof Fence> & { after: string | null },
): Promise<CheckpointPage> {
  const held = await heldUnder(deps, worker, a);
  const [attempt, ord] = readCursor(a.after ?? undefined, z.tuple([z.int32(), z.int()])) ?? [0, 0];
  const { workspaceId, runId } = held;
  const found = await listCheckpointRows(deps.database.db, {
    ...{ workspaceId, runId, before: held.ordinal },
    ...{ limit: checkpointsMax + 1, after: { attempt, ord } },
  });
  return pageOf(found, {
    limit: checkpointsMax,
    item: checkpointOf,
    key: (row) => [row.attempt, row.ord],
  });
}

async function heldUnder(deps: Deps, worker: WorkerScope, fence: z.infer<typeof Fence>): Promise<AttemptRow> {
  const { workspaceId, workerId } = worker;
  const held = await findAttempt(deps.database.db, { workspaceId, attemptId: fence.attemptId });
  const isCurrent =
    held !== null &&
    held.nonce !== null &&
    held.workerId === workerId &&
    held.endedAt === null &&
    sameFence({ attemptId: held.id, epoch: held.epoch, nonce: held.nonce }, fence);
  if (!isCurrent)
    throw new Problem("stale-fence", `Attempt ${fence.attemptId} is not held under this fence.`);
  return held;
}

function checkpointOf(row: TaskRunRow): Checkpoint {
  const { path, kind, codeVersion, inputHash, result } = row;
  const at = (row.endedAt ?? row.createdAt).toISOString();
  return { path, kind, own: true, at, codeVersion, inputHash, result };
}
