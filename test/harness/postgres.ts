import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { inject } from "vitest";
import { migrate } from "../../services/control/src/kernel/migrate.ts";
import "./postgres-setup.ts";

const TEMPLATE = "towpath_template";

/** The key of the advisory lock under which one process builds the template while others wait. */
const TEMPLATE_LOCK = 7_206_001;

/** A migrated database for one test file. */
export interface TestDatabase extends AsyncDisposable {
  url: string;
  name: string;
  /**
   * Copies the database and closes all its connections. Going back replaces the database by the copy under the same name:
   * later writes are lost.
   */
  snapshot(): Promise<{ goBack(): Promise<void> }>;
  /** Drops the database and closes its connections. Idempotent. */
  drop(): Promise<void>;
}

/**
 * Makes a database for one test file: a clone of a migrated template.
 * Works under `vitest` with this project's configuration, which starts the server.
 * @example
 * const database = await createTestDatabase();
 * afterAll(() => database.drop());
 */
export async function createTestDatabase(): Promise<TestDatabase> {
  await ensureTemplate();
  return createDatabase(TEMPLATE);
}

/** Makes a database without tables, for tests of the migrations. */
export function createEmptyDatabase(): Promise<TestDatabase> {
  return createDatabase("template0");
}

async function createDatabase(template: string): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString("hex")}`;
  await withAdmin((admin) => admin`create database ${admin(name)} template ${admin(template)}`);
  const drop = async () => {
    await withAdmin((admin) => admin`drop database if exists ${admin(name)} with (force)`);
  };
  return { url: databaseUrl(name), name, drop, snapshot: () => snapshot(name), [Symbol.asyncDispose]: drop };
}

async function snapshot(name: string): Promise<{ goBack(): Promise<void> }> {
  const copy = `${name}_${randomBytes(4).toString("hex")}`;
  await withAdmin(async (admin) => {
    // A template must have no connections, and clients that are cut off connect again at once.
    await admin`alter database ${admin(name)} allow_connections false`;
    await admin`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name}`;
    await admin`create database ${admin(copy)} template ${admin(name)}`;
    await admin`alter database ${admin(name)} allow_connections true`;
  });
  const goBack = () =>
    withAdmin(async (admin) => {
      await admin`drop database ${admin(name)} with (force)`;
      await admin`alter database ${admin(copy)} rename to ${admin(name)}`;
    });
  return { goBack };
}

/** The first test file that needs the template builds it: a run without database tests does not pay for migrations. */
async function ensureTemplate(): Promise<void> {
  await withAdmin(async (admin) => {
    await admin`select pg_advisory_lock(${TEMPLATE_LOCK})`;
    const [found] = await admin`select 1 from pg_database where datname = ${TEMPLATE}`;
    if (found !== undefined) return;
    const building = `${TEMPLATE}_building`;
    await admin`drop database if exists ${admin(building)} with (force)`;
    await admin`create database ${admin(building)} template template0`;
    await migrate(databaseUrl(building));
    await admin`alter database ${admin(building)} rename to ${admin(TEMPLATE)}`;
  });
}

/** Opens one connection for one piece of work. Closing it also frees its advisory lock. */
async function withAdmin<T>(work: (admin: postgres.Sql) => Promise<T>): Promise<T> {
  const admin = postgres(inject("postgresUrl"), { max: 1, onnotice: () => undefined });
  try {
    return await work(admin);
  } finally {
    await admin.end({ timeout: 5 });
  }
}

function databaseUrl(name: string): string {
  const url = new URL(inject("postgresUrl"));
  url.pathname = `/${name}`;
  return url.href;
}
