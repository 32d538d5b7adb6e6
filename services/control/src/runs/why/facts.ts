import type { SlotHolder } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import { type Queryable, rows, textArray } from "../../kernel/index.ts";
import type { LimitFacts } from "../../limits/index.ts";

/** How many completed runs the usual duration is the median of. */
const USUAL_OF = 20;

/**
 * The median working time of a deployment's latest completed runs, milliseconds: the sum of their attempts, without the time
 * between them, in which a run waits for an answer or a slot. Null where no run has completed. A run with one attempt needs
 * no other row. Attempts of other runs are read through their unique index and attempt_history_run.
 */
function usualOf(workspaceId: string, deployment: SQL): SQL {
  const latest = sql`r.workspace_id = ${workspaceId} and r.deployment = ${deployment} and r.state = 'completed'
    and r.task is null`;
  const read = sql`r.workspace_id, r.id, r.attempts, r.started_at, r.ended_at`;
  const took = (attempts: SQL) => sql`extract(epoch from case when r.attempts > 1
      then (select sum(t.ended_at - t.started_at) from ${attempts}) else r.ended_at - r.started_at end)::float8 * 1000`;
  const own = sql`t.workspace_id = r.workspace_id and t.run_id = r.id`;
  return sql`(select round(percentile_cont(0.5) within group (order by ms))::float8 from (
      select ${took(sql`attempt t where ${own}`)} as ms
        from (select ${read} from run r where ${latest} and r.ended_at is not null order by r.ended_at desc limit ${USUAL_OF}) r
      union all
      select ${took(sql`attempt_history t where ${own} and t.run_ended_at = r.ended_at`)}
        from (select ${read} from run_history r where ${latest} order by r.created_at desc limit ${USUAL_OF}) r
    ) both_sides where ms is not null)`;
}

/** How long runs of these deployments usually take, by name; the indexes are those of `readRunFacts`. */
export async function selectUsual(
  from: Queryable,
  args: { workspaceId: string; deployments: readonly string[] },
): Promise<Map<string, number | null>> {
  const found = await rows<{ name: string; usualMs: number | null }>(
    from,
    sql`select d.name, ${usualOf(args.workspaceId, sql`d.name`)} as "usualMs"
      from unnest(${textArray(args.deployments)}::text[]) as d (name)`,
  );
  return new Map(found.map(({ name, usualMs }) => [name, usualMs]));
}

/** Facts about a run that has slots or waits for them. */
export interface RunFacts {
  readonly deployment: string;
  /** The name of the worker that holds it. Null: none does. */
  readonly worker: string | null;
  /** The median working time of its deployment's latest runs. Null: none has completed. */
  readonly usualMs: number | null;
}

/**
 * Reads the deployment, the worker and the usual duration of runs, for limits. Indexes run_history_deployment,
 * run_ended: of live runs only those that ended and are not archived yet are read.
 */
export async function readRunFacts(
  from: Queryable,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<ReadonlyMap<string, RunFacts>> {
  if (args.runIds.length === 0) return new Map();
  const ids = textArray(args.runIds);
  const found = await rows<RunFacts & { id: string }>(
    from,
    sql`with named as materialized (
        select r.id, r.deployment, t.worker_name as worker from run r
          left join attempt t on t.workspace_id = r.workspace_id and t.id = r.attempt_id and t.ended_at is null
            and t.state <> 'ready'
        where r.workspace_id = ${args.workspaceId} and r.id = any(${ids}::uuid[])
        union all
        select h.id, h.deployment, null from run_key k
          join run_history h on h.workspace_id = k.workspace_id and h.id = k.run_id and h.ended_at = k.ended_at
        where k.workspace_id = ${args.workspaceId} and k.run_id = any(${ids}::uuid[]) and k.ended_at is not null
      ), usual as materialized (
        select d.deployment, ${usualOf(args.workspaceId, sql`d.deployment`)} as ms
        from (select distinct deployment from named) d
      )
      select n.id, n.deployment, n.worker, u.ms as "usualMs" from named n join usual u on u.deployment = n.deployment`,
  );
  return new Map(found.map(({ id, ...facts }) => [id, facts]));
}

/** The holder of slots in an answer. Empty if the run has been archived. */
export function holderOf(
  row: LimitFacts["holders"][number],
  facts: ReadonlyMap<string, RunFacts>,
): SlotHolder[] {
  const run = facts.get(row.runId);
  if (run === undefined) return [];
  return [
    {
      runId: row.runId,
      deployment: run.deployment,
      task: row.path || null,
      slots: row.amount,
      worker: run.worker,
      forMs: Math.round(row.forMs),
      usualMs: run.usualMs,
    },
  ];
}

/** Which of these runs were started by others of them that have not ended. */
export async function listParents(
  from: Queryable,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<Map<string, string>> {
  const ids = textArray(args.runIds);
  const found = await rows<{ id: string; parent: string }>(
    from,
    sql`select r.id, r.trigger ->> 'runId' as parent from run r
      where r.workspace_id = ${args.workspaceId} and r.id = any(${ids}::uuid[]) and r.ended_at is null
        and r.trigger ->> 'kind' = 'run' and r.trigger ->> 'runId' = any(${ids}::text[])`,
  );
  return new Map(found.map((one) => [one.id, one.parent]));
}
