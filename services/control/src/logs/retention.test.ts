import { Problem } from "@towpath/contract";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { Barge, said } from "../barge.fixture.ts";
import { heartbeatDuty } from "../kernel/index.ts";
import { createRun, getRun, listRuns, type RunRequest } from "../runs/index.ts";
import { LOOPS } from "../slices.ts";
import { openTenancy, openTown, type Tenancy, type Town } from "../town.fixture.ts";
import { getLogs, listArtifacts } from "./index.ts";

const DAY_MS = 24 * 3_600_000;

let town: Town;
beforeAll(async () => {
  town = await openTown(await createTestDatabase(), {
    historyRetentionMs: 90 * DAY_MS,
    logRetentionMs: 30 * DAY_MS,
  });
});
afterAll(() => town.close());

/** Runs every timed duty until none has more to do. */
async function work(): Promise<void> {
  for (const duty of LOOPS) while ((await duty.runOnce(town.deps)).worked);
}

async function pass(days: number): Promise<void> {
  town.clock.advance(days * DAY_MS);
  await heartbeatDuty.runOnce(town.deps);
  await work();
}

async function ended(tenancy: Tenancy, over: Partial<RunRequest> = {}): Promise<string> {
  const { id } = await createRun(town.deps, tenancy.scope, tenancy.request(over));
  const barge = new Barge(town, await tenancy.worker());
  const fence = await barge.take();
  const at = "2026-01-15T12:00:00.000Z";
  const body = { kind: "markdown", text: "x" };
  const picture = { type: "artifact", at, key: "k", title: "", task: null, body };
  const bulk = [said.log(0, ["one", "two"]), picture];
  await barge.say(
    fence,
    [said.started, said.task("t", "begin"), said.ended("completed", { lastBulkSeq: 2 })],
    {
      bulk,
    },
  );
  await barge.say({ ...fence, epoch: 1, nonce: "0".repeat(36) }, [said.started]);
  return id;
}

async function count(table: string): Promise<number> {
  const [row] = await town.deps.database.db.execute<{ count: number }>(
    sql`select count(*)::int as count from ${sql.identifier(table)}`,
  );
  return row?.count ?? -1;
}

test("lines go after their retention and leave a gap, runs after theirs and leave nothing, and younger ones stay", async () => {
  await work();
  const tenancy = await openTenancy(town);
  const { scope } = tenancy;
  const asked = { idempotencyKey: "daily" };
  const runId = await ended(tenancy, asked);
  await pass(1);
  const log = () => getLogs(town.deps, scope, { runId, after: "0:0", limit: 100 });
  expect((await log()).entries.map((one) => one.kind)).toEqual(["line", "line"]);

  await pass(60);
  expect(await log()).toEqual({
    entries: [{ kind: "gap", attempt: 1, line: 0, count: 2, reason: "no longer kept" }],
    next: "1:2",
    end: true,
  });
  expect((await getRun(town.deps, scope, { runId })).state).toBe("completed");
  expect((await listArtifacts(town.deps, scope, { runId, limit: 5 })).items).toHaveLength(1);
  const younger = await ended(tenancy);

  await pass(60);
  await expect(getRun(town.deps, scope, { runId })).rejects.toMatchObject(
    new Problem("run-not-found", `There is no run ${runId}.`),
  );
  expect((await listRuns(town.deps, scope, { limit: 5 })).items.map((run) => run.id)).toEqual([younger]);
  for (const table of ["attempt_history", "task_run_history", "run_key", "artifact", "late_report"])
    expect([table, await count(table)]).toEqual([table, 1]);
  expect(await count("idempotency_key")).toBe(0);
  const again = await createRun(town.deps, scope, tenancy.request(asked));
  expect(again.id).not.toBe(runId);
});

test("what was archived without a partition of its month is forgotten too", async () => {
  const tenancy = await openTenancy(town);
  for (const name of ["run_history", "attempt_history", "task_run_history"]) {
    const [row] = await town.deps.database.db.execute<{ name: string }>(
      sql`select max(c.relname) as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = to_regclass(${name})`,
    );
    expect(row?.name).toContain("_y2026m");
  }
  town.clock.advance(100 * DAY_MS);
  await heartbeatDuty.runOnce(town.deps);
  const runId = await ended(tenancy);
  town.clock.advance(DAY_MS);
  await heartbeatDuty.runOnce(town.deps);
  for (const duty of LOOPS.filter(({ name }) => name === "archive")) await duty.runOnce(town.deps);
  expect(await count("run_history_default")).toBeGreaterThan(0);
  await pass(130);
  expect(await count("run_history_default")).toBe(0);
  expect(await count("log_chunk_default")).toBe(0);
  await expect(getRun(town.deps, tenancy.scope, { runId })).rejects.toThrow("No such run");
});

test("workers that were not seen for as long as history is kept are forgotten, and noted anew when they come back", async () => {
  const tenancy = await openTenancy(town);
  const worker = await tenancy.worker();
  await pass(91);
  const barge = new Barge(town, worker);
  await expect(barge.poll({ waitMs: 0 })).rejects.toMatchObject({ code: "session-expired" });
});
