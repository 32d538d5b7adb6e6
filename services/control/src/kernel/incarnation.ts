import { DEFAULTS } from "@towpath/contract";
import type { Logger } from "pino";
import { type SQL, sql } from "#sql";
import { type Clock, dateOf, now } from "./clock.ts";
import type { Config } from "./config.ts";
import type { Database, Queryable, Tx } from "./database.ts";
import { DATABASE_IDENTITY } from "./database-identity.ts";

/** How long the incarnation is cached, milliseconds. The contract promises this freshness for `position`. */
const CACHE_MS = 1_000;
/** How many incarnations are kept. */
const KEEP = 100;
/** How often a read is repeated because a connection was lost meanwhile. */
const READS_MAX = 5;
/** An arbitrary number that no other advisory lock uses. It lets one process at a time record an incarnation. */
const LOCK = 7_206_011;

/** Who the running server and its database are. */
const IDENTITY: SQL = sql.raw(DATABASE_IDENTITY);

/** The newest recorded incarnation, as a table expression. */
export const newestIncarnation: SQL = sql`(select * from incarnation order by number desc limit 1)`;

/** Whether the newest recorded incarnation is the answering database. Null: none is recorded. */
const IS_CURRENT = sql`(select i.identity = ${IDENTITY} from ${newestIncarnation} i)`;

/** An incarnation of the database, and its position. */
export interface Incarnation {
  readonly id: string;
  /** Bytes of the write-ahead log. It rises with every commit. */
  readonly position: number;
  /** The time since it was first seen, milliseconds. Null for the first incarnation: workers know no other. */
  readonly ageMs: number | null;
}

/** The dependencies for reading it. */
export interface IncarnationDeps {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Logger;
  /**
   * Whether the server of this database was stopped cleanly before it was started for this process, so that the database is the one
   * that it was. @default false
   */
  readonly continues?: boolean;
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
 * Records a new incarnation of the database. It takes the id of the table `installation` if that is unused: the first
 * incarnation has it, and an earlier release may have recorded it there. Workers must get the same id from both.
 */
async function note(deps: IncarnationDeps): Promise<void> {
  await deps.database.db.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${LOCK})`);
    if (deps.continues === true && (await continueNewest(tx))) return;
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
        "the database was restored, failed over or restarted: workers send the records of the last hour again",
      );
  });
}

/** What a restart of the server leaves as it was: all of an identity but the time of the start. */
const lasting = (identity: SQL): SQL => sql`regexp_replace(${identity}, '^([^/]*/[^/]*)/[^/]*', '\\1')`;

/** Lets the newest incarnation be that of the restarted server. @returns Whether it is the same database. */
async function continueNewest(tx: Tx): Promise<boolean> {
  const continued = await tx.execute(sql`
    update incarnation i set identity = ${IDENTITY} from ${newestIncarnation} n
    where i.number = n.number and ${lasting(sql`i.identity`)} = ${lasting(IDENTITY)}
    returning i.id`);
  return continued.length > 0;
}

async function forgetOld(tx: Tx): Promise<void> {
  await tx.execute(
    sql`delete from incarnation where number <= (select max(number) from incarnation) - ${KEEP}`,
  );
}

/**
 * The incarnation of the answering database, cached for a second and only while its connections last. So answers to
 * workers carry it without a query, and no answer made after the database went back carries the old one.
 */
export class Incarnations {
  readonly #deps: IncarnationDeps;
  #known: { readonly incarnation: Incarnation; readonly atMs: number } | null = null;
  #reading: Promise<Incarnation> | null = null;
  #losses = 0;
  /** The id that was read last. */
  #last: string | null = null;
  readonly #listeners = new Set<() => void>();

  constructor(deps: IncarnationDeps) {
    this.#deps = deps;
    deps.database.onLost(() => this.forget());
  }

  /** Calls the listener whenever the incarnation changes. @returns a function that unsubscribes */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reads it again before the next answer. */
  forget(): void {
    this.#known = null;
    this.#losses += 1;
  }

  /** The incarnation that was read last, however old. Null once a connection was lost. */
  get last(): Incarnation | null {
    return this.#known?.incarnation ?? null;
  }

  /** The cached incarnation. Null if it must be read. */
  get known(): Incarnation | null {
    const known = this.#known;
    return known !== null && performance.now() - known.atMs < CACHE_MS ? known.incarnation : null;
  }

  /** The current incarnation. A new one is recorded. */
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
      // A result from a lost connection may belong to the earlier database.
      if (losses !== this.#losses && reads < READS_MAX) continue;
      const before = this.#last;
      this.#last = incarnation.id;
      this.#known = { incarnation, atMs };
      if (before !== null && before !== incarnation.id) for (const notify of this.#listeners) notify();
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
 * The id of a transaction's incarnation. Null if it is not recorded yet: then an attempt that a worker does not list
 * must not be judged.
 */
export async function incarnationOf(tx: Tx, clock: Clock): Promise<Omit<Incarnation, "position"> | null> {
  const row = await readRow(tx, clock);
  return row?.id && row.stands === true ? { id: row.id, ageMs: row.ageMs } : null;
}

/**
 * When the database of a transaction went back. Attempts and workers from before may be unknown to it. Null: it never
 * did.
 */
export async function wentBackAt(tx: Tx): Promise<Date | null> {
  const [row] = await tx.execute<{ sinceMs: number | null }>(
    sql`select extract(epoch from i.since)::float8 * 1000 as "sinceMs" from ${newestIncarnation} i`,
  );
  return row === undefined || row.sinceMs === null ? null : dateOf(row.sinceMs);
}

/**
 * Since when this incarnation has answered, as a timestamptz expression: null for the first incarnation; `infinity`
 * while it is not recorded.
 */
export const answeringSince: SQL<Date> = sql<Date>`(select case when coalesce(${IS_CURRENT}, false)
  then (select i.since from ${newestIncarnation} i) else 'infinity'::timestamptz end)`;

/**
 * The grace after a database went back, milliseconds: a lease, and the time to kill a process. During it a worker's
 * silence means nothing.
 */
export function graceMs({ leaseMs }: Pick<Config, "leaseMs">): number {
  return leaseMs + Math.min(DEFAULTS.killGraceMs, leaseMs);
}
