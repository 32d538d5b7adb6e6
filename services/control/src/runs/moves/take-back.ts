import { sql } from "#sql";
import {
  type Clock,
  columns,
  now,
  type RawRow,
  rowOf,
  rows,
  type Tx,
  type WorkerScope,
} from "../../kernel/index.ts";
import type { FenceOf } from "../lease/store.ts";
import { type AttemptRow, attempt } from "../table.ts";
import { after } from "./locks.ts";

/**
 * Writes a claim that was given before the database went back, as a claim does: a short lease, sequences from 1. Null: the attempt has
 * moved on. Primary key.
 */
export async function takeBackAttempt(
  tx: Tx,
  clock: Clock,
  args: { held: AttemptRow; worker: WorkerScope; fence: FenceOf; claimLeaseMs: number },
): Promise<AttemptRow | null> {
  const { held, worker, fence } = args;
  const [raw] = await rows<RawRow>(
    tx,
    sql`update attempt c set state = 'claimed', epoch = ${fence.epoch}, nonce = ${fence.nonce}, worker_id = ${worker.workerId},
        worker_name = (select w.name from worker w where w.workspace_id = ${held.workspaceId} and w.id = ${worker.workerId}),
        told_generation = ${worker.generation}, told_seq = 0, lease_expires_at = ${after(clock, args.claimLeaseMs)},
        claimed_at = ${now(clock)}, not_before = null, control_acked = 0, bulk_acked = 0, line_base = c.next_line
      where c.workspace_id = ${held.workspaceId} and c.id = ${held.id} and c.state in ('ready', 'claimed')
        and c.started_at is null and c.epoch < ${fence.epoch}
      returning ${columns(attempt, "c")}`,
  );
  return raw === undefined ? null : rowOf(attempt, raw);
}
