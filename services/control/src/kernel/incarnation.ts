import { DEFAULTS } from "@towpath/contract";
import type { Logger } from "pino";
import { type SQL, sql } from "#sql";
import { type Clock, dateOf, now } from "./clock.ts";
import type { Config } from "./config.ts";
import type { Database, Queryable, Tx } from "./database.ts";
import { DATABASE_IDENTITY } from "./database-identity.ts";

/** How old the answer to "which database is this?" may be, milliseconds. The contract promises it of `position`. */
const FRESH_MS = 1_000;
/** How many incarnations are remembered. */
const KEEP = 100;
/** How often a read is repeated because a connection was lost meanwhile. */
const READS_MAX = 5;
/** Any number that no other advisory lock uses: one process at a time notes an incarnation. */
const LOCK = 7_206_011;

/** Who the running server and its database are. */
const IDENTITY: SQL = sql.raw(DATABASE_IDENTITY);

/** The newest incarnation that was noted, as a table expression. */
export const newestIncarnation: SQL = sql`(select * from incarnation order by number desc limit 1)`;

/** Whether the newest incarnation is the database that answers. Null: nobody has looked yet. */
const STANDS = sql`(select i.identity = ${IDENTITY} from ${newestIncarnation} i)`;

/** Which database answers, and how far it has come. */
export interface Incarnation {
  readonly id: string;
  /** Bytes of its log so far: they rise with every commit. */
  readonly position: number;
  /** How long ago it was first seen, milliseconds. Null: it is the first one, so that no worker can know of another. */
  readonly ageMs: number | null;
}

/** What reading it needs. */
export interface IncarnationDeps {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Row extends Record<string, unknown> {
  id: string | null;
  stands: boolean | null;
  position: number;
  ageMs: number | null;
}

async function readRow(from: Queryable, clock: Clock): Promise<Row | undefined> {
  const [row] = await from.execute<Row>(sql`
    select i.id, i.identity = l.identity as stands, extract(epoch from ${now(clock)} - i.since)::float8 * 1000 as "ageMs",
      pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as position
    from (select ${IDENTITY} as identity offset 0) l left join lateral ${newestIncarnation} i on true`);
  return row;
}

/**
 * Notes that this database is another one than it was. The first of all takes the id that is there, and so does one that a control plane of
 * an earlier release has noticed before us: workers must be told one and the same by both.
 */
async function note(deps: IncarnationDeps): Promise<void> {
  await deps.database.db.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${LOCK})`);
    const [made] = await tx.execute<{ id: string; first: boolean }>(sql`
      with here as materialized (
        select ${IDENTITY} as identity, s.system_identifier::text as system_identifier, c.timeline_id as timeline
        from pg_control_system() s, pg_control_checkpoint() c
      ), made as (
        insert into incarnation (id, identity, since, known_until)
        select
          case when (n.id is null and same.lineage or n.id <> o.incarnation)
            and not exists (select from incarnation e where e.id = o.incarnation) then o.incarnation else gen_random_uuid() end,
          h.identity, case when n.id is null and same.lineage then null else ${now(deps.clock)} end,
          (select max(heartbeat_at) from presence)
        from here h cross join installation o left join ${newestIncarnation} n on true
          cross join lateral (select (o.system_identifier, o.timeline) = (h.system_identifier, h.timeline) as lineage) same
        where n.identity is distinct from h.identity
        returning id, since
      ), told as (
        update installation o set incarnation = m.id, system_identifier = h.system_identifier, timeline = h.timeline
        from made m, here h
      )
      select id, since is null as first from made`);
    await forgetOld(tx);
    if (made !== undefined && !made.first)
      deps.log.warn(
        { incarnation: made.id },
        "the database was restored, failed over or restarted: workers offer again what was acknowledged in the last hour",
      );
  });
}

async function forgetOld(tx: Tx): Promise<void> {
  await tx.execute(
    sql`delete from incarnation where number <= (select max(number) from incarnation) - ${KEEP}`,
  );
}

/**
 * Which database answers, remembered for a second, and no longer than any connection to it holds. So each answer to a worker says it without
 * a round trip of its own, and none that was worked out after the database went back says the old one.
 */
export class Incarnations {
  readonly #deps: IncarnationDeps;
  #known: { readonly incarnation: Incarnation; readonly atMs: number } | null = null;
  #reading: Promise<Incarnation> | null = null;
  #losses = 0;
  /** The id that was found last. */
  #last: string | null = null;
  readonly #listeners = new Set<() => void>();

  constructor(deps: IncarnationDeps) {
    this.#deps = deps;
    deps.database.onLost(() => this.forget());
  }

  /** Calls back whenever another incarnation than before is found. @returns what ends that */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Asks again before the next answer. */
  forget(): void {
    this.#known = null;
    this.#losses += 1;
  }

  /** The one that was found last, however long ago; null once a connection was lost. */
  get last(): Incarnation | null {
    return this.#known?.incarnation ?? null;
  }

  /** The current one, or null if it is to be asked for. */
  get known(): Incarnation | null {
    const known = this.#known;
    return known !== null && performance.now() - known.atMs < FRESH_MS ? known.incarnation : null;
  }

  /** The current one; one that was not seen before is noted. */
  async current(): Promise<Incarnation> {
    if (this.known !== null) return this.known;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null;
    });
    return await this.#reading;
  }

  async #read(): Promise<Incarnation> {
    for (let reads = 1; ; reads++) {
      const [losses, atMs] = [this.#losses, performance.now()];
      const incarnation = await readIncarnation(this.#deps);
      // What was read over a connection that is gone may be of the database before.
      if (losses !== this.#losses && reads < READS_MAX) continue;
      const before = this.#last;
      this.#last = incarnation.id;
      this.#known = { incarnation, atMs };
      if (before !== null && before !== incarnation.id) for (const tell of this.#listeners) tell();
      return incarnation;
    }
  }
}

async function readIncarnation(deps: IncarnationDeps): Promise<Incarnation> {
  for (;;) {
    const row = await readRow(deps.database.db, deps.clock);
    if (row?.id && row.stands === true) return { id: row.id, position: row.position, ageMs: row.ageMs };
    await note(deps);
  }
}

/**
 * The id of the incarnation in which a transaction runs, read in it. Null: nobody has noted it yet, so nothing may be
 * concluded from what a worker does not name.
 */
export async function incarnationOf(tx: Tx, clock: Clock): Promise<Omit<Incarnation, "position"> | null> {
  const row = await readRow(tx, clock);
  return row?.id && row.stands === true ? { id: row.id, ageMs: row.ageMs } : null;
}

/**
 * Since when the database in which a transaction runs has been another one than before. What it knows from before then may be older than what
 * workers know. Null: it has been the same from the beginning.
 */
export async function wentBackAt(tx: Tx): Promise<Date | null> {
  const [row] = await tx.execute<{ sinceMs: number | null }>(
    sql`select extract(epoch from i.since)::float8 * 1000 as "sinceMs" from ${newestIncarnation} i`,
  );
  return row === undefined || row.sinceMs === null ? null : dateOf(row.sinceMs);
}

/**
 * Since when this database has answered, as a timestamptz expression: null for the first incarnation; `infinity` while nobody has noted
 * that it is another one.
 */
export const standsSince: SQL<Date> = sql<Date>`(select case when coalesce(${STANDS}, false)
  then (select i.since from ${newestIncarnation} i) else 'infinity'::timestamptz end)`;

/** How long after a database went back nothing is concluded from a worker's silence, milliseconds: a lease, and the time to kill what it was for. */
export function graceMs({ leaseMs }: Pick<Config, "leaseMs">): number {
  return leaseMs + Math.min(DEFAULTS.killGraceMs, leaseMs);
}
