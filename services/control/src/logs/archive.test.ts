import { afterAll, beforeAll, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { Barge, said } from "../barge.fixture.ts";
import type { Duty } from "../kernel/index.ts";
import { cancelRun, createRun, getRun, listRuns, listTaskRuns, runsDuties } from "../runs/index.ts";
import { openTenancy, openTown, type Town } from "../town.fixture.ts";
import { getLogs, listArtifacts, logsDuties } from "./index.ts";

let town: Town;
beforeAll(async () => {
  town = await openTown(await createTestDatabase());
});
afterAll(() => town.close());

async function archiveAll(): Promise<void> {
  await town.pass(6 * 60_000);
  while ((await duty("archive").runOnce(town.deps)).worked);
}

function duty(name: string): Duty {
  const found = runsDuties.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no duty ${name}`);
  return found;
}

async function liveRows(runId: string): Promise<number> {
  const [found] = await town.deps.database.db.execute<{ count: number }>(sql`
    select ((select count(*) from run where id = ${runId}) + (select count(*) from attempt where run_id = ${runId})
      + (select count(*) from task_run where run_id = ${runId}))::int as count`);
  return found?.count ?? -1;
}

test("reads of an archived run answer what they answered before", async () => {
  for (const one of [duty("history-partitions"), ...logsDuties]) await one.runOnce(town.deps);
  const { tenancy, id } = await ended();
  const { scope } = tenancy;
  const waiting = await createRun(town.deps, scope, tenancy.request());
  const read = async () => [
    await getRun(town.deps, scope, { runId: id }),
    await listTaskRuns(town.deps, scope, { runId: id, limit: 10 }),
    await getLogs(town.deps, scope, { runId: id, after: "0:0", limit: 100 }),
    await listArtifacts(town.deps, scope, { runId: id, limit: 10 }),
    (await listRuns(town.deps, scope, { limit: 10 })).items.map((run) => ({ ...run, labels: [] })),
    await listRuns(town.deps, scope, { limit: 10, state: ["completed"] }),
  ];
  const before = await read();
  await archiveAll();
  expect(await liveRows(id)).toBe(0);
  expect(await liveRows(waiting.id)).toBe(2);
  expect(await read()).toEqual(before);
  const [partition] = await town.deps.database.db.execute<{ name: string }>(
    sql`select tableoid::regclass::text as name from run_history where id = ${id}`,
  );
  expect(partition?.name).toBe("run_history_y2026m01");
});

async function ended(lastBulkSeq = 2) {
  const tenancy = await openTenancy(town);
  const asked = tenancy.request({
    idempotencyKey: "once",
    parameters: { island: "Dream\u0001" },
    tags: ['a "b"', "{c}"],
  });
  await createRun(town.deps, tenancy.scope, asked);
  const barge = new Barge(town, await tenancy.worker());
  const given = await barge.take();
  const artifact = { type: "artifact", at: "2026-01-15T12:00:00Z", key: "k", title: "K", task: null };
  await barge.say(
    given,
    [
      said.started,
      said.task("a", "begin"),
      said.task("a", "complete"),
      said.ended("completed", { lastBulkSeq }),
    ],
    { bulk: [said.log(0, ["one", "two"]), { ...artifact, body: { kind: "markdown", text: "**k**" } }] },
  );
  return { tenancy, barge, given, id: asked.id, asked };
}

test("a repeated create, cancel or end of an archived run answers the stored outcome", async () => {
  const { tenancy, barge, given, id, asked } = await ended();
  await archiveAll();
  expect(await liveRows(id)).toBe(0);
  expect(await createRun(town.deps, tenancy.scope, asked)).toMatchObject({ id, state: "completed" });
  const sameKey = { ...asked, id: tenancy.request().id };
  expect(await createRun(town.deps, tenancy.scope, sameKey)).toMatchObject({ id, state: "completed" });
  const cancelled = cancelRun(town.deps, tenancy.scope, { runId: id, reason: "" });
  await expect(cancelled).rejects.toMatchObject({ code: "run-transition-not-allowed" });
  const again = await barge.say(given, [said.ended("failed", { cause: "error" })], { from: 4 });
  expect(again).toMatchObject({
    status: "accepted",
    controlAcked: 4,
    outcome: { state: "completed", cause: null },
  });
});

test("log lines that were announced before the end are taken after the run was archived", async () => {
  const { tenancy, barge, given, id } = await ended(3);
  await archiveAll();
  const late = await barge.say(given, [], {
    bulkFrom: 3,
    bulk: [said.log(2, ["three"]), said.log(3, ["too late"])],
  });
  expect(late).toMatchObject({ status: "accepted", bulkAcked: 4, rejected: [{ lane: "bulk", seq: 4 }] });
  const page = await getLogs(town.deps, tenancy.scope, { runId: id, after: "0:0", limit: 100 });
  const texts = page.entries.map((entry) => (entry.kind === "line" ? entry.text : entry.reason));
  expect(texts).toEqual(["one", "two", "three"]);
  expect(page.end).toBe(true);
});

test("lists page through live and archived runs as one", async () => {
  const tenancy = await openTenancy(town);
  const ids: string[] = [];
  for (let index = 0; index < 6; index++) {
    const { id } = await createRun(town.deps, tenancy.scope, tenancy.request());
    ids.unshift(id);
    if (index < 3) await cancelRun(town.deps, tenancy.scope, { runId: id, reason: "" });
    town.clock.advance(1);
  }
  await archiveAll();
  const seen: string[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < 10; pages++) {
    const page = await listRuns(town.deps, tenancy.scope, { limit: 2, cursor });
    seen.push(...page.items.map((run) => run.id));
    if (page.next === null) break;
    cursor = page.next;
  }
  expect(seen).toEqual(ids);
});
