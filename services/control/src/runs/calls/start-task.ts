import { type Call, derivedId, Problem, remoteTaskIn } from "@towpath/contract";
import type { z } from "zod";
import { getVersion } from "../../deployments/index.ts";
import type { Deps, Tx } from "../../kernel/index.ts";
import { getPools } from "../../pools/index.ts";
import { createIn } from "../create/create.ts";
import { markDependents, saveParent } from "../dependents/store.ts";
import { findKnownRun, type KnownRun } from "../history/kept-children.ts";
import { lockRun } from "../moves/locks.ts";
import { hasEnded } from "../moves/state.ts";
import type { AttemptRow, RunRow } from "../table.ts";

type AskedTask = Extract<Required<z.output<typeof Call>>["call"], { kind: "start-task" }>;

/** A running flow's call of a task in another pool. */
export interface StartingTask extends AskedTask {
  /** Its attempt. The caller holds its lock and has checked its fence. */
  readonly held: AttemptRow;
  readonly callId: string;
}

/**
 * Starts a task of a run in another pool, as a run of the same version that runs this task alone. The same call returns
 * the same run, in later attempts too. If that run did not complete and the parent has been retried since, the task
 * runs anew.
 * @returns The id of the run.
 * @throws Problem `forbidden` if the signed spec does not allow it, or the parent is being stopped; `pool-not-found`.
 */
export async function startTask(tx: Tx, deps: Deps, args: StartingTask): Promise<string> {
  const { workspaceId, runId } = args.held;
  const parent = await lockRun(tx, { workspaceId, runId });
  if (parent === null || args.held.state !== "running")
    throw new Problem("forbidden", "The run is being stopped, so it cannot start a task.");
  const known = await earlierChild(tx, { parent, callId: args.callId });
  if (known !== null) return sameTask(known, args);
  const { spec } = await getVersion(tx, { workspaceId, versionId: parent.versionId });
  const { task, pool: name } = args;
  if (!remoteTaskIn(spec, task.name)?.pools.includes(name))
    throw new Problem(
      "forbidden",
      `The signed spec of "${parent.deployment}" does not let it run its task "${task.name}" in the pool "${name}".`,
    );
  const [pool] = await getPools(tx, { workspaceId, names: [name] });
  if (pool === undefined) throw new Problem("pool-not-found", `There is no work pool "${name}".`);
  await markDependents(tx, { workspaceId, runIds: [runId] });
  const { deployment, priority, versionId } = parent;
  const id = await childId(args.callId, parent.retries);
  const child = await createIn(tx, deps, {
    workspaceId,
    versionId,
    task: { name: task.name, pool },
    request: { id, deployment, parameters: {}, priority, tags: [] },
    trigger: { kind: "run", runId, path: args.path, task },
  });
  const onParentEnd = args.onParentEnd ?? "cancel";
  await saveParent(tx, { workspaceId, runId: child, parentId: runId, onParentEnd });
  return child;
}

/** The id of a call's run, for a number of retries of its parent. */
async function childId(callId: string, retries: number): Promise<string> {
  return retries === 0 ? callId : derivedId(callId, `retry ${retries}`);
}

/**
 * The latest run of a call that counts: a run that is live, that completed, or that ended since the parent's last
 * retry.
 */
async function earlierChild(tx: Tx, args: { parent: RunRow; callId: string }): Promise<KnownRun | null> {
  const { workspaceId, retries } = args.parent;
  for (let before = retries; before >= 0; before--) {
    const row = await findKnownRun(tx, { workspaceId, runId: await childId(args.callId, before) });
    if (row === null) continue;
    return before === retries || !hasEnded(row) || row.state === "completed" ? row : null;
  }
  return null;
}

function sameTask(known: KnownRun, args: StartingTask): string {
  if (known.startedBy === args.held.runId && known.task === args.task.name) return known.id;
  throw new Problem("run-id-conflict", `Run ${known.id} was created by a different request.`);
}
