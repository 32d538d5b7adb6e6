import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { sql } from "#sql";
import {
  createTestDatabase,
  findPgBouncer,
  type PgBouncer,
  startPgBouncer,
  type TestDatabase,
} from "../../../test/harness/index.ts";
import { type Database, openDatabase, parseConfig } from "./kernel/index.ts";
import { startServer } from "./server.ts";

const program = findPgBouncer();

/** All clients share one connection to the server, so state of one session would leak into the next. */
const SHARED = 1;

describe.skipIf(program === undefined)("behind PgBouncer in transaction mode", () => {
  let database: TestDatabase;
  let bouncer: PgBouncer;
  let stateDir: string;
  let pooled: Database;
  beforeAll(async () => {
    database = await createTestDatabase();
    bouncer = await startPgBouncer({ program: program ?? "", url: database.url, connections: SHARED });
    stateDir = await mkdtemp(join(tmpdir(), "towpath-pooled-"));
  });
  afterAll(async () => {
    await bouncer[Symbol.asyncDispose]();
    await database.drop();
    await rm(stateDir, { recursive: true, force: true });
  });
  beforeEach(() => {
    const at = { url: bouncer.through(database.url), directUrl: database.url, isPooled: true, read: null };
    pooled = openDatabase(at, { readTimeoutMs: 300, workTimeoutMs: 7_000, idleTransactionMs: 2_000 });
  });
  afterEach(() => pooled.close());

  const SETTINGS = sql`select current_setting('statement_timeout') as statement,
    current_setting('idle_in_transaction_session_timeout') as idle`;

  test("statements have time limits, alone and in transactions, and leave none behind for others", async () => {
    const work = [{ statement: "7s", idle: "2s" }];
    expect([...(await pooled.db.execute(SETTINGS))]).toEqual(work);
    expect([...(await pooled.reads.execute(SETTINGS))]).toEqual([{ statement: "300ms", idle: "2s" }]);
    expect(await pooled.db.transaction(async (tx) => [...(await tx.execute(SETTINGS))])).toEqual(work);
    const other = postgres(bouncer.through(database.url), { max: 1, prepare: false });
    expect(await other`select current_setting('statement_timeout') as statement`).toEqual([
      { statement: "0" },
    ]);
    await other.end();
  });

  test("a slow read is ended, and its connection stays usable", async () => {
    const slow = pooled.reads.execute(sql`select pg_sleep(60)`);
    await expect(slow).rejects.toMatchObject({ cause: { code: "57014" } });
    expect([...(await pooled.reads.execute(sql`select 1 as one`))]).toEqual([{ one: 1 }]);
  });

  test("many statements at once share one connection, with parameters, arrays and named statements", async () => {
    const named = pooled.db
      .select({ n: sql<number>`${sql.placeholder("n")}::int` })
      .from(sql`(select) as one`);
    const prepared = named.prepare("named");
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        n % 2 === 0
          ? prepared.execute({ n })
          : pooled.db.transaction((tx) =>
              tx.select({ n: sql<number>`${n}::int` }).from(sql`(select) as one`),
            ),
      ),
    );
    expect(answers.map(([row]) => row?.n)).toEqual(Array.from({ length: 40 }, (_, n) => n));
  });

  const env = () => ({
    DATABASE_URL: bouncer.through(database.url),
    TOWPATH_STATE_DIR: stateDir,
    TOWPATH_PORT: "0",
  });
  const start = (more: Record<string, string>) =>
    startServer(parseConfig({ ...env(), ...more }), { log: pino({ level: "silent" }) });

  test("without a direct address the control plane does not start, and names the variable to set", async () => {
    await expect(start({})).rejects.toMatchObject({
      code: "pooler-without-direct-url",
      message: expect.stringContaining("Set DATABASE_DIRECT_URL"),
    });
  });

  test("a direct address that leads to the pooler, or to another database, is refused", async () => {
    await expect(start({ DATABASE_DIRECT_URL: bouncer.through(database.url) })).rejects.toMatchObject({
      code: "direct-url-is-pooled",
    });
    await using other = await createTestDatabase();
    await expect(start({ DATABASE_DIRECT_URL: other.url })).rejects.toMatchObject({
      code: "different-databases",
    });
  });

  test("with a direct address it starts, migrates, and a second one receives its wake-ups", async () => {
    const direct = { DATABASE_DIRECT_URL: database.url };
    const [one, other] = [
      await start(direct),
      await start({ ...direct, TOWPATH_STATE_DIR: `${stateDir}-2` }),
    ];
    try {
      const heard = Promise.withResolvers<void>();
      other.deps.wakes.subscribe("run", "a", () => heard.resolve());
      one.deps.wakes.publish("run", ["a"]);
      await heard.promise;
      expect((await fetch(`${other.url}/readyz`)).status).toBe(200);
    } finally {
      await Promise.all([one.close(), other.close()]);
      await rm(`${stateDir}-2`, { recursive: true, force: true });
    }
  });
});
