import { expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { openDatabase } from "./database.ts";
import { prepared, reachDisk, UNHURRIED } from "./prepared.ts";

test("a commit that did not wait for the disk is there once the disk was reached", async () => {
  const { url, drop } = await createTestDatabase();
  const waiting = new URL(url);
  // The server of the tests waits for the disk as little as possible.
  waiting.searchParams.set("synchronous_commit", "on");
  const { db, close } = openDatabase(waiting.href);
  const place = async (which: "insert" | "flush") => {
    const [row] = await db.execute<{ at: string }>(
      sql.raw(`select pg_current_wal_${which}_lsn()::text as at`),
    );
    return row?.at ?? "";
  };
  const isOnDisk = async (at: string) => {
    const [row] = await prepared<{ yes: boolean }>(
      db,
      sql`select ${await place("flush")}::text::pg_lsn >= ${at}::text::pg_lsn as yes`,
    );
    return row?.yes;
  };
  for (let round = 0; round < 5; round++) {
    await prepared(
      db,
      sql`insert into presence (process, recovered_at, heartbeat_at)
      select gen_random_uuid(), now(), now() from (select ${UNHURRIED}) s`,
    );
    const at = await place("insert");
    await reachDisk(db);
    expect(await isOnDisk(at)).toBe(true);
  }
  await close();
  await drop();
});
