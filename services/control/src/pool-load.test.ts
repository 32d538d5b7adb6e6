import { type Assignment, HOLDS_SHOWN } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../test/harness/index.ts";
import { Barge, said } from "./barge.fixture.ts";
import { poolLoad } from "./pool-load.ts";
import { createRun } from "./runs/index.ts";
import { openTenancy, openTown, type Tenancy, type Town } from "./town.fixture.ts";

let town: Town;
beforeAll(async () => {
  town = await openTown(await createTestDatabase());
});
afterAll(() => town.close());

async function ask(tenancy: Tenancy): Promise<string> {
  town.clock.advance(1_000);
  return (await createRun(town.deps, tenancy.scope, tenancy.request({}))).id;
}

/** Takes what waits first and starts it, and goes on holding what it has. */
async function start(barge: Barge, held: Assignment[] = []): Promise<Assignment> {
  const { assignments } = await barge.poll({
    free: 1,
    held: held.map(({ attemptId, epoch, nonce }) => ({ attemptId, epoch, nonce })),
  });
  const [given] = assignments;
  if (given === undefined) throw new Error("no work was given");
  held.push(given);
  await barge.say(given, [said.started]);
  return given;
}

async function loadOf(tenancy: Tenancy, barge: Barge) {
  const { workerId } = barge.worker;
  const which = { workspaceId: tenancy.scope.workspaceId, workerIds: [workerId] };
  return (await poolLoad.ofWorkers(town.deps.database.reads, which)).get(workerId);
}

test("A worker's places are named by the runs that take them, since when, and how long those usually take", async () => {
  const tenancy = await openTenancy(town);
  const barge = new Barge(town, await tenancy.worker());
  const earlier = await ask(tenancy);
  const done = await start(barge);
  town.clock.advance(90_000);
  await barge.say(done, [said.ended("completed")], { from: 2 });
  const held: Assignment[] = [];
  const first = await ask(tenancy);
  await start(barge, held);
  const since = new Date(town.clock.nowMs()).toISOString();
  const second = await ask(tenancy);
  await start(barge, held);
  await ask(tenancy);
  expect(earlier).toBe(done.runId);
  expect(await loadOf(tenancy, barge)).toMatchObject({
    held: 2,
    holds: [
      { runId: first, deployment: "flow", attempt: 1, needs: {}, since, usualMs: 90_000 },
      { runId: second, deployment: "flow", attempt: 1 },
    ],
  });
});

test("Of very many that a worker holds the oldest are named, and all are counted", async () => {
  const tenancy = await openTenancy(town);
  const barge = new Barge(town, await tenancy.worker());
  const asked: string[] = [];
  const held: Assignment[] = [];
  for (let n = 0; n < HOLDS_SHOWN + 2; n++) {
    asked.push(await ask(tenancy));
    await start(barge, held);
  }
  const load = await loadOf(tenancy, barge);
  expect(load?.held).toBe(HOLDS_SHOWN + 2);
  expect(load?.holds.map(({ runId }) => runId)).toEqual(asked.slice(0, HOLDS_SHOWN));
});

test("What a worker holds is not told to another workspace", async () => {
  const [mine, theirs] = [await openTenancy(town), await openTenancy(town)];
  await ask(mine);
  const barge = new Barge(town, await mine.worker());
  await start(barge);
  expect(await loadOf(theirs, barge)).toBeUndefined();
});
