import { randomBytes } from "node:crypto";
import { type SQL, sql } from "drizzle-orm";
import type { Clock } from "./clock.ts";
import type { Queryable } from "./database.ts";
import type { Deps, Duty } from "./deps.ts";
import { installation } from "./table.ts";

/** A pause between heartbeats that is longer than this counts as an outage, seconds. */
const OUTAGE_SECONDS = 15;

/** The instant of a statement: the test's clock, or the database's. */
export function now(clock: Clock): SQL<Date> {
  return sql<Date>`coalesce(${clock.nowOrNull()?.toISOString() ?? null}::timestamptz, now())`;
}

/** What this database says of itself: differs after a restore, a failover, or a copy into another server. */
const LINEAGE = sql`(select s.system_identifier::text as system_identifier, c.timeline_id as timeline
  from pg_control_system() s, pg_control_checkpoint() c)`;

/**
 * Makes the row about this database at its first boot, and finds it again later. Safe from several processes at once.
 * @returns The secret that signs workers' session tokens.
 */
export async function openInstallation(deps: Pick<Deps, "database" | "clock">): Promise<Uint8Array> {
  const secret = new Uint8Array(randomBytes(32));
  const at = now(deps.clock);
  await deps.database.db.execute(sql`
    insert into installation (incarnation, system_identifier, timeline, session_secret, recovered_at, heartbeat_at)
    select gen_random_uuid(), l.system_identifier, l.timeline, ${Buffer.from(secret)}, ${at}, ${at} from ${LINEAGE} l
    on conflict (id) do nothing`);
  const [row] = await deps.database.db.select({ secret: installation.sessionSecret }).from(installation);
  return row?.secret ?? secret;
}

/** The database's incarnation. It changes when the database was restored or failed over. */
export async function readIncarnation(from: Queryable): Promise<string | null> {
  const [row] = await from.select({ incarnation: installation.incarnation }).from(installation);
  return row?.incarnation ?? null;
}

/**
 * Since when workers have been able to reach the control plane without a pause, as a timestamptz expression. While no
 * process that serves workers gives a sign of life it is `infinity`, so that nothing is lost for our own absence.
 */
export function reachableSince(clock: Clock): SQL<Date> {
  return sql<Date>`(select case
    when heartbeat_at < ${now(clock)} - make_interval(secs => ${OUTAGE_SECONDS}) then 'infinity'::timestamptz
    else recovered_at end from installation)`;
}

/**
 * The sign of life of a process that serves workers. The first one after an outage stamps `recovered_at`; one that
 * finds itself on a restored or failed-over database draws a new incarnation.
 */
export const heartbeatDuty: Duty = {
  name: "heartbeat",
  everyMs: 5_000,
  async runOnce({ database, clock }) {
    const at = now(clock);
    await database.db.execute(sql`
      update installation set
        recovered_at = case when heartbeat_at < ${at} - make_interval(secs => ${OUTAGE_SECONDS})
          then ${at} else recovered_at end,
        incarnation = case when (installation.system_identifier, installation.timeline) = (l.system_identifier, l.timeline)
          then incarnation else gen_random_uuid() end,
        system_identifier = l.system_identifier,
        timeline = l.timeline,
        heartbeat_at = greatest(heartbeat_at, ${at})
      from ${LINEAGE} l`);
    return { worked: false };
  },
};
