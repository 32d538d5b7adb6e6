import { type Limit, RUN_TRANSITIONS } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import { type Clock, type Deps, now, rows, type Tx, textArray } from "../../kernel/index.ts";
import { moveTagged } from "../../limits/index.ts";
import { effectivePriority, limitedAs } from "../moves/run-columns.ts";

/** A run that is about to enter its wait list. */
export interface EnteringRun {
  readonly id: string;
  readonly deploymentId: string;
  readonly deployment: string;
  readonly pool: string;
  readonly queue: string | null;
  /** All its tags, whether they have limits or not. */
  readonly tags: readonly string[];
  readonly priority: number;
  readonly dueMs: number;
  /** Whether it has had no attempt yet. A run with an earlier attempt is no collision: it waits. */
  readonly isNew: boolean;
  /** Whether it was suspended and continues. */
  readonly isSuspended: boolean;
  /** The limit of its deployment, with the policy for runs that do not fit. Null: it has none. */
  readonly limitId: string | null;
  readonly slots: number | null;
  readonly collision: string | null;
}

/** What wait lists need to know of runs. The caller holds their locks. Primary key of run. */
export function readEntering(
  tx: Tx,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<EnteringRun[]> {
  return rows<EnteringRun>(
    tx,
    sql`select r.id, ${limitedAs.deploymentId} as "deploymentId", ${limitedAs.deployment} as deployment, r.pool, r.queue, to_json(r.tags) as tags, ${effectivePriority} as priority,
        extract(epoch from r.due_at)::float8 * 1000 as "dueMs", r.attempts = 0 as "isNew", r.state = 'suspended' as "isSuspended", l.id as "limitId", l.slots,
        case when r.attempts = 0 then l.collision end as collision
      from run r left join slot_limit l
        on l.workspace_id = r.workspace_id and l.kind = 'deployment' and l.name = ${limitedAs.deployment}
      where r.workspace_id = ${args.workspaceId} and r.id = any(${textArray(args.runIds)}::uuid[])`,
  );
}

/** Locks runs that wait for slots. Skips runs that other transactions hold. */
export async function holdBlocked(
  tx: Tx,
  args: { workspaceId: string; runIds: readonly string[] },
): Promise<Set<string>> {
  const held = await rows<{ id: string }>(
    tx,
    sql`select id from run where workspace_id = ${args.workspaceId} and id = any(${textArray(args.runIds)}::uuid[])
        and state = any(${textArray(RUN_TRANSITIONS.admit.from)}::text[])
      for update skip locked`,
  );
  return new Set(held.map((one) => one.id));
}

/**
 * The oldest runs that hold slots of a limit or wait for them. Leaves out `except`, runs that are already being
 * cancelled, and the newest ones, for which there is room.
 */
export async function listDisplaced(
  tx: Tx,
  args: { workspaceId: string; limitId: string; except: readonly string[]; room: number; limit: number },
): Promise<string[]> {
  const found = await rows<{ id: string }>(
    tx,
    sql`select d.id from (select r.id, r.due_at from run r
      where r.workspace_id = ${args.workspaceId} and r.state <> 'cancelling' and not r.id = any(${textArray(args.except)}::uuid[])
        and r.id = any(array(
          select s.run_id from slot s where s.limit_id = ${args.limitId} and s.workspace_id = ${args.workspaceId} and s.path = ''
          union select w.run_id from slot_line_limit m join slot_wait w on w.line_id = m.line_id
            where m.limit_id = ${args.limitId} and w.workspace_id = ${args.workspaceId} and w.path = ''))
      order by r.due_at desc, r.id desc offset ${args.room}) d
      order by d.due_at, d.id limit ${args.limit}`,
  );
  return found.map((one) => one.id);
}

/** The most attempts that get slots of a limit when it is first set. */
const ADOPTED_MAX = 10_000;

/** What a limit counts: the runs of a deployment, pool or queue, or those with a tag. */
interface Counted extends Pick<Limit, "kind" | "name"> {
  readonly workspaceId: string;
}

/** Locks the live attempts that a limit counts, in the order of their ids. Index attempt_one_active. */
function liveAttempts({ workspaceId, kind, name }: Counted): SQL {
  const named = limitedAs.deployment;
  const what = kind === "pool" ? sql`r.pool` : kind === "queue" ? sql`r.pool || '/' || r.queue` : named;
  const isCounted = kind === "tag" ? sql`${name} = any(r.tags)` : sql`${what} = ${name}`;
  return sql`select a.id, a.run_id from attempt a join run r on r.workspace_id = a.workspace_id and r.id = a.run_id
    where a.workspace_id = ${workspaceId} and a.ended_at is null and a.hook_until is null and ${isCounted}
    order by a.id limit ${ADOPTED_MAX} for update of a`;
}

/**
 * Locks what `adoptRuns` will change if the limit is new. Call it before any lock on a wait list: a transaction that ends an
 * attempt takes them in this order too.
 */
export async function lockAdoptable(tx: Tx, limit: Counted): Promise<void> {
  if (limit.kind === "named") return;
  const { workspaceId, kind, name } = limit;
  const [known] = await rows(
    tx,
    sql`select 1 from slot_limit where workspace_id = ${workspaceId} and kind = ${kind} and name = ${name}`,
  );
  if (known === undefined) await rows(tx, liveAttempts(limit));
}

/**
 * Lets waiting runs that carry a tag wait for the tag's limit too, which is new. They keep their positions. The caller holds the
 * locks of `setLimit`.
 */
export async function enterTagLimit(tx: Tx, deps: Deps, limit: Counted): Promise<void> {
  if (limit.kind !== "tag") return;
  const { workspaceId, name: tag } = limit;
  const isTagged = sql`w.path = '' and exists (select 1 from run r
    where r.workspace_id = w.workspace_id and r.id = w.run_id and ${tag} = any(r.tags))`;
  await moveTagged(tx, deps, { workspaceId, tag, isTagged });
}

/**
 * Gives each live attempt a slot of a new limit of a deployment, pool, queue or tag, so that the limit counts it. A new named
 * limit has no holders. The caller holds the limit's lock.
 */
export async function adoptRuns(tx: Tx, clock: Clock, limit: Counted & Pick<Limit, "id">): Promise<void> {
  if (limit.kind === "named") return;
  await rows(
    tx,
    sql`with live as materialized (${liveAttempts(limit)}), marked as (
        update attempt a set limited = true from live where a.id = live.id and a.workspace_id = ${limit.workspaceId}
      ), taken as (
        insert into slot (attempt_id, limit_id, workspace_id, run_id, amount, taken_at)
        select live.id, ${limit.id}::uuid, ${limit.workspaceId}::uuid, live.run_id, 1, ${now(clock)} from live returning 1
      )
      update slot_limit set taken = taken + (select count(*) from taken)
      where id = ${limit.id} and workspace_id = ${limit.workspaceId}`,
  );
}
