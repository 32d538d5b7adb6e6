import {
  type Called,
  type CalledRun,
  COLLISION_PROTOCOL,
  deploymentPartsOf,
  Problem,
  startableNames,
  type Call as WireCall,
} from "@towpath/contract";
import type { z } from "zod";
import { firstDeployment, getVersion } from "../../deployments/index.ts";
import { type Deps, inTransaction, type Queryable, type Tx, type WorkerScope } from "../../kernel/index.ts";
import { createIn } from "../create/create.ts";
import { markDependents, saveParent } from "../dependents/store.ts";
import { findKnownRun, type KnownRun } from "../history/kept-children.ts";
import { calledJob, recordHandle } from "../jobs/ask.ts";
import { lockAttempts, lockRun } from "../moves/locks.ts";
import type { AttemptRow } from "../table.ts";
import { askWait, calledWaitOf, lockForAsking } from "./ask.ts";
import { awaitSlots, giveSlotsBack, type Take, takeSlots } from "./slots.ts";
import { startTask } from "./start-task.ts";

/** A flow's call, parsed by the contract. */
export type FlowCall = Required<z.output<typeof WireCall>>;

const NEVER = new AbortController().signal;

/**
 * Answers a call of a running flow. A call that starts a run is idempotent by its id, which is the new run's id: a flow
 * that runs again finds the child that it started before, whatever it asks for now. The first call creates a wait and
 * each call answers it, see `askWait`.
 * @throws Problem `stale-fence`; `forbidden` if the signed spec does not let the flow start that deployment, or the
 * attempt is being stopped; `deployment-not-found`; `invalid-parameters`; `run-id-conflict`; `run-not-found`;
 * `limit-not-found`; `slots-held`; `too-many-waits`.
 * @param signal Ends the wait for slots early.
 */
export async function call(
  deps: Deps,
  worker: WorkerScope,
  request: FlowCall,
  signal: AbortSignal = NEVER,
): Promise<Called> {
  const { workspaceId } = worker;
  const asked = request.call;
  if (asked.kind === "wait") return callWait(deps, worker, { ...request, call: asked });
  if (asked.kind === "take-slots") return callSlots(deps, worker, { ...request, call: asked }, signal);
  const runId = await inTransaction(deps, async (tx) => {
    const held = await fenced(tx, worker, request);
    if (asked.kind === "get-run") return asked.runId;
    if (asked.kind === "start-run") return startRun(tx, deps, { held, callId: request.callId, ...asked });
    if (asked.kind === "start-task") return startTask(tx, deps, { held, callId: request.callId, ...asked });
    if (asked.kind === "job-handle")
      await recordHandle(tx, deps, { held, jobId: request.callId, handle: asked.handle });
    else giveSlotsBack(tx, deps, { held, keys: asked.keys });
    return held.runId;
  });
  return calledOf(await knownRun(deps.database.db, { workspaceId, runId }), worker);
}

async function callSlots(
  deps: Deps,
  worker: WorkerScope,
  request: FlowCall & { call: Take },
  signal: AbortSignal,
): Promise<Called> {
  const { workspaceId } = worker;
  const { attemptId, call: take } = request;
  const { runId, free } = await inTransaction(deps, async (tx) => {
    const held = await fenced(tx, worker, request);
    return { runId: held.runId, free: await takeSlots(tx, deps, { held, requests: take.requests }) };
  });
  const called = calledOf(await knownRun(deps.database.db, { workspaceId, runId }), worker);
  return { ...called, ...(await awaitSlots(deps, { workspaceId, attemptId, take, free, signal })) };
}

async function callWait(
  deps: Deps,
  worker: WorkerScope,
  request: FlowCall & { call: Extract<FlowCall["call"], { kind: "wait" }> },
): Promise<Called> {
  const { workspaceId } = worker;
  const { path, wait: asked } = request.call;
  const { callId } = request;
  const { row, job } = await inTransaction(deps, async (tx) => {
    await lockForAsking(tx, { workspaceId, asked });
    const held = await fenced(tx, worker, request);
    const asking = { row: await askWait(tx, deps, { held, callId, path, asked }) };
    if (asked.kind !== "job") return { ...asking, job: undefined };
    return { ...asking, job: await calledJob(tx, { held, jobId: callId, asked }) };
  });
  const runId = row.childRunId;
  const isOver = runId !== null && row.state === "satisfied";
  const run = isOver ? calledOf(await knownRun(deps.database.db, { workspaceId, runId }), worker) : null;
  return { ...calledWaitOf(row, run), ...(job !== undefined && { job }) };
}

async function fenced(tx: Tx, worker: WorkerScope, fence: FlowCall): Promise<AttemptRow> {
  const { workspaceId, workerId } = worker;
  const [held] = await lockAttempts(tx, { workspaceId, attemptIds: [fence.attemptId] });
  const current =
    held !== undefined &&
    held.epoch === fence.epoch &&
    held.nonce === fence.nonce &&
    held.workerId === workerId &&
    held.startedAt !== null &&
    held.endedAt === null;
  if (!current)
    throw new Problem("stale-fence", `Attempt ${fence.attemptId} has ended, or belongs to another claim.`);
  return held;
}

async function startRun(
  tx: Tx,
  deps: Deps,
  args: { held: AttemptRow; callId: string } & Extract<FlowCall["call"], { kind: "start-run" }>,
): Promise<string> {
  const { workspaceId, runId } = args.held;
  const known = await findKnownRun(tx, { workspaceId, runId: args.callId });
  if (known !== null) return sameChild(known, args);
  const parent = await lockRun(tx, { workspaceId, runId });
  if (parent === null || args.held.state !== "running") {
    throw new Problem("forbidden", "The run is being stopped, so it cannot start another run.");
  }
  const { spec } = await getVersion(tx, { workspaceId, versionId: parent.versionId });
  const names = startableNames(spec, args.deployment);
  if (names.length === 0) {
    throw new Problem(
      "forbidden",
      `The signed spec of "${parent.deployment}" does not let it start "${args.deployment}": add it to mayStart and deploy again.`,
    );
  }
  const deployment = await firstDeployment(tx, { workspaceId, names });
  await markDependents(tx, { workspaceId, runIds: [runId] });
  const child = await createIn(tx, deps, {
    workspaceId,
    request: {
      id: args.callId,
      deployment,
      parameters: args.parameters,
      priority: parent.priority,
      tags: [],
    },
    trigger: { kind: "run", runId, path: args.path },
  });
  const onParentEnd = args.onParentEnd ?? "abandon";
  await saveParent(tx, { workspaceId, runId: child, parentId: runId, onParentEnd });
  return child;
}

/** The run of this call, unless this flow did not start the run with that id. */
function sameChild(known: KnownRun, args: { held: AttemptRow; deployment: string }): string {
  // A name without a stage may have meant the deployment of the flow's stage.
  const isNamed =
    known.deployment === args.deployment ||
    deploymentPartsOf(known.deployment).deployment === args.deployment;
  if (known.startedBy === args.held.runId && isNamed) return known.id;
  throw new Problem("run-id-conflict", `Run ${known.id} was created by a different request.`);
}

/** @throws Problem `run-not-found`, also for a run that no run started and whose history is deleted. */
async function knownRun(from: Queryable, args: { workspaceId: string; runId: string }): Promise<KnownRun> {
  const known = await findKnownRun(from, args);
  if (known !== null) return known;
  throw new Problem("run-not-found", `There is no run ${args.runId}, or its history was deleted.`);
}

function calledOf(row: KnownRun, { protocol = 1 }: WorkerScope): CalledRun {
  // A worker of an earlier release refuses an answer with a cause that it does not know.
  const cause = row.cause === "collision" && protocol < COLLISION_PROTOCOL ? "user" : row.cause;
  return { runId: row.id, state: row.state, cause, result: row.result, error: row.error };
}
