import { afterAll, beforeAll, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { manualClock } from "./clock.ts";
import { heartbeatPeriodicJob, openInstallation, reachableSince } from "./installation.ts";

const startMs = Date.now();
const clock = manualClock(startMs);
const leases = { leaseMs: 30_000, renewIntervalMs: 10_000 };
let database: TestDatabase;
let deps: TestDeps;
beforeAll(async () => {
  database = await createTestDatabase();
  deps = await openTestDeps({ url: database.url, clock, config: leases });
});
afterAll(async () => {
  await deps.close();
  await database.drop();
});

const NEVER = Number.POSITIVE_INFINITY;

async function since(config = leases): Promise<number> {
  const [row] = await deps.database.db.execute<{ since: string }>(
    sql`select ${reachableSince(clock, config)}::text as since`,
  );
  return row?.since === "infinity" ? NEVER : Date.parse(row?.since ?? "");
}

/** The heartbeats of another process of the control plane. */
async function other(process: string, args: { fromMs: number; toMs: number }): Promise<void> {
  const [from, to] = [args.fromMs, args.toMs].map((ms) => new Date(ms).toISOString());
  await deps.database.db.execute(sql`
    insert into presence (process, recovered_at, heartbeat_at) values (${process}, ${from}, ${to})
    on conflict (process) do update set recovered_at = ${from}, heartbeat_at = ${to}`);
}

const [FIRST, SECOND] = ["00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"];

test("every process reads the same secret", async () => {
  const secrets = await Promise.all(Array.from({ length: 4 }, () => openInstallation(deps)));
  for (const secret of secrets) expect(Buffer.from(secret).equals(deps.sessionSecret)).toBe(true);
});

test("the control plane does not count as reachable before the first heartbeat", async () => {
  expect(await since()).toBe(NEVER);
});

test("heartbeats without a pause do not change the time of recovery", async () => {
  for (let beats = 0; beats < 10; beats++) {
    await heartbeatPeriodicJob.runOnce(deps);
    clock.advance(2_000);
  }
  expect(await since()).toBe(startMs);
});

test("the control plane does not count as reachable without heartbeats, and the grace begins again after them", async () => {
  clock.advance(60 * 60_000);
  expect(await since()).toBe(NEVER);
  await heartbeatPeriodicJob.runOnce(deps);
  expect(await since()).toBe(clock.nowMs());
});

test("shorter leases make shorter pauses count as outages, so that none ends unnoticed", async () => {
  await heartbeatPeriodicJob.runOnce(deps);
  clock.advance(1_500);
  expect(await since()).toBeLessThan(clock.nowMs());
  expect(await since({ leaseMs: 2_000, renewIntervalMs: 400 })).toBe(NEVER);
});

test.each([1, 50, 900, 4_000, 14_000])(
  "a restart after %i ms counts as an absence, though no pause was that long",
  async (awayMs) => {
    await deps.database.db.execute(sql`delete from presence`);
    const diedMs = clock.nowMs();
    await other(FIRST, { fromMs: diedMs - 3_600_000, toMs: diedMs });
    clock.advance(awayMs);
    await heartbeatPeriodicJob.runOnce(deps);
    expect(await since()).toBe(clock.nowMs());
  },
);

test("a restart beside another process hides reachability at most until the next heartbeat", async () => {
  await deps.database.db.execute(sql`delete from presence`);
  const beganMs = clock.nowMs() - 3_600_000;
  await other(FIRST, { fromMs: beganMs, toMs: clock.nowMs() - 1_000 });
  await heartbeatPeriodicJob.runOnce(deps);
  expect(await since()).toBe(clock.nowMs());
  clock.advance(4_000);
  await other(FIRST, { fromMs: beganMs, toMs: clock.nowMs() });
  expect(await since()).toBe(beganMs);
});

test("overlapping processes count as one presence, however many there were", async () => {
  await deps.database.db.execute(sql`delete from presence`);
  const beganMs = clock.nowMs();
  await other(FIRST, { fromMs: beganMs, toMs: beganMs + 20_000 });
  await other(SECOND, { fromMs: beganMs + 15_000, toMs: beganMs + 60_000 });
  clock.advance(60_000);
  expect(await since()).toBe(beganMs);
  await heartbeatPeriodicJob.runOnce(deps);
  expect(await since()).toBe(beganMs);
  clock.advance(1);
  await other(SECOND, { fromMs: beganMs + 25_000, toMs: beganMs + 60_000 });
  expect(await since()).toBe(beganMs + 25_000);
});
