import { cp, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { Incarnations, incarnationOf } from "./incarnation.ts";
import { heartbeatPeriodicJob, openInstallation } from "./installation.ts";
import { migrate } from "./migrate.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./postgres/start.ts";
import { inTransaction } from "./transaction.ts";

/** Writes something, so that the position rises. */
async function write(deps: TestDeps): Promise<void> {
  await deps.database.db.execute(
    sql`insert into change (workspace_id, kind) values (gen_random_uuid(), 'run')`,
  );
}

async function current(deps: TestDeps) {
  deps.incarnations.forget();
  return await deps.incarnations.current();
}

describe("a database on a running server", () => {
  let database: TestDatabase;
  let deps: TestDeps;
  beforeAll(async () => {
    database = await createTestDatabase();
    deps = await openTestDeps({ url: database.url });
  });
  afterAll(async () => {
    await deps.close();
    await database.drop();
  });

  test("keeps its incarnation in every process, and its position rises", async () => {
    const others = Array.from({ length: 4 }, () => new Incarnations(deps));
    const [first, ...rest] = await Promise.all([deps.incarnations, ...others].map((one) => one.current()));
    expect(rest.map(({ id }) => id)).toEqual(Array(4).fill(first?.id));
    expect(first?.ageMs).toBe(null);
    await write(deps);
    const later = await current(deps);
    expect(later.id).toBe(first?.id);
    expect(later.position).toBeGreaterThan(first?.position ?? Number.POSITIVE_INFINITY);
  });

  test("takes the id of an earlier release, and keeps it visible to that release", async () => {
    const known = async () => {
      const [row] = await deps.database.sql<{ incarnation: string }[]>`select incarnation from installation`;
      return row?.incarnation;
    };
    await deps.database.sql`delete from incarnation`;
    expect((await current(deps)).id).toBe(await known());
    await deps.database.sql`update incarnation set identity = 'another'`;
    expect((await current(deps)).id).toBe(await known());
    await deps.database.sql`update incarnation set identity = 'another'`;
    await deps.database.sql`update installation set incarnation = gen_random_uuid()`;
    expect((await current(deps)).id).toBe(await known());
  });

  test("is another incarnation once a copy has replaced it, and nobody returns the old one", async () => {
    const copy = await database.snapshot();
    const before = await deps.incarnations.current();
    await copy.goBack();
    await write(deps).catch(() => write(deps));
    // The lost connections alone have dropped the cached incarnation.
    const after = await deps.incarnations.current();
    expect(after.id).not.toBe(before.id);
    expect(after.ageMs).toBeGreaterThanOrEqual(0);
    expect((await current(deps)).id).toBe(after.id);
  });

  test("has no incarnation in a transaction before it is recorded", async () => {
    await deps.incarnations.current();
    const read = () => inTransaction(deps, (tx) => incarnationOf(tx, deps.clock));
    expect((await read())?.id).toBe((await deps.incarnations.current()).id);
    await deps.database.sql`update incarnation set identity = 'another'`;
    expect(await read()).toBe(null);
    await heartbeatPeriodicJob.runOnce(deps);
    expect((await read())?.id).toBe((await deps.incarnations.current()).id);
  });

  test("keeps only the last incarnations", async () => {
    await deps.database.sql`insert into incarnation (id, identity)
      select gen_random_uuid(), 'past' from generate_series(1, 300)`;
    const { id } = await current(deps);
    const rows = await deps.database.sql<{ id: string }[]>`select id from incarnation order by number desc`;
    expect(rows.length).toBeLessThanOrEqual(101);
    expect(rows[0]?.id).toBe(id);
  });
});

describe("a server of the test's own", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "towpath-incarnation-"));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  const start = () =>
    startEmbeddedPostgres({ dir: join(dir, "postgres"), log: () => {}, settings: { fsync: "off" } });

  /** What a process reads that began with this server. */
  async function readFrom({ url, continues }: Pick<EmbeddedPostgres, "url" | "continues">) {
    const deps = await openTestDeps({ url });
    const { id, ageMs } = await new Incarnations({ ...deps, continues }).current();
    await deps.close();
    return { id, ageMs, continues };
  }

  test("that was stopped cleanly is the same incarnation, and one that was killed is another", async () => {
    const first = await start();
    await migrate(first.url);
    const deps = await openTestDeps({ url: first.url });
    await openInstallation(deps);
    await deps.close();
    const began = await readFrom(first);
    await first.stop();

    const second = await start();
    expect(await readFrom(second)).toEqual({ ...began, continues: true });
    process.kill(second.pid, "SIGKILL");
    await second.stop();

    const third = await start();
    const after = await readFrom(third);
    expect(after).toMatchObject({ continues: false });
    expect(after.id).not.toBe(began.id);
    await third.stop();

    // As a backup that was taken while nothing ran, and is restored.
    await cp(third.dataDir, join(dir, "kept"), { recursive: true, preserveTimestamps: true });
    await rm(third.dataDir, { recursive: true });
    await rename(join(dir, "kept"), third.dataDir);
    const fourth = await start();
    expect(await readFrom(fourth)).toMatchObject({ continues: false });
    await fourth.stop();
    await rm(join(dir, "postgres"), { recursive: true });
  }, 240_000);

  test("with a data directory that was copied and restored is another incarnation at a lower position", async () => {
    const first = await start();
    await migrate(first.url);
    const deps = await openTestDeps({ url: first.url });
    await openInstallation(deps);
    const began = await deps.incarnations.current();
    await deps.close();
    await first.stop();
    await cp(first.dataDir, join(dir, "copy"), { recursive: true });

    const second = await start();
    const later = await openTestDeps({ url: second.url });
    for (let writes = 0; writes < 500; writes++) await write(later);
    const wrote = await later.incarnations.current();
    await later.close();
    await second.stop();
    expect(wrote.id).not.toBe(began.id);

    await rm(second.dataDir, { recursive: true });
    await rename(join(dir, "copy"), second.dataDir);
    const third = await start();
    const back = await openTestDeps({ url: third.url });
    const restored = await back.incarnations.current();
    await back.close();
    await third.stop();
    expect([began.id, wrote.id]).not.toContain(restored.id);
    expect(restored.position).toBeLessThan(wrote.position);
  }, 240_000);
});
