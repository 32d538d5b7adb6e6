import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../../../test/harness/index.ts";
import { Barge, said } from "../../barge.fixture.ts";
import { openTenancy, openTown, type Town } from "../../town.fixture.ts";
import { createRun } from "../create/create.ts";
import { getRun } from "../read/read.ts";
import { cancelRun } from "./cancel.ts";

let database: TestDatabase;
let town: Town;
beforeAll(async () => {
  database = await createTestDatabase();
  town = await openTown(database);
});
afterAll(() => town.close());

async function incarnation(): Promise<void> {
  town.deps.incarnations.forget();
  await town.deps.incarnations.current();
}

test("a cancellation that the database has forgotten is taken from the word of the worker that obeyed it", async () => {
  await incarnation();
  const tenancy = await openTenancy(town);
  const { id } = await createRun(town.deps, tenancy.scope, tenancy.request());
  const get = () => getRun(town.deps, tenancy.scope, { runId: id });
  const barge = new Barge(town, await tenancy.worker());
  const given = await barge.take();
  await barge.say(given, [said.started]);
  const copy = await database.snapshot();
  await cancelRun(town.deps, tenancy.scope, { runId: id, reason: "wrong day" });
  await barge.say(given, [said.ended("cancelled")], { from: 2 });
  expect(await get()).toMatchObject({ state: "cancelled", cause: "user" });
  town.clock.advance(1_000);
  await copy.goBack();
  await incarnation();
  expect(await get()).toMatchObject({ state: "running" });
  const answer = await barge.say(given, [said.ended("cancelled")], { from: 2 });
  expect(answer).toMatchObject({ outcome: { state: "cancelled", cause: "user" } });
  expect(await get()).toMatchObject({ state: "cancelled", cause: "user" });
});

test("nobody's cancellation is a failure in a database that never went back", async () => {
  const tenancy = await openTenancy(town);
  const { id } = await createRun(town.deps, tenancy.scope, tenancy.request());
  town.clock.advance(3_600_000);
  await incarnation();
  const barge = new Barge(town, await tenancy.worker());
  await town.deps.database
    .sql`update worker set reconciled = (select id from incarnation order by number desc limit 1)`;
  const given = await barge.take();
  await barge.say(given, [said.started, said.ended("cancelled")]);
  expect(await getRun(town.deps, tenancy.scope, { runId: id })).toMatchObject({
    state: "failed",
    cause: "error",
  });
});
