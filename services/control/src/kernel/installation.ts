import { randomBytes, randomUUID } from "node:crypto";
import { type SQL, sql } from "#sql";
import { type Clock, now } from "./clock.ts";
import type { Config } from "./config.ts";
import type { Deps, PeriodicJob } from "./deps.ts";
import { answeringSince } from "./incarnation.ts";
import { installation, presence } from "./table.ts";

/** The longest pause between two heartbeats of one process that is not an outage, milliseconds. */
const OUTAGE_MOST_MS = 15_000;
/** How many heartbeats a process sends in that time. */
const BEATS_PER_OUTAGE = 3;
/** How long the row of an ended process is kept. */
const KEEP_SECONDS = 24 * 3_600;

/** The id of this process among those that serve workers. Unlike a pid it is never used again. */
const PROCESS = randomUUID();

type Leases = Pick<Config, "leaseMs" | "renewIntervalMs">;

/**
 * The longest pause of one process that is not an outage. Every lease that is renewed in time has at least `leaseMs -
 * renewIntervalMs` left, so a shorter pause ends none. A restart always counts as an outage, because the new process
 * has a new row.
 */
function outageMs({ leaseMs, renewIntervalMs }: Leases): number {
  return Math.min(OUTAGE_MOST_MS, 0.75 * Math.max(leaseMs - renewIntervalMs, leaseMs / 2));
}

/** The lineage of this database. It changes after a restore, a failover or a copy into another server. */
const LINEAGE = sql`(select s.system_identifier::text as system_identifier, c.timeline_id as timeline
  from pg_control_system() s, pg_control_checkpoint() c)`;

/**
 * Creates the row about this database at its first boot, and reads it later. Safe from several processes at once.
 * @returns The secret that signs workers' session tokens.
 */
export async function openInstallation(deps: Pick<Deps, "database" | "clock">): Promise<Uint8Array> {
  const secret = new Uint8Array(randomBytes(32));
  await deps.database.db.execute(sql`
    insert into installation (incarnation, system_identifier, timeline, session_secret)
    select gen_random_uuid(), l.system_identifier, l.timeline, ${Buffer.from(secret)} from ${LINEAGE} l
    on conflict (id) do nothing`);
  const [row] = await deps.database.db.select({ secret: installation.sessionSecret }).from(installation);
  return row?.secret ?? secret;
}

/**
 * Since when workers have been able to reach the control plane without a pause, as a timestamptz expression: the start
 * of the latest process that began while no other served. It is `infinity` while no process that serves workers sends
 * heartbeats, so no attempt is lost because the control plane was away. Reads a few rows.
 */
export function reachableSince(clock: Clock, config: Leases): SQL<Date> {
  return sql<Date>`(select case
      when coalesce(max(p.heartbeat_at), '-infinity') < ${pauseBefore(now(clock), config)} then 'infinity'::timestamptz
      else greatest(${answeringSince}, max(p.recovered_at) filter (where not exists (
        select from ${presence} other where (other.recovered_at, other.process) < (p.recovered_at, p.process)
          and other.heartbeat_at >= p.recovered_at))) end
    from ${presence} p)`;
}

function pauseBefore(at: SQL<Date>, config: Leases): SQL {
  return sql`${at} - make_interval(secs => ${outageMs(config) / 1000}::float8)`;
}

/**
 * The heartbeat of a process that serves workers. The first heartbeat, and the first after a pause, sets
 * `recovered_at`. Before that it reads the incarnation, because a pooler may hide that connections were lost.
 */
export const heartbeatPeriodicJob: PeriodicJob = {
  name: "heartbeat",
  everyMs: (config) => outageMs(config) / BEATS_PER_OUTAGE,
  async runOnce({ database, clock, config, incarnations }) {
    incarnations.forget();
    await incarnations.current();
    const at = now(clock);
    await database.db.execute(sql`
      with beat as (
        insert into ${presence} as p (process, recovered_at, heartbeat_at) values (${PROCESS}, ${at}, ${at})
        on conflict (process) do update set
          recovered_at = case when p.heartbeat_at < ${pauseBefore(at, config)} then ${at} else p.recovered_at end,
          heartbeat_at = greatest(p.heartbeat_at, ${at})
      )
      delete from ${presence} where heartbeat_at < ${at} - make_interval(secs => ${KEEP_SECONDS})
        and process <> ${PROCESS}`);
    return { worked: false };
  },
};
