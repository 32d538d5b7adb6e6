import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { openTenancy, openTown, START_MS, type Town } from "../town.fixture.ts";
import { createRun, runsDuties } from "./index.ts";

const DAY_MS = 86_400_000;
const LONG_AGO = new Date(START_MS - 100 * DAY_MS).toISOString();
const LATELY = new Date(START_MS - DAY_MS).toISOString();

let town: Town;
beforeAll(async () => {
  town = await openTown(await createTestDatabase(), { historyRetentionMs: 30 * DAY_MS });
});
afterAll(() => town.close());

test("what a run that is gone had waited for and had others do is forgotten with the history of its time", async () => {
  const tenancy = await openTenancy(town);
  const { workspaceId } = tenancy.scope;
  const run = tenancy.request();
  await createRun(town.deps, tenancy.scope, run);
  const { sql } = town.deps.database;
  const gone = crypto.randomUUID();
  const rows = [
    { runId: gone, at: LONG_AGO, path: "gone" },
    { runId: gone, at: LATELY, path: "lately" },
    { runId: gone, at: null, path: "open" },
    { runId: run.id, at: LONG_AGO, path: "going on" },
  ];
  for (const { runId, at, path } of rows) {
    await sql`insert into wait (workspace_id, id, run_id, deployment, path, kind, state, created_at, settled_at)
      values (${workspaceId}, gen_random_uuid(), ${runId}, 'flow', ${path}, 'until',
        ${at === null ? "open" : "satisfied"}, ${LONG_AGO}, ${at})`;
    await sql`insert into job (workspace_id, id, run_id, pool_id, deployment, version_id, version, name, state,
        intended_by, retries, cancels, created_at, ended_at)
      values (${workspaceId}, gen_random_uuid(), ${runId}, gen_random_uuid(), 'flow', gen_random_uuid(), 1, ${path},
        ${at === null ? "intended" : "ended"}, gen_random_uuid(), 0, false, ${LONG_AGO}, ${at})`;
  }
  const duty = runsDuties.find(({ name }) => name === "history-retention");
  expect(await duty?.runOnce(town.deps)).toEqual({ worked: false });
  const kept = ["going on", "lately", "open"];
  expect((await sql`select path from wait order by path`).map(({ path }) => path)).toEqual(kept);
  expect((await sql`select name from job order by name`).map(({ name }) => name)).toEqual(kept);
});
