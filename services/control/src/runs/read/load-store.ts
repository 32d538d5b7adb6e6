import {
  type AttemptState,
  FINAL_ATTEMPT_STATES,
  HOLDS_SHOWN,
  type Pool,
  sumOf,
  type Worker,
  type WorkerHold,
} from "@towpath/contract";
import { and, eq, inArray, isNotNull, notInArray, sql } from "#sql";
import { dateOf, type Queryable } from "../../kernel/index.ts";
import { pool } from "../../pools/table.ts";
import { decideEnding } from "../end/endings.ts";
import { type RunPolicy, readRunPolicies } from "../moves/locks.ts";
import { readNeeds } from "../needs.ts";
import { attempt, run } from "../table.ts";
import { readRunFacts } from "../why/facts.ts";

/** Attempts that no worker holds: they wait, or they have ended. */
const NOT_HELD = ["ready", ...FINAL_ATTEMPT_STATES] as const;

/** The states of a run that a worker holds. */
const HELD_STATES = ["claimed", "running", "cancelling"] as const;

/** How many attempts of a pool or a queue wait for a worker, and how many a worker holds. */
export type PoolLoad = Pick<Pool, "ready" | "running">;

/** The attempts of a worker: at most HOLDS_SHOWN of them by name, the oldest first. */
export type WorkerLoad = Pick<Worker, "held" | "taken" | "holds">;

/** An attempt that a worker holds. */
interface HeldRow {
  readonly runId: string;
  readonly ordinal: number;
  readonly needs: string;
  readonly sinceMs: number;
  readonly leaseMs: number | null;
  readonly state: AttemptState;
  readonly started: boolean;
}

/** The attempts that a worker has held longest as JSON, for an aggregate. */
const HELD = sql<HeldRow[]>`to_json((array_agg(json_build_object(
    'runId', ${attempt.runId}, 'ordinal', ${attempt.ordinal}, 'needs', ${attempt.needs},
    'sinceMs', extract(epoch from coalesce(${attempt.claimedAt}, ${attempt.createdAt})) * 1000,
    'leaseMs', extract(epoch from ${attempt.leaseExpiresAt}) * 1000,
    'state', ${attempt.state}, 'started', ${attempt.startedAt} is not null
  ) order by ${attempt.claimedAt}, ${attempt.id}))[1:${sql.raw(String(HOLDS_SHOWN))}])`;

/** What is known of the runs that workers hold, by their ids. */
interface HeldFacts {
  readonly facts: Awaited<ReturnType<typeof readRunFacts>>;
  readonly policies: ReadonlyMap<string, RunPolicy>;
}

function holdersOf(held: readonly HeldRow[], { facts, policies }: HeldFacts): WorkerHold[] {
  return held.flatMap((row) => {
    const run = facts.get(row.runId);
    if (run === undefined) return [];
    return [
      {
        runId: row.runId,
        deployment: run.deployment,
        attempt: row.ordinal,
        needs: readNeeds(row.needs),
        since: dateOf(row.sinceMs).toISOString(),
        leaseUntil: row.leaseMs === null ? null : dateOf(row.leaseMs).toISOString(),
        usualMs: run.usualMs,
        ifLost: ifLostOf(row, policies.get(row.runId)),
      },
    ];
  });
}

/** What follows for a run if its attempt is lost. Null: the run has just ended. */
function ifLostOf({ state, started }: HeldRow, policy: RunPolicy | undefined): WorkerHold["ifLost"] {
  if (policy === undefined) return null;
  if (!started && state === "claimed") return "release";
  const decision = decideEnding({ state, outcome: "lost", cause: "lost", ...policy });
  if (decision === null) return null;
  if (decision.again !== null) return "retry";
  return decision.run.to === "cancelled" ? "cancel" : "crash";
}

/** The attempts that these workers hold, a row for each worker. */
function selectHeld(from: Queryable, args: { workspaceId: string; workerIds: readonly string[] }) {
  return from
    .select({
      workerId: attempt.workerId,
      held: sql<number>`count(*)::int`,
      needs: sql<string[]>`coalesce(json_agg(${attempt.needs}) filter (where ${attempt.needs} <> ''), '[]')`,
      first: HELD,
    })
    .from(attempt)
    .where(
      and(
        eq(attempt.workspaceId, args.workspaceId),
        inArray(attempt.workerId, [...args.workerIds]),
        notInArray(attempt.state, [...NOT_HELD]),
      ),
    )
    .groupBy(attempt.workerId);
}

/**
 * Reads the load of the pool of this name, or of all pools, from live attempts alone. An idle pool is missing.
 * @returns the loads, by the pools' ids.
 */
export async function readPoolLoad(
  from: Queryable,
  args: { workspaceId: string; name?: string },
): Promise<Map<string, PoolLoad>> {
  const rows = await from
    .select({
      poolId: attempt.poolId,
      ready: sql<number>`(count(*) filter (where ${attempt.state} = 'ready'))::int`,
      running: sql<number>`(count(*) filter (where ${attempt.state} <> 'ready'))::int`,
    })
    .from(pool)
    .innerJoin(attempt, eq(attempt.poolId, pool.id))
    .where(
      and(
        eq(pool.workspaceId, args.workspaceId),
        eq(attempt.workspaceId, args.workspaceId),
        args.name === undefined ? undefined : eq(pool.name, args.name),
        notInArray(attempt.state, [...FINAL_ATTEMPT_STATES]),
      ),
    )
    .groupBy(attempt.poolId);
  return new Map(rows.map(({ poolId, ready, running }) => [poolId, { ready, running }]));
}

/** Reads the load of the queues of one pool, by their names. An idle queue is missing. */
export async function readQueueLoad(
  from: Queryable,
  args: { workspaceId: string; poolId: string },
): Promise<Map<string, PoolLoad>> {
  const rows = await from
    .select({
      queue: run.queue,
      ready: sql<number>`(count(*) filter (where ${run.state} = 'ready'))::int`,
      running: sql<number>`(count(*) filter (where ${run.state} <> 'ready'))::int`,
    })
    .from(run)
    .where(
      and(
        eq(run.workspaceId, args.workspaceId),
        eq(run.poolId, args.poolId),
        isNotNull(run.queue),
        inArray(run.state, ["ready", ...HELD_STATES]),
      ),
    )
    .groupBy(run.queue);
  return new Map(rows.flatMap(({ queue, ...load }) => (queue === null ? [] : [[queue, load]])));
}

/** Reads what workers hold, by their ids. An idle worker is missing. */
export async function readWorkerLoad(
  from: Queryable,
  args: { workspaceId: string; workerIds: readonly string[] },
): Promise<Map<string, WorkerLoad>> {
  if (args.workerIds.length === 0) return new Map();
  const rows = await selectHeld(from, args);
  const runIds = rows.flatMap(({ first }) => first.map(({ runId }) => runId));
  const which = { workspaceId: args.workspaceId, runIds };
  const [facts, policies] = await Promise.all([readRunFacts(from, which), readRunPolicies(from, which)]);
  const known = { facts, policies: new Map(policies.map((one) => [one.runId, one])) };
  return new Map(
    rows.flatMap(({ workerId, held, needs, first }) =>
      workerId === null
        ? []
        : [[workerId, { held, taken: sumOf(needs.map(readNeeds)), holds: holdersOf(first, known) }]],
    ),
  );
}

/** The attempts of a worker, and when the last of them counts as lost if the worker stays away. */
export interface HeldUntil extends Record<string, unknown> {
  readonly count: number;
  /** The run of one of them. */
  readonly runId: string;
  /** Unix time, milliseconds. */
  readonly untilMs: number;
}

/** What a worker holds, or null if it holds nothing. Index attempt_held. */
export async function readHeldUntil(
  from: Queryable,
  args: { workspaceId: string; workerId: string },
): Promise<HeldUntil | null> {
  const [row] = await from.execute<HeldUntil>(sql`
    select count(*)::int as count, min(a.run_id::text) as "runId",
      max(extract(epoch from a.lease_expires_at + make_interval(secs => a.lost_after_ms / 1000.0)))::float8 * 1000 as "untilMs"
    from attempt a
    where a.workspace_id = ${args.workspaceId} and a.worker_id = ${args.workerId} and a.lease_expires_at is not null
    having count(*) > 0`);
  return row ?? null;
}
