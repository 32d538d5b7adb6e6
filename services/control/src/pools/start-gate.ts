import { workerOnlineMs } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import { type Deps, dateOf, graceMs, newestIncarnation, now, type Queryable } from "../kernel/index.ts";

const ONLINE = sql`make_interval(secs => ${workerOnlineMs / 1_000})`;

/** Whether the last heartbeat before the database went back (`i`) is too old to tell which workers were online. */
const HEARTBEAT_TOO_OLD = sql`coalesce(i.since - i.known_until > ${ONLINE}, true)`;

/**
 * Workers (`w`) of a pool that were online at the last heartbeat before the database went back (`i`), and have not
 * offered their attempts again yet.
 */
function notReconciled(args: { workspaceId: string; poolId: string }): SQL {
  return sql`worker w where w.workspace_id = ${args.workspaceId} and w.pool_id = ${args.poolId}
    and not w.draining and w.stopped_at is null and w.first_seen_at < i.since and w.last_seen_at > i.known_until - ${ONLINE} and w.reconciled is distinct from i.id`;
}

/**
 * Whether workers of a pool may hold attempts that the database has lost. They may while a worker that was online has not
 * offered its attempts again, or if the last heartbeat is too old to show which workers were online. Workers that came later
 * hold nothing. Reads the workers of the pool.
 */
export async function isAwaitingWorkers(
  from: Queryable,
  args: { workspaceId: string; poolId: string; incarnation: string },
): Promise<boolean> {
  const [row] = await from.execute<{ awaited: boolean }>(sql`
    select ${HEARTBEAT_TOO_OLD} or exists (select from ${notReconciled(args)}) as awaited
    from incarnation i where i.id = ${args.incarnation}`);
  return row?.awaited ?? false;
}

/** Why a pool starts nothing yet after the database went back. */
export interface StartGate {
  /** When the database was first seen to have gone back. */
  readonly since: Date;
  /** When starts resume at the latest. If each worker has a limit of its own, the earliest of these. */
  readonly until: Date;
  /** The first workers, by name, that have not reported yet. Empty if they are unknown. */
  readonly workers: readonly string[];
  /** How many other workers have not reported. */
  readonly more: number;
  /** Whether the worker in question is one of them. */
  readonly holderAwaited: boolean;
}

/** The most workers that an answer names. */
const NAMED_MAX = 10;

/** A pool, and the worker that has claimed the attempt in question. */
interface PoolAndWorker {
  readonly workspaceId: string;
  readonly poolId: string;
  readonly workerId: string | null;
}

/**
 * Why a pool starts nothing since the database went back, or null if it may start. Also works on a read replica, since
 * it reads the newest recorded incarnation. Reads the workers of the pool.
 */
export async function readStartGate(
  from: Queryable,
  deps: Pick<Deps, "clock" | "config">,
  args: PoolAndWorker,
): Promise<StartGate | null> {
  return (await readAwaitedGate(from, deps, args)) ?? (await readOfferingGate(from, deps, args));
}

/** The pool assigns nothing: workers that were online have not offered their attempts again, and the grace is not over. */
async function readAwaitedGate(
  from: Queryable,
  { clock, config }: Pick<Deps, "clock" | "config">,
  args: PoolAndWorker,
): Promise<StartGate | null> {
  const grace = graceMs(config);
  const [row] = await from.execute<{
    sinceMs: number;
    unsure: boolean;
    names: string[];
    count: number;
    held: boolean;
  }>(sql`
    select extract(epoch from i.since)::float8 * 1000 as "sinceMs", ${HEARTBEAT_TOO_OLD} as unsure,
      coalesce(to_json(o.names), '[]') as names, o.count, o.held
    from ${newestIncarnation} i cross join lateral (
      select (array_agg(w.name order by w.name, w.id))[1:${NAMED_MAX}] as names, count(*)::int as count,
        coalesce(bool_or(w.id = ${args.workerId}::uuid), false) as held
      from ${notReconciled(args)}) o
    where ${now(clock)} < i.since + make_interval(secs => ${grace / 1_000}::float8) and (${HEARTBEAT_TOO_OLD} or o.count > 0)`);
  if (row === undefined) return null;
  const workers = row.unsure ? [] : row.names;
  return {
    since: dateOf(row.sinceMs),
    until: dateOf(row.sinceMs + grace),
    workers,
    more: row.unsure ? 0 : row.count - workers.length,
    holderAwaited: row.held,
  };
}

/**
 * Workers that are offering attempts again get nothing until a grace after they began. This gate applies if no other
 * worker is online, or if one of them holds the claim.
 */
async function readOfferingGate(
  from: Queryable,
  { clock, config }: Pick<Deps, "clock" | "config">,
  args: PoolAndWorker,
): Promise<StartGate | null> {
  const seconds = graceMs(config) / 1_000;
  const [row] = await from.execute<{
    sinceMs: number;
    untilMs: number;
    names: string[];
    count: number;
    held: boolean;
  }>(sql`
    with online as materialized (
      select w.id, w.name, coalesce(i.since, w.offering_since) as since,
        greatest(w.offering_since, i.since) + make_interval(secs => ${seconds}::float8) as until,
        w.offering_since is not null
          and ${now(clock)} < greatest(w.offering_since, i.since) + make_interval(secs => ${seconds}::float8) as offers
      from ${newestIncarnation} i cross join worker w
      where w.workspace_id = ${args.workspaceId} and w.pool_id = ${args.poolId} and not w.draining and w.stopped_at is null
        and w.last_seen_at > ${now(clock)} - ${ONLINE}
    )
    select extract(epoch from min(since))::float8 * 1000 as "sinceMs", extract(epoch from min(until))::float8 * 1000 as "untilMs",
      to_json((array_agg(name order by name, id))[1:${NAMED_MAX}]) as names, count(*)::int as count,
      coalesce(bool_or(id = ${args.workerId}::uuid), false) as held
    from online where offers
    having count(*) = (select count(*) from online) or bool_or(id = ${args.workerId}::uuid)`);
  if (row === undefined || row.count === 0) return null;
  return {
    since: dateOf(row.sinceMs),
    until: dateOf(row.untilMs),
    workers: row.names,
    more: row.count - row.names.length,
    holderAwaited: row.held,
  };
}
