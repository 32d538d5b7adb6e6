import { LIMITS } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { systemScope } from "../kernel/index.ts";
import { getLogs } from "../logs/index.ts";
import { getRun, listRuns, listTaskRuns } from "../runs/index.ts";
import { SLOT_FAULTS } from "../slot-faults.fixture.ts";
import { createTenant } from "../tenant.fixture.ts";
import { openTestEnv, type TestEnv } from "../test-env.fixture.ts";
import { SMALL } from "./flow.ts";
import { type Seeded, seedDemo } from "./seed.ts";

interface Filled {
  readonly testEnv: TestEnv;
  readonly workspaceId: string;
  readonly seeded: Seeded;
}

async function fill(seed: number): Promise<Filled> {
  const testEnv = await openTestEnv(await createTestDatabase());
  const { workspaceId } = await createTenant(testEnv.deps);
  const nowMs = testEnv.clock.nowMs();
  const seeded = await seedDemo(
    { deps: testEnv.deps, workspaceId, seed, nowMs, extent: SMALL },
    () => undefined,
  );
  return { testEnv, workspaceId, seeded };
}

let first: Filled;
let second: Filled;
let other: Filled;
beforeAll(async () => {
  [first, second, other] = await Promise.all([fill(7), fill(7), fill(8)]);
}, 240_000);
afterAll(() => Promise.all([first, second, other].map(({ testEnv }) => testEnv.close())));

function historyOf({ testEnv }: Filled) {
  return testEnv.deps.database.db.execute(
    sql`select id, deployment, version, state, cause, trigger ->> 'kind' as trigger, created_at, ended_at,
      error ->> 'message' as message from run_history
      where trigger ->> 'kind' <> 'backfill' order by id`,
  );
}

test("the same seed and time make the same history, and another seed makes another", async () => {
  const [one, same, another] = await Promise.all([first, second, other].map(historyOf));
  expect(one?.length).toBeGreaterThan(3_000);
  expect(same).toEqual(one);
  expect(another).not.toEqual(one);
});

test("every run, attempt and task run is in its partition and within its parent", async () => {
  const [faults] = await first.testEnv.deps.database.db.execute(sql`select
    (select count(*) from run_history r where not exists (select 1 from attempt_history a
      where a.workspace_id = r.workspace_id and a.run_id = r.id and a.id = r.attempt_id and a.run_ended_at = r.ended_at)) as "runs without attempt",
    (select count(*) from run_history r where not exists (select 1 from run_key k
      where k.workspace_id = r.workspace_id and k.run_id = r.id and k.ended_at = r.ended_at)) as "ids that are free",
    (select count(*) from attempt_history a join run_history r on r.workspace_id = a.workspace_id and r.id = a.run_id
      where a.created_at < r.created_at or a.ended_at > r.ended_at or a.ended_at < a.started_at) as "attempts outside",
    (select count(*) from task_run_history t join attempt_history a on a.id = t.attempt_id
      where t.created_at < a.started_at or t.ended_at > a.ended_at or t.ended_at < t.started_at) as "tasks outside",
    (select count(*) from run_history_default) as "rows without a month",
    (select count(*) from schedule_instant i where i.run_id is not null and not exists (select 1 from run_key k
      where k.workspace_id = i.workspace_id and k.run_id = i.run_id)) as "instants of no run",
    (select count(*) from attempt_history a where a.next_line <> (select coalesce(sum(l.line_count), 0) from log_chunk l
      where l.attempt_id = a.id)) as "logs that are shorter than they say"`);
  expect(Object.entries(faults ?? {}).filter(([, count]) => Number(count) !== 0)).toEqual([]);
});

test("slots in use are those of open runs", async () => {
  expect(await first.testEnv.deps.database.db.execute(SLOT_FAULTS)).toEqual([]);
});

test("a worker that ran an attempt serves its pool, and was seen later", async () => {
  const [faults] = await first.testEnv.deps.database.db.execute(sql`select
    (select count(*)::int from run_history r where not exists (select 1 from worker w where w.pool_id = r.pool_id)) as "runs of pools without worker",
    (select count(*)::int from attempt_history a join run_history r on r.workspace_id = a.workspace_id and r.id = a.run_id
      join worker w on w.id = a.worker_id where w.pool_id <> r.pool_id) as "runs of workers of other pools",
    (select count(*)::int from attempt_history a join worker w on w.id = a.worker_id where a.ended_at > w.last_seen_at) as "ends after their worker went"`);
  expect(faults).toEqual({
    "runs of pools without worker": 0,
    "runs of workers of other pools": 0,
    "ends after their worker went": 0,
  });
});

test("records of a run are from the time when it ran", async () => {
  const [found] = await first.testEnv.deps.database.db.execute(sql`select
    count(*) filter (where l.received_at < a.started_at or l.received_at > a.ended_at)::int as outside, count(*) > 0 as any
    from log_chunk l join attempt_history a on a.workspace_id = l.workspace_id and a.id = l.attempt_id`);
  expect(found).toEqual({ outside: 0, any: true });
});

test("the demo has runs in every state", async () => {
  const { testEnv, workspaceId } = first;
  const scope = systemScope(workspaceId);
  const states = [
    "running",
    "suspended",
    "blocked",
    "ready",
    "scheduled",
    "failed",
    "cancelled",
    "completed",
  ] as const;
  for (const state of states) {
    const { items } = await listRuns(testEnv.deps, scope, { state: [state], limit: 5 });
    expect(items.length, state).toBeGreaterThan(0);
  }
});

test("the wide run has its tasks, and the long log its lines", async () => {
  const { testEnv, workspaceId, seeded } = first;
  const scope = systemScope(workspaceId);
  const wide = await getRun(testEnv.deps, scope, { runId: seeded.wideRun, from: testEnv.deps.database.db });
  expect(wide.state).toBe("failed");
  const { items } = await listTaskRuns(testEnv.deps, scope, {
    runId: seeded.wideRun,
    limit: LIMITS.pageRows,
  });
  expect(items.length).toBe(LIMITS.pageRows);
  const after = `1:${SMALL.logLines - 10}`;
  const page = await getLogs(testEnv.deps, scope, { runId: seeded.longLog, after, limit: 100 });
  expect(page.entries).toHaveLength(10);
  expect(page.end).toBe(true);
});

test("the change feed has recent ends", async () => {
  const { testEnv, workspaceId } = first;
  const [found] = await testEnv.deps.database.db.execute<{ recent: number; changed: number }>(sql`select
    (select count(*)::int from run_history where ended_at > ${new Date(testEnv.clock.nowMs() - 23 * 3_600_000).toISOString()}::timestamptz) as recent,
    (select count(distinct run_id)::int from change where kind = 'run' and workspace_id = ${workspaceId}) as changed`);
  expect(found?.recent).toBeGreaterThan(100);
  expect(found?.changed).toBeGreaterThanOrEqual(found?.recent ?? 0);
});

test("notifiers have deliveries for failures and recoveries, and none waits to be sent", async () => {
  const { database } = first.testEnv.deps;
  const notifiers = await database.db.execute<{ name: string; url: string }>(
    sql`select name, url from notifier where workspace_id = ${first.workspaceId} order by name`,
  );
  expect(notifiers.map(({ name }) => name)).toEqual(["data-team", "finance-pager", "status-board"]);
  // A try refuses such a host name before a look-up.
  for (const { url } of notifiers) expect(new URL(url).hostname).toMatch(/\.localhost$/);
  const deliveries = await database.db.execute<{ event: string; waiting: number }>(
    sql`select event, count(*) filter (where state = 'waiting' or next_at is not null)::int as waiting
      from notifier_delivery where workspace_id = ${first.workspaceId} group by event order by event`,
  );
  expect([...deliveries]).toEqual([
    { event: "failure", waiting: 0 },
    { event: "recovery", waiting: 0 },
    { event: "test", waiting: 0 },
  ]);
});

test("some deployments are failing: none of their runs has completed since", async () => {
  const found = await first.testEnv.deps.database.db.execute<{ deployment: string; message: string }>(sql`
    select r.deployment, r.error ->> 'message' as message from run r
    where r.workspace_id = ${first.workspaceId} and r.state = 'failed' and not exists (select 1 from run o
      where o.workspace_id = r.workspace_id and o.deployment = r.deployment and o.ended_at > r.ended_at and o.state = 'completed')
    order by r.ended_at`);
  expect(found.map(({ deployment }) => deployment)).toEqual(
    expect.arrayContaining(["warehouse-nightly", "export-partners"]),
  );
  for (const { message } of found) expect(message).not.toBe("");
});
