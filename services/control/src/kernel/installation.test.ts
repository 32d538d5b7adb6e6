import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { manualClock } from "./clock.ts";
import { heartbeatDuty, openInstallation, reachableSince } from "./installation.ts";

const startMs = Date.now();
const clock = manualClock(startMs);
let database: TestDatabase;
let deps: TestDeps;
beforeAll(async () => {
  database = await createTestDatabase();
  deps = await openTestDeps({ url: database.url, clock });
});
afterAll(async () => {
  await deps.close();
  await database.drop();
});

const since = async () => {
  const [row] = await deps.database.db.execute<{ since: string }>(
    sql`select ${reachableSince(clock)}::text as since`,
  );
  return row?.since === "infinity" ? Number.POSITIVE_INFINITY : Date.parse(row?.since ?? "");
};

test("every process finds the same secret", async () => {
  const secrets = await Promise.all(Array.from({ length: 4 }, () => openInstallation(deps)));
  for (const secret of secrets) expect(Buffer.from(secret).equals(deps.sessionSecret)).toBe(true);
});

test("signs of life without a pause leave the instant of recovery alone", async () => {
  for (let beats = 0; beats < 10; beats++) {
    clock.advance(2_000);
    await heartbeatDuty.runOnce(deps);
  }
  expect(await since()).toBe(startMs);
});

test("nobody counts as reachable while no process gives a sign of life, and the grace begins again after it", async () => {
  clock.advance(60 * 60_000);
  expect(await since()).toBe(Number.POSITIVE_INFINITY);
  await heartbeatDuty.runOnce(deps);
  expect(await since()).toBe(clock.nowMs());
});
