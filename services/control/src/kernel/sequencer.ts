import { sql } from "#sql";
import { UNSTAMPED } from "./change.ts";
import { now } from "./clock.ts";
import type { PeriodicJob } from "./deps.ts";

/**
 * The pause between rounds, milliseconds, which is the longest delay for readers. It lets a round stamp dozens of
 * changes in one commit when there are a thousand runs a second.
 */
const REST_MS = 25;
/** The most changes that one round stamps. */
const STAMP_MAX = 1_000;
/** The most changes that one round deletes. */
const FORGET_MAX = 5_000;

/** The changes that one round stamped, for its wake-ups. */
interface Stamped extends Record<string, unknown> {
  readonly count: number;
  readonly runs: string[] | null;
  readonly workspaces: string[] | null;
}

/**
 * Gives committed changes their positions, without gaps, in one process at a time. The lock is a statement of its own,
 * so the next statement sees everything that the previous holder stamped. The lock is held until the commit, so readers
 * see whole rounds in order.
 *
 * Uses index change_unstamped (id) where position is null, and then the rows' ctids: only the sequencer writes rows
 * without a position, so they do not move. The array prevents a full scan when statistics are from a time with many
 * such rows.
 */
export const sequencerPeriodicJob: PeriodicJob = {
  name: "sequencer",
  everyMs: 1_000,
  nextInMs: () => sql`select 0 from change where position is null limit 1`,
  restMs: REST_MS,
  wakeOn: "change",
  wakeKey: UNSTAMPED,
  async runOnce({ database, wakes }) {
    const stamped = await database.db.transaction(async (tx) => {
      const [feed] = await tx.execute<{ last: string }>(
        sql`select last_position::text as last from change_feed for update skip locked`,
      );
      if (feed === undefined) return null;
      const [row] = await tx.execute<Stamped>(sql`
        with batch as materialized (
          select u.ctid as place, row_number() over (order by u.id) as n
          from (select ctid, id from change where position is null order by id limit ${STAMP_MAX}) u
        ), stamped as (
          update change c set position = ${feed.last}::bigint + b.n from batch b
          where c.ctid = any(array(select place from batch)) and c.ctid = b.place
          returning c.run_id, c.workspace_id
        ), counted as (
          update change_feed set last_position = last_position + (select count(*) from batch)
          where exists (select 1 from batch)
        )
        select count(*)::int as count,
          json_agg(distinct run_id::text) filter (where run_id is not null) as runs,
          json_agg(distinct workspace_id::text) as workspaces
        from stamped`);
      return row ?? null;
    });
    if (stamped === null || stamped.count === 0) return { worked: false };
    wakes.publish("run", stamped.runs ?? []);
    wakes.publish("change", stamped.workspaces ?? []);
    return { worked: stamped.count === STAMP_MAX };
  },
};

/** Deletes changes older than the retention, oldest first. Uses index change_position. */
export const forgetChangesPeriodicJob: PeriodicJob = {
  name: "forget-changes",
  everyMs: 60_000,
  async runOnce({ database, clock, config }) {
    const [row] = await database.db.execute<{ count: number }>(sql`
      with oldest as materialized (
        select position, created_at from change where position is not null order by position limit ${FORGET_MAX}
      ), gone as (
        delete from change where position = any(array(
          select position from oldest
          where created_at < ${now(clock)} - make_interval(secs => ${config.changeRetentionMs / 1_000})
        )) returning 1
      )
      select count(*)::int as count from gone`);
    return { worked: row?.count === FORGET_MAX };
  },
};
