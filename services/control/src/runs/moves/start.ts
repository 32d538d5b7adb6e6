import type { AttemptState, RunState } from "@towpath/contract";
import { sql } from "#sql";
import {
  type Clock,
  columns,
  now,
  numberArray,
  type RawRow,
  rowOf,
  rows,
  type Tx,
  textArray,
} from "../../kernel/index.ts";
import { type AttemptRow, attempt } from "../table.ts";
import { insertRunChanges } from "./changes.ts";
import { after } from "./locks.ts";

/** An attempt's start, and the control record that told of it. */
export interface AttemptStart {
  readonly attemptId: string;
  readonly seq: number;
}

/** A move's guard and target, decided. */
interface Guard<State> {
  readonly from: readonly State[];
  readonly to: State;
}

/**
 * Starts attempts and their runs, and writes the changes of it, in one statement. Those that are not in `from` are missing
 * in the result. The caller wakes the sequencer. Primary keys of attempt and run.
 */
export async function saveStarts(
  tx: Tx,
  clock: Clock,
  args: {
    workspaceId: string;
    starts: readonly AttemptStart[];
    attempt: Guard<AttemptState>;
    run: Guard<RunState>;
    leaseMs: number;
  },
): Promise<{ row: AttemptRow; runMoved: boolean }[]> {
  const ids = textArray(args.starts.map((start) => start.attemptId));
  const seqs = numberArray(args.starts.map((start) => start.seq));
  const raws = await rows<RawRow & { run_moved: boolean }>(
    tx,
    sql`with started as (
        update attempt s set state = ${args.attempt.to}, started_at = ${now(clock)}, lease_expires_at = ${after(clock, args.leaseMs)},
          control_acked = (${seqs}::bigint[])[array_position(${ids}::uuid[], s.id)]
        where s.workspace_id = ${args.workspaceId} and s.id = any(${ids}::uuid[])
          and s.state = any(${textArray(args.attempt.from)}::text[])
        returning s.*
      ), moved as (
        update run m set state = ${args.run.to}, started_at = coalesce(m.started_at, ${now(clock)})
        where m.workspace_id = ${args.workspaceId} and m.id = any(array(select run_id from started))
          and m.state = any(${textArray(args.run.from)}::text[])
        returning m.*
      ), changes as (${insertRunChanges(sql`moved`)})
      select ${columns(attempt, "t")}, t.run_id = any(array(select id from moved)) as run_moved from started t`,
  );
  return raws.map((raw) => ({ row: rowOf(attempt, raw), runMoved: raw.run_moved }));
}
