import { type Assignment, derivedId, type FlowCall, Run, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { openTestApp } from "../app.fixture.ts";
import { FakeWorker, records } from "../fake-worker.fixture.ts";
import { call, cancelRun, createRun, getRun, listRuns, runsPeriodicJobs } from "../runs/index.ts";
import { SLICES } from "../slices.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../test-env.fixture.ts";
import { deleteRun } from "./remove-run.ts";

const AT = "2026-01-15T12:00:00.000Z";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const remove = (tenancy: Tenancy, runId: string) => deleteRun(testEnv.deps, tenancy.scope, { runId });

type AskedWait = Extract<FlowCall["call"], { kind: "wait" }>["wait"];

/** A run whose flow is at work. */
async function startedIn(tenancy: Tenancy, over: { idempotencyKey?: string } = {}) {
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request(over));
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  const ask = async (path: string, wait: AskedWait) => {
    const { attemptId, epoch, nonce } = given;
    const callId = await derivedId(id, path);
    const request = { attemptId, epoch, nonce, callId, call: { kind: "wait", path, wait } } as const;
    await call(testEnv.deps, fakeWorker.worker, request);
  };
  return { id, fakeWorker, given, ask };
}

/** A run that has ended, with tasks, lines, an artifact, a wait and a late report. */
async function ended(tenancy: Tenancy, over: { idempotencyKey?: string } = {}) {
  const flow = await startedIn(tenancy, over);
  await flow.ask("nap", { kind: "for", ms: 1 });
  const { fakeWorker, given } = flow;
  const body = { kind: "markdown", text: "x" };
  const picture = { type: "artifact", at: AT, key: "k", title: "", task: null, body };
  await fakeWorker.report(
    given,
    [
      records.task("t", "begin"),
      records.task("t", "complete"),
      records.ended("completed", { lastBulkSeq: 3 }),
    ],
    { from: 2, bulk: [records.log(0, ["one", "two"]), picture] },
  );
  await fakeWorker.report({ ...given, epoch: 1, nonce: "0".repeat(36) }, [records.started]);
  return { id: flow.id, given, fakeWorker };
}

async function archive(): Promise<void> {
  await testEnv.pass(testEnv.deps.config.archiveAfterMs + 1_000);
  const job = runsPeriodicJobs.find(({ name }) => name === "archive");
  while ((await job?.runOnce(testEnv.deps))?.worked);
}

/** What outlives a run: its taken keys, and changes for readers that have not seen them. */
const KEPT = ["change", "run_key", "idempotency_key"];

/** The tables that have rows of a run, found by their columns. */
async function tablesWith(runId: string, attemptId: string): Promise<string[]> {
  const { db } = testEnv.deps.database;
  const columns = await db.execute<{ table: string; column: string }>(sql`
    select c.table_name as table, c.column_name as column from information_schema.columns c
    join information_schema.tables t using (table_schema, table_name)
    where c.table_schema = 'public' and t.table_type = 'BASE TABLE'
      and (c.column_name in ('run_id', 'attempt_id') or c.column_name = 'id' and c.table_name in ('run', 'run_history'))`);
  const found = new Set<string>();
  for (const { table, column } of columns) {
    const id = column === "attempt_id" ? attemptId : runId;
    const rows = await db.execute(
      sql`select 1 from ${sql.identifier(table)} where ${sql.identifier(column)}::text = ${id} limit 1`,
    );
    if (rows.length > 0 && !KEPT.includes(table)) found.add(table);
  }
  return [...found].sort();
}

describe.each(["live", "archived"])("a %s run that has ended", (where) => {
  test("is removed with all that belongs to it, and nothing else is", async () => {
    const tenancy = await openTenancy(testEnv);
    const [one, other] = [await ended(tenancy), await ended(tenancy)];
    if (where === "archived") await archive();
    const before = await tablesWith(other.id, other.given.attemptId);
    expect(await tablesWith(one.id, one.given.attemptId)).toEqual(before);
    expect(before.length).toBeGreaterThanOrEqual(6);
    await remove(tenancy, one.id);
    expect(await tablesWith(one.id, one.given.attemptId)).toEqual([]);
    expect(await tablesWith(other.id, other.given.attemptId)).toEqual(before);
    const { items } = await listRuns(testEnv.deps, tenancy.scope, { limit: 10 });
    expect(items.map(({ id }) => id)).toEqual([other.id]);
    await expect(getRun(testEnv.deps, tenancy.scope, { runId: one.id })).rejects.toMatchObject({
      code: "run-not-found",
      detail: `Run ${one.id} was removed.`,
    });
  });

  test("is removed once, however often and by however many callers", async () => {
    const tenancy = await openTenancy(testEnv);
    const { id, given } = await ended(tenancy);
    if (where === "archived") await archive();
    await Promise.all([remove(tenancy, id), remove(tenancy, id), remove(tenancy, id)]);
    await remove(tenancy, id);
    expect(await tablesWith(id, given.attemptId)).toEqual([]);
  });

  test("leaves no line of a report that arrives at the same time", async () => {
    const tenancy = await openTenancy(testEnv);
    const { id, given, fakeWorker } = await ended(tenancy);
    if (where === "archived") await archive();
    const late = fakeWorker.report(given, [], { bulk: [records.log(2, ["three"])], bulkFrom: 3 });
    await Promise.all([late.catch(() => null), remove(tenancy, id)]);
    const left = await tablesWith(id, given.attemptId);
    expect(left.filter((table) => table !== "late_report")).toEqual([]);
  });

  test("of another workspace does not exist, and stays", async () => {
    const [tenancy, other] = [await openTenancy(testEnv), await openTenancy(testEnv)];
    const { id } = await ended(tenancy);
    if (where === "archived") await archive();
    await expect(remove(other, id)).rejects.toMatchObject({ code: "run-not-found" });
    expect((await getRun(testEnv.deps, tenancy.scope, { runId: id })).state).toBe("completed");
  });
});

test("the id and the key of a removed run stay taken until the retention of history", async () => {
  const tenancy = await openTenancy(testEnv);
  const asked = tenancy.request({ idempotencyKey: "daily" });
  await createRun(testEnv.deps, tenancy.scope, asked);
  await cancelRun(testEnv.deps, tenancy.scope, { runId: asked.id, reason: "" });
  await remove(tenancy, asked.id);
  const again = createRun(testEnv.deps, tenancy.scope, asked);
  await expect(again).rejects.toMatchObject({ code: "run-id-conflict" });
  const newId = createRun(testEnv.deps, tenancy.scope, { ...asked, id: uuidv7(testEnv.clock.nowMs()) });
  await expect(newId).rejects.toMatchObject({ code: "run-id-conflict" });
  const [key] = await testEnv.deps.database.sql`select ended_at from run_key where run_id = ${asked.id}`;
  expect(key?.ended_at).not.toBeNull();
});

test("a run that never existed is not found", async () => {
  const tenancy = await openTenancy(testEnv);
  const unknown = remove(tenancy, uuidv7(testEnv.clock.nowMs()));
  await expect(unknown).rejects.toMatchObject({ code: "run-not-found" });
});

describe("a run is not removed", () => {
  const refusal = async (tenancy: Tenancy, runId: string) =>
    expect(remove(tenancy, runId)).rejects.toMatchObject({ code: "run-in-use" });

  test("before it has ended", async () => {
    const tenancy = await openTenancy(testEnv);
    const { id } = await startedIn(tenancy);
    await expect(remove(tenancy, id)).rejects.toMatchObject({
      code: "run-transition-not-allowed",
      detail: `Run ${id} is running. Cancel it, or wait for its end, and remove it then.`,
    });
  });

  test("while the run that has started it may ask for its result again", async () => {
    const tenancy = await openTenancy(testEnv, { mayStart: ["flow"] });
    const parent = await startedIn(tenancy);
    const child = await childOf(tenancy, parent);
    await cancelRun(testEnv.deps, tenancy.scope, { runId: child, reason: "" });
    await refusal(tenancy, child);
    await archive();
    await refusal(tenancy, child);
    await parent.fakeWorker.report(parent.given, [records.ended("completed")], { from: 2 });
    await remove(tenancy, child);
  });

  test("while a run that waited for it goes on", async () => {
    const tenancy = await openTenancy(testEnv);
    const flow = await startedIn(tenancy);
    const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    await flow.ask("other", { kind: "run", runId: id });
    await cancelRun(testEnv.deps, tenancy.scope, { runId: id, reason: "" });
    await refusal(tenancy, id);
    await flow.fakeWorker.report(flow.given, [records.ended("completed")], { from: 2 });
    await remove(tenancy, id);
  });

  test("while a rerun reuses its results, also the rerun of a rerun", async () => {
    const tenancy = await openTenancy(testEnv);
    const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    const end = (runId: string) => cancelRun(testEnv.deps, tenancy.scope, { runId, reason: "" });
    await end(id);
    const first = await rerunOf(tenancy, id);
    await refusal(tenancy, id);
    await end(first);
    const second = await rerunOf(tenancy, first);
    await refusal(tenancy, id);
    await end(second);
    await remove(tenancy, id);
  });

  test("by a removal that races with a rerun: one of the two wins", async () => {
    const tenancy = await openTenancy(testEnv);
    for (let round = 0; round < 5; round++) {
      const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
      await cancelRun(testEnv.deps, tenancy.scope, { runId: id, reason: "" });
      const [rerun, removed] = await Promise.allSettled([rerunOf(tenancy, id), remove(tenancy, id)]);
      expect(rerun.status === "fulfilled").toBe(removed.status === "rejected");
    }
  });
});

/** Reruns a run from its failure. Rejects if it is refused. */
async function rerunOf({ scope }: Tenancy, runId: string): Promise<string> {
  const { deps } = testEnv;
  const app = openTestApp({ deps, slices: SLICES, identify: async () => ({ kind: "person", scope }) });
  const answer = await app.request(`/api/runs/${runId}/rerun`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ id: uuidv7(testEnv.clock.nowMs()), fromFailure: true }),
  });
  return Run.parse(await answer.json()).id;
}

/** Starts a child run from a flow. */
async function childOf(
  tenancy: Tenancy,
  parent: { id: string; given: Assignment; fakeWorker: FakeWorker },
): Promise<string> {
  const { attemptId, epoch, nonce } = parent.given;
  const callId = await derivedId(parent.id, "child");
  const start = { kind: "start-run", path: "child", deployment: "flow", parameters: {} } as const;
  const request = { attemptId, epoch, nonce, callId, call: start };
  await call(testEnv.deps, parent.fakeWorker.worker, request);
  expect((await getRun(testEnv.deps, tenancy.scope, { runId: callId })).state).toBe("ready");
  return callId;
}
