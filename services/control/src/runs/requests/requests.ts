import { Problem, type Run, type Trigger } from "@towpath/contract";
import { cleanInstant, type Deps, inTransaction, reachDisk, type Scope } from "../../kernel/index.ts";
import { createAtOnce, isAwaited, type Waiting } from "../create/at-once.ts";
import { createIn, type RunRequest } from "../create/create.ts";
import { CANCEL_TRIES_MAX, cancelIn, changesTooFast } from "../end/cancel.ts";
import { getRun } from "../read/read.ts";
import { awaitedRunOf } from "../read/wire.ts";

/**
 * Creates one run of a deployment's latest version, for a person or key. Idempotent by run id and by idempotency key: a
 * repeated request gets the existing run, in any state.
 * @throws Problem `run-id-conflict` if the id or key belongs to another request; `deployment-not-found`;
 * `invalid-parameters` with faults; `queue-not-found`; `payload-too-large`.
 */
export async function createRun(
  deps: Deps,
  scope: Scope,
  request: RunRequest,
  dispatchers?: Waiting,
): Promise<Run> {
  const trigger: Trigger = { kind: "person", name: scope.actor.name };
  const scheduledAt = request.scheduledAt && cleanInstant(request.scheduledAt).toISOString();
  const asked = { workspaceId: scope.workspaceId, request: { ...request, scheduledAt }, trigger };
  const isPlain = request.idempotencyKey === undefined && request.queue === undefined;
  const made = isPlain ? await createAtOnce(deps, asked, dispatchers) : null;
  if (made !== null && isAwaited(made, dispatchers)) return awaitedRunOf(made.row, made.by);
  const runId = made?.row.id ?? (await inTransaction(deps, (tx) => createIn(tx, deps, asked)));
  // Another request may have created the run and not answered yet.
  if (made === null) await reachDisk(deps.database.db);
  return getRun(deps, scope, { runId, from: deps.database.db }).catch((failure: unknown) => {
    const isRemoved = failure instanceof Problem && failure.code === "run-not-found";
    throw isRemoved ? takenByRemoved(runId) : failure;
  });
}

function takenByRemoved(runId: string): Problem {
  return new Problem(
    "run-id-conflict",
    `Run ${runId} was created by this request and has been removed since. To run again, send another id, and another idempotency key if you use one.`,
  );
}

/**
 * Cancels a run. Ends it at once if it has no process and no external job that must be cancelled first. Otherwise tells
 * its worker, and the workers that tend its jobs. Repeating it changes nothing, even after the run has ended.
 * @throws Problem `run-not-found`; `run-transition-not-allowed` if it had ended before the first request.
 */
export async function cancelRun(
  deps: Deps,
  scope: Scope,
  args: { runId: string; reason: string },
): Promise<Run> {
  const name = { workspaceId: scope.workspaceId, runId: args.runId };
  for (let tried = 1; ; tried++) {
    const settled = await inTransaction(deps, (tx) => cancelIn(tx, deps, { ...name, reason: args.reason }));
    if (settled) break;
    if (tried >= CANCEL_TRIES_MAX) throw changesTooFast(args.runId);
  }
  return getRun(deps, scope, { runId: args.runId, from: deps.database.db });
}
