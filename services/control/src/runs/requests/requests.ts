import type { Run, Trigger } from "@towpath/contract";
import { cleanInstant, type Deps, inTransaction, reachDisk, type Scope } from "../../kernel/index.ts";
import { createAtOnce, isAwaited, type Waiting } from "../create/at-once.ts";
import { createIn, type RunRequest } from "../create/create.ts";
import { CANCEL_TRIES_MAX, cancelIn, changesTooFast } from "../end/cancel.ts";
import { getRun } from "../read/read.ts";
import { awaitedRunOf } from "../read/wire.ts";

/**
 * Asks for one execution of a deployment's latest version, on behalf of a person or key. Idempotent by run id and by
 * idempotency key: the run that is there is answered, in whatever state it is.
 * @throws Problem `run-id-conflict` if the id or key stands for another request; `deployment-not-found`;
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
  // What is found may be what another request has made and not answered yet.
  if (made === null) await reachDisk(deps.database.db);
  return getRun(deps, scope, { runId, from: deps.database.db });
}

/**
 * Asks that a run end: at once if no process holds it and no external job of it is to be cancelled first, else by telling its
 * worker, and those that tend its jobs. Repeating it changes nothing, also
 * after the run has ended: it is answered as it is.
 * @throws Problem `run-not-found`; `run-transition-not-allowed` if it had ended before anybody asked.
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
