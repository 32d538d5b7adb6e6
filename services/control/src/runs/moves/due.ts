import { RUN_TRANSITIONS, type RunState } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import {
  type Clock,
  columns,
  lockedOf,
  now,
  type Queryable,
  type RawRow,
  rowOf,
  rows,
  type Tx,
  textArray,
  type Which,
} from "../../kernel/index.ts";
import { isLimited } from "../../limits/index.ts";
import { type RunRow, run } from "../table.ts";

/** The most runs that one round makes ready. */
export const DUE_BATCH = 200;

/** Which run, in statements over a row `r` of run. */
export const runColumns = { workspaceId: sql`r.workspace_id`, id: sql`r.id` } as const;

/** Milliseconds until the first scheduled run is due, or null. Index run_due. */
export function untilDue(clock: Clock, among: Which["among"]): SQL {
  return sql`select extract(epoch from r.waits_until - ${now(clock)}) * 1000 from run r
    where r.waits_until is not null and ${among(runColumns)} order by r.waits_until limit 1`;
}

/** In the place of its deployment's id, for a run that is one task of another: its deployment's limits are not its own. */
export const NO_DEPLOYMENT = "00000000-0000-0000-0000-000000000000";

/** The deployment whose limits hold for a run, as SQL over a row `r` of run. */
export const limitedAs = {
  deploymentId: sql.raw(`case when r.task is null then r.deployment_id else '${NO_DEPLOYMENT}'::uuid end`),
  deployment: sql.raw("case when r.task is null then r.deployment else '' end"),
} as const;

/** Whether any limit holds for a run, as SQL over a row `r` of run. */
export const runIsLimited: SQL = isLimited({
  workspaceId: sql`r.workspace_id`,
  ...limitedAs,
  pool: sql`r.pool`,
  queue: sql`r.queue`,
});

/** A run that is due, and whether it needs slots to go. */
export interface DueRun {
  readonly workspaceId: string;
  readonly id: string;
  readonly limited: boolean;
}

/** Locks scheduled runs that are due, first due first; skips what somebody else holds. Index run_due. */
export function lockDue(from: Queryable, clock: Clock, which: Which): Promise<DueRun[]> {
  return rows<DueRun>(
    from,
    sql`select r.workspace_id as "workspaceId", r.id, ${runIsLimited} as limited from run r
      where r.state = 'scheduled' and r.waits_until <= ${now(clock)} and ${which.among(runColumns)}
      order by r.waits_until limit ${which.limit} ${lockedOf(which, sql`r`)}`,
  );
}

/** Moves locked runs from any of `from` to ready, each pointing at its next attempt. One statement for all. */
export async function makeReady(
  tx: Tx,
  args: {
    runs: readonly { workspaceId: string; id: string; attemptId: string }[];
    from: readonly RunState[];
  },
): Promise<RunRow[]> {
  const due = args.runs;
  if (due.length === 0) return [];
  const [ready] = RUN_TRANSITIONS.due.to;
  const raws = await rows<RawRow>(
    tx,
    sql`update run r set state = ${ready}, attempt_id = d.attempt_id, attempts = r.attempts + 1
      from unnest(${textArray(due.map((one) => one.workspaceId))}::uuid[],
        ${textArray(due.map((one) => one.id))}::uuid[],
        ${textArray(due.map((one) => one.attemptId))}::uuid[]) as d (workspace_id, id, attempt_id)
      where r.workspace_id = d.workspace_id and r.id = d.id
        and r.state = any(${textArray(args.from)}::text[])
      returning ${columns(run, "r")}`,
  );
  return raws.map((raw) => rowOf(run, raw));
}
