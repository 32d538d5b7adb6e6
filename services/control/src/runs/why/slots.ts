import { sql } from "#sql";
import { type Clock, now, type Queryable, rows, textArray } from "../../kernel/index.ts";

/** A run that a worker could take, if one had room. */
export interface ReadyRun {
  readonly runId: string;
  readonly poolId: string;
  readonly pool: string;
  readonly needs: string;
}

/** Which of these runs are ready, and not kept back after a release. Primary key of run. */
export function listReadyRuns(
  from: Queryable,
  clock: Clock,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<ReadyRun[]> {
  return rows<ReadyRun>(
    from,
    sql`select r.id as "runId", r.pool_id as "poolId", r.pool, r.needs
      from run r join attempt t on t.workspace_id = r.workspace_id and t.id = r.attempt_id
      where r.workspace_id = ${args.workspaceId} and r.id = any(${textArray(args.runIds)}::uuid[]) and r.state = 'ready'
        and (t.not_before is null or t.not_before <= ${now(clock)})`,
  );
}

/** A slot of a worker that a run holds. */
export interface TakenSlot {
  readonly workerId: string;
  readonly runId: string;
  readonly needs: string;
}

/** The runs that hold the slots of these workers, at most `limit` of them. Index attempt_held. */
export function listTakenSlots(
  from: Queryable,
  args: { workspaceId: string; workerIds: readonly string[]; limit: number },
): Promise<TakenSlot[]> {
  return rows<TakenSlot>(
    from,
    sql`select h.worker_id as "workerId", h.run_id as "runId", h.needs from attempt h
      where h.worker_id = any(${textArray(args.workerIds)}::uuid[]) and h.workspace_id = ${args.workspaceId}
        and h.lease_expires_at is not null
      limit ${args.limit}`,
  );
}
