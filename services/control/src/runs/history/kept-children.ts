import { type SQL, sql } from "#sql";
import { type Month, type Queryable, rows } from "../../kernel/index.ts";
import type { ChildOutcome, RunRow } from "../table.ts";
import { findRun, type RunName } from "./find.ts";
import { FORGET_MAX, startOf } from "./retention.ts";

/** A run as the flow that started it sees it. */
export interface KnownRun extends ChildOutcome {
  readonly id: string;
  /** The run that started it, if a run did. */
  readonly startedBy: string | null;
}

function knownOf(row: RunRow): KnownRun {
  const { id, deployment, task, state, cause, result, error, trigger } = row;
  const startedBy = trigger.kind === "run" ? trigger.runId : null;
  return { id, deployment, task, state, cause, result, error, startedBy };
}

/**
 * A run, live or archived; or a child whose history is deleted while its parent has not ended. Primary key of run_key.
 */
export async function findKnownRun(from: Queryable, args: RunName): Promise<KnownRun | null> {
  const row = await findRun(from, args);
  if (row !== null) return knownOf(row);
  const [kept] = await rows<{ startedBy: string; outcome: ChildOutcome }>(
    from,
    sql`select parent_id as "startedBy", outcome from run_key
      where workspace_id = ${args.workspaceId} and run_id = ${args.runId} and parent_id is not null and outcome is not null`,
  );
  return kept === undefined ? null : { id: args.runId, startedBy: kept.startedBy, ...kept.outcome };
}

/** How a run ended, for its parent, as SQL over an alias of run or run_history. */
export function outcomeOf(alias: string): SQL {
  const r = sql.identifier(alias);
  return sql`json_build_object('deployment', ${r}.deployment, 'task', ${r}.task, 'state', ${r}.state,
    'cause', ${r}.cause, 'result', ${r}.result, 'error', ${r}.error)`;
}

/**
 * How a child ended, as `run_key` stores it, in SQL, without the ref of its result. As json, since jsonb refuses a NUL
 * in a text.
 */
export const outcomeWithoutResult: SQL = sql`json_build_object('deployment', outcome->'deployment',
  'task', outcome->'task', 'state', outcome->'state', 'cause', outcome->'cause', 'result', null, 'error', outcome->'error')`;

/**
 * Notes in `run_key` how children of live runs ended, before their history is deleted, for children that an earlier
 * release archived without this note. Scans the live runs that have dependents. Indexes run_history_children, primary
 * key of run_key.
 * @returns How many, at most FORGET_MAX.
 */
export async function noteChildren(db: Queryable, before: Month): Promise<number> {
  const noted = await rows(
    db,
    sql`with picked as materialized (
        select h.* from run p
          -- The limits keep this an index lookup for each row, whatever the planner estimates.
          cross join lateral (select c.workspace_id, c.id, c.parent_id, ${outcomeOf("c")} as outcome from run_history c
              cross join lateral (select 1 from run_key k where k.workspace_id = c.workspace_id and k.run_id = c.id
                and k.outcome is null limit 1) unnoted
            where c.workspace_id = p.workspace_id and c.parent_id = p.id and c.ended_at < ${startOf(before)}
            limit ${FORGET_MAX}) h
        where p.ended_at is null and p.tied
        limit ${FORGET_MAX}
      )
      update run_key k set parent_id = p.parent_id, outcome = p.outcome from picked p
      where k.workspace_id = p.workspace_id and k.run_id = p.id and k.outcome is null
        and k.workspace_id = any(array(select distinct workspace_id from picked))
        and k.run_id = any(array(select id from picked))
      returning 1`,
  );
  return noted.length;
}
