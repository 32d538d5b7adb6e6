import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "@towpath/contract";
import type { Logger } from "pino";
import postgres, { type Sql } from "postgres";
import { sqlState } from "./database-errors.ts";
import { FOLDERS } from "./folders.ts";
import { type Migration, readMigrations } from "./migration-files.ts";

/** An arbitrary number that no other program uses: the advisory lock that lets one process migrate at a time. */
const MIGRATION_LOCK = 7_281_947_021;
/** How often a waiting process tries that lock, milliseconds, and how many times: for an hour. */
const LOCK_POLL_MS = 100;
const LOCK_TRIES_MAX = 36_000;

/**
 * The longest wait of a migration for a table's lock, milliseconds. Other statements on that table wait behind it, so
 * this is the longest pause of a running replica.
 */
const LOCK_TIMEOUT_MS = 1_000;
/** How often a migration without its locks is tried, and the pauses in between: about five minutes in all. */
const TRIES_MAX = 60;
const RETRY_BACKOFF = { firstMs: 200, mostMs: 5_000 } as const;
/** Lock timeout, deadlock, serialization failure: the same migration may succeed later. */
const RETRYABLE_STATES = ["55P03", "40P01", "40001"];

/** The pause between two batches, milliseconds, in which others get their turn. */
const BATCH_REST_MS = 10;
/** A statement that still changes rows after this many batches never ends. */
const BATCHES_MAX = 1_000_000;

/** The record of applied migrations. Earlier releases use the same table. */
const REMEMBERED = "drizzle.__drizzle_migrations";

/** Options of a migration. */
export interface MigrateOptions {
  /** The folder of the migrations. @default this release's */
  readonly folder?: URL;
  /** @default 1000 */
  readonly lockTimeoutMs?: number;
  /** Logs waits and applied migrations. @default none */
  readonly log?: Pick<Logger, "info" | "warn">;
}

/** The dependencies of applying a migration. */
interface Ground {
  readonly client: Sql;
  readonly lockTimeoutMs: number;
  readonly log: Pick<Logger, "info" | "warn"> | undefined;
}

/** A migration failed. The message has its name, the cause has the reason. */
export class MigrationError extends Error {
  override readonly name = "MigrationError";
  /** The SQLSTATE of the cause, for callers. */
  readonly code: string | undefined;

  constructor(tag: string, cause: unknown) {
    super(`migration ${tag} failed`, { cause });
    this.code = sqlState(cause) ?? undefined;
  }
}

/**
 * Waits by polling. A statement that waits in the database holds a snapshot, and `create index concurrently` in the
 * migrating process would wait for that snapshot.
 */
async function takeLock({ client, log }: Pick<Ground, "client" | "log">): Promise<void> {
  for (let tried = 1; tried <= LOCK_TRIES_MAX; tried++) {
    const [row] = await client`select pg_try_advisory_lock(${MIGRATION_LOCK}) as taken`;
    if (row?.taken === true) return;
    if (tried === 1) log?.info("another process migrates the database; waiting for it");
    await delay(LOCK_POLL_MS);
  }
  throw new MigrationError("any", new RangeError("another process has been migrating for an hour"));
}

async function prepareRecord(client: Sql): Promise<void> {
  await client.unsafe("create schema if not exists drizzle");
  await client.unsafe(
    `create table if not exists ${REMEMBERED} (id serial primary key, hash text not null, created_at bigint)`,
  );
}

async function readApplied(from: Sql): Promise<Set<number>> {
  const rows = await from.unsafe<{ at: string }[]>(`select created_at::text as at from ${REMEMBERED}`);
  return new Set(rows.map(({ at }) => Number(at)));
}

const remember = (to: Pick<Sql, "unsafe">, { hash, when }: Migration) =>
  to.unsafe(`insert into ${REMEMBERED} (hash, created_at) values ($1, $2)`, [hash, when]);

/** Applies all of a migration or nothing. The record's lock admits one process, even if the session's lock was lost. */
function applyWhole({ client, lockTimeoutMs }: Ground, migration: Migration): Promise<unknown> {
  return client.begin(async (tx) => {
    await tx.unsafe(`set local lock_timeout = ${lockTimeoutMs}`);
    await tx.unsafe(`lock table ${REMEMBERED} in share row exclusive mode`);
    const again = await tx.unsafe(`select 1 from ${REMEMBERED} where created_at = $1`, [migration.when]);
    if (again.length > 0) return;
    for (const statement of migration.statements) await tx.unsafe(statement);
    await remember(tx, migration);
  });
}

/**
 * An interrupted build leaves an invalid index, which `if not exists` would keep. Concurrent builds wait for
 * transactions and block nobody, so there is no lock timeout.
 */
async function applyConcurrently({ client }: Ground, migration: Migration): Promise<void> {
  await client.unsafe("set lock_timeout = 0; set statement_timeout = 0");
  for (const statement of migration.statements) {
    const [, name] =
      /\bcreate\s+(?:unique\s+)?index\s+concurrently\s+if\s+not\s+exists\s+(\w+)/i.exec(statement) ?? [];
    if (name !== undefined) {
      const [broken] = await client`
        select 1 from pg_index where indexrelid = to_regclass(${name}) and not indisvalid`;
      if (broken !== undefined) await client`drop index concurrently if exists ${client(name)}`;
    }
    await client.unsafe(statement);
  }
  await remember(client, migration);
}

/** Continues after an interruption: the statement's condition excludes finished rows. */
async function applyInBatches({ client, lockTimeoutMs }: Ground, migration: Migration): Promise<void> {
  await client.unsafe(`set lock_timeout = ${lockTimeoutMs}`);
  for (let batch = 0; batch < BATCHES_MAX; batch++) {
    let changed = 0;
    for (const statement of migration.statements) changed += (await client.unsafe(statement)).count;
    if (changed === 0) return void (await remember(client, migration));
    await delay(BATCH_REST_MS);
  }
  throw new MigrationError(
    migration.tag,
    new RangeError(`it still changes rows after ${BATCHES_MAX} batches`),
  );
}

const APPLY = { transaction: applyWhole, concurrent: applyConcurrently, batches: applyInBatches } as const;

/** Applies a migration, and retries while other sessions hold its tables. */
async function apply(ground: Ground, migration: Migration): Promise<void> {
  for (let tried = 1; ; tried++) {
    try {
      await APPLY[migration.kind](ground, migration);
      return;
    } catch (cause) {
      if (tried >= TRIES_MAX || !RETRYABLE_STATES.includes(sqlState(cause) ?? ""))
        throw cause instanceof MigrationError ? cause : new MigrationError(migration.tag, cause);
      ground.log?.warn(
        { migration: migration.tag, tried },
        "a migration waits for a table that is in use; it will be tried again",
      );
      await delay(backoffMs(tried - 1, RETRY_BACKOFF, Math.random));
    }
  }
}

/**
 * Migrates the database to this release, while processes of this release or the one before serve. Safe to call from
 * several processes at once: one holds a session lock and migrates, the others wait. Each migration is a transaction
 * that waits only briefly for locks, so running replicas pause only for a moment. Applied migrations stay if a later
 * one fails.
 * @param url the server itself: a pooler in transaction mode does not keep a session's lock.
 * @throws MigrationError with the migration's name; the database's own error if it cannot be reached.
 */
export async function migrate(url: string, options: MigrateOptions = {}): Promise<void> {
  const client = postgres(url, { max: 1, onnotice: () => {}, max_lifetime: null });
  const { lockTimeoutMs = LOCK_TIMEOUT_MS, log } = options;
  try {
    const migrations = await readMigrations(options.folder ?? new URL(`${FOLDERS.migrations.href}/`));
    await takeLock({ client, log });
    await prepareRecord(client);
    const applied = await readApplied(client);
    const missing = migrations.filter(({ when }) => !applied.has(when));
    for (const migration of missing) await apply({ client, lockTimeoutMs, log }, migration);
    if (missing.length > 0) log?.info({ migrations: missing.length }, "the database is at this release");
  } finally {
    await client.end({ timeout: 5 });
  }
}
