import type { Assignment } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../test/harness/index.ts";
import { FakeWorker, records } from "./fake-worker.fixture.ts";
import { heartbeatPeriodicJob } from "./kernel/index.ts";
import { createRun } from "./runs/index.ts";
import { LOOPS } from "./slices.ts";
import { openTenancy, openTestEnv, type TestEnv } from "./test-env.fixture.ts";

const DAY_MS = 86_400_000;

/** Tables that name runs, but have nothing that a run or its reader needs as long as the run is kept. */
const PASSING: ReadonlySet<string> = new Set([
  "backfill_run",
  "change",
  "notifier_delivery",
  "slot",
  "slot_wait",
]);

let testEnv: TestEnv;
beforeAll(async () => {
  const retentionMs = 30 * DAY_MS;
  testEnv = await openTestEnv(await createTestDatabase(), {
    historyRetentionMs: retentionMs,
    logRetentionMs: retentionMs,
  });
});
afterAll(() => testEnv.close());

/** Archives runs and deletes everything past its retention. No lease ends, however much time has passed. */
async function forget(): Promise<void> {
  const periodicJobs = LOOPS.filter(({ name }) =>
    /^(archive|forget-.*|.*-(retention|partitions))$/.test(name),
  );
  for (const periodicJob of periodicJobs) while ((await periodicJob.runOnce(testEnv.deps)).worked);
}

async function advance(days: number): Promise<void> {
  testEnv.clock.advance(days * DAY_MS);
  await heartbeatPeriodicJob.runOnce(testEnv.deps);
}

/** The number of rows that name a run or its attempt, by table, live and archived together. */
async function rowsOf({ runId, attemptId }: Assignment): Promise<Record<string, number>> {
  const { sql } = testEnv.deps.database;
  const tables = await sql<{ table: string; column: string }[]>`
    select k.relname as table, max(a.attname::text) as column from pg_class k join pg_attribute a on a.attrelid = k.oid
    where k.relkind in ('r', 'p') and not k.relispartition and k.relnamespace = 'public'::regnamespace
      and a.attname = any(case when k.relname in ('run', 'run_history') then '{id}'::name[] else '{run_id,attempt_id}'::name[] end)
    group by k.relname`;
  const found: Record<string, number> = {};
  for (const { table, column } of tables) {
    const id = column === "attempt_id" ? attemptId : runId;
    const [row] = await sql`select count(*)::int as count from ${sql(table)} where ${sql(column)} = ${id}`;
    const name = table.replace(/_history$/, "");
    if (!PASSING.has(name)) found[name] = (found[name] ?? 0) + Number(row?.count);
  }
  return found;
}

/** Inserts old rows into the tables that a report alone does not fill. */
async function leaveTraces({ runId, attemptId }: Assignment, workspaceId: string): Promise<void> {
  const { sql } = testEnv.deps.database;
  const at = new Date(testEnv.clock.nowMs()).toISOString();
  await sql`insert into wait (workspace_id, id, run_id, deployment, path, kind, state, created_at, settled_at)
    values (${workspaceId}, gen_random_uuid(), ${runId}, 'flow', 'w', 'until', 'satisfied', ${at}, ${at})`;
  await sql`insert into job (workspace_id, id, run_id, pool_id, deployment, version_id, version, name, state,
      intended_by, retries, cancels, created_at, ended_at)
    values (${workspaceId}, gen_random_uuid(), ${runId}, gen_random_uuid(), 'flow', gen_random_uuid(), 1, 'j', 'ended',
      gen_random_uuid(), 0, false, ${at}, ${at})`;
  await sql`insert into late_report (workspace_id, attempt_id, worker_id, epoch, reports, records, kinds,
      first_received_at, last_received_at)
    values (${workspaceId}, ${attemptId}, gen_random_uuid(), 1, 1, 1, '{log}', ${at}, ${at})`;
  await sql`insert into schedule_instant (workspace_id, schedule_id, at, run_id, decided_at)
    values (${workspaceId}, gen_random_uuid(), ${at}, ${runId}, ${at})`;
}

test("everything of a run stays until the retention after its end, however old it is", async () => {
  await forget();
  const tenancy = await openTenancy(testEnv);
  const { scope } = tenancy;
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  for (const key of ["going", "lately"])
    await createRun(testEnv.deps, scope, tenancy.request({ idempotencyKey: key }));
  const { assignments } = await fakeWorker.look({ free: 2 });
  const [going, lately] = assignments;
  if (going === undefined || lately === undefined) expect.fail("too few");
  const shown = { type: "artifact", at: "2026-01-15T12:00:00.000Z", key: "k", title: "", task: null };
  for (const fence of assignments) {
    const bulk = [records.log(0, ["one"]), { ...shown, body: { kind: "markdown", text: "x" } }];
    await fakeWorker.report(
      fence,
      [records.started, records.task("t", "begin"), records.task("t", "complete")],
      {
        bulk,
      },
    );
    await leaveTraces(fence, scope.workspaceId);
  }
  const before = await rowsOf(going);
  for (const [table, count] of Object.entries(before)) expect([table, count]).toEqual([table, 1]);

  await advance(64);
  const end = [records.ended("completed", { lastBulkSeq: 2 })];
  await fakeWorker.report(lately, end, { from: 4 });
  await advance(1);
  await forget();
  expect(await rowsOf(going)).toEqual(before);
  expect(await rowsOf(lately)).toEqual(before);

  await fakeWorker.report(going, end, { from: 4 });
  await advance(65);
  await forget();
  const none = Object.fromEntries(Object.keys(before).map((table) => [table, 0]));
  for (const fence of assignments) expect(await rowsOf(fence)).toEqual(none);
});
