import { ROUTES, type RouteName } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../../../test/harness/index.ts";
import { openTestApp } from "../../app.fixture.ts";
import { Barge, said } from "../../barge.fixture.ts";
import { graceMs } from "../../kernel/index.ts";
import { openTenancy, openTown, type Town } from "../../town.fixture.ts";
import { createRun } from "../create/create.ts";
import { lapseDuty, loseDuty } from "../duties.ts";
import { getRun } from "../read/read.ts";

let database: TestDatabase;
let town: Town;
beforeAll(async () => {
  database = await createTestDatabase();
  town = await openTown(database);
  await town.pass(3_600_000);
});
afterAll(() => town.close());

async function started() {
  const tenancy = await openTenancy(town, { lostAfterMs: 60_000 });
  const { id } = await createRun(town.deps, tenancy.scope, tenancy.request());
  const barge = new Barge(town, await tenancy.worker());
  const given = await barge.take();
  await barge.say(given, [said.started]);
  const get = () => getRun(town.deps, tenancy.scope, { runId: id });
  return { tenancy, id, barge, given, get };
}

/** The current incarnation's id, read anew. */
async function incarnation(): Promise<string> {
  town.deps.incarnations.forget();
  return (await town.deps.incarnations.current()).id;
}

/** A started attempt that has ended and was acknowledged, and then the database went back to before that. */
async function endedAndForgotten() {
  const before = await incarnation();
  const one = await started();
  const copy = await database.snapshot();
  await one.barge.say(one.given, [said.ended("completed")], { from: 2 });
  expect(await one.get()).toMatchObject({ state: "completed" });
  await copy.goBack();
  expect(await incarnation()).not.toBe(before);
  expect(await one.get()).toMatchObject({ state: "running" });
  return { ...one, before };
}

describe("an end that was acknowledged and is forgotten", () => {
  test("is no reason to disown the attempt before its worker has offered it again, and then ends it", async () => {
    const { barge, given, get, before } = await endedAndForgotten();
    for (const reconciled of [before, null]) {
      await barge.poll({ free: 0, waitMs: 0, reconciled });
      expect(await get()).toMatchObject({ state: "running" });
    }
    expect(await barge.say(given, [])).toMatchObject({ status: "accepted", controlAcked: 1 });
    const answer = await barge.say(given, [said.ended("completed")], { from: 2 });
    expect(answer).toMatchObject({ status: "accepted", controlAcked: 2, outcome: { state: "completed" } });
    expect(await get()).toMatchObject({ state: "completed" });
  });

  test("ends the attempt by the word of a worker that has offered everything and knows nothing of it", async () => {
    const { barge, get } = await endedAndForgotten();
    await barge.poll({ free: 0, waitMs: 0, reconciled: await incarnation() });
    expect(await get()).toMatchObject({ state: "crashed" });
  });

  test("leaves a worker of an earlier release a full grace to offer it", async () => {
    const { barge, get } = await endedAndForgotten();
    await barge.poll({ free: 0, waitMs: 0 });
    expect(await get()).toMatchObject({ state: "running" });
    await town.pass(graceMs(town.deps.config) + 1_000);
    await incarnation();
    await barge.poll({ free: 0, waitMs: 0 });
    expect(await get()).toMatchObject({ state: "crashed" });
  });

  test("is lost for its worker's silence only a full grace after the database went back", async () => {
    const { get } = await endedAndForgotten();
    // Its lease was over long before.
    await town.deps.database.sql`update attempt set lease_expires_at = lease_expires_at - interval '1 hour'`;
    await loseDuty.runOnce(town.deps);
    expect(await get()).toMatchObject({ state: "running" });
    await town.pass(59_000);
    await loseDuty.runOnce(town.deps);
    expect(await get()).toMatchObject({ state: "running" });
    await town.pass(2_000);
    await loseDuty.runOnce(town.deps);
    expect(await get()).toMatchObject({ state: "crashed" });
  });
});

test("nothing is lost or given back in a database that nobody has noted as another one yet", async () => {
  const { get, tenancy } = await started();
  const { id: unconfirmed } = await createRun(town.deps, tenancy.scope, tenancy.request());
  await new Barge(town, await tenancy.worker("other")).take();
  await town.pass(3_600_000);
  await town.deps.database.sql`update incarnation set identity = 'another'`;
  await loseDuty.runOnce(town.deps);
  await lapseDuty.runOnce(town.deps);
  expect(await get()).toMatchObject({ state: "running" });
  expect(await getRun(town.deps, tenancy.scope, { runId: unconfirmed })).toMatchObject({ state: "claimed" });
});

test("a poll that waits is answered once the database is another one, and so is one that takes it for what it was", async () => {
  const tenancy = await openTenancy(town);
  const barge = new Barge(town, await tenancy.worker());
  const before = await incarnation();
  const waiting = barge.poll({ free: 1, waitMs: 25_000, reconciled: before });
  while (!barge.dispatchers.areWaiting(barge.worker.poolId)) await new Promise(setImmediate);
  await town.deps.database.sql`update incarnation set identity = 'another'`;
  await incarnation();
  expect(await waiting).toMatchObject({ assignments: [], superseded: false });
  expect(await barge.poll({ free: 1, waitMs: 25_000, reconciled: before })).toMatchObject({
    assignments: [],
  });
});

type WorkerRoute = {
  [Name in RouteName]: (typeof ROUTES)[Name]["permission"] extends "worker" | "worker-key" ? Name : never;
}[RouteName];

function isOfWorkers(name: RouteName): name is WorkerRoute {
  return ROUTES[name].permission === "worker" || ROUTES[name].permission === "worker-key";
}

const WORKER_ROUTES = (Object.keys(ROUTES) as RouteName[]).filter(isOfWorkers);

test.each(WORKER_ROUTES)(
  "every answer to a worker says which database it is and how far it has come: %s",
  (name) => {
    const { answer } = ROUTES[name];
    const shapes = "options" in answer ? answer.options : [answer];
    for (const { shape } of shapes)
      expect(Object.keys(shape)).toEqual(expect.arrayContaining(["incarnation", "position"]));
  },
);

test("an answer to a worker carries the incarnation and a position that rises, at most a second old", async () => {
  const tenancy = await openTenancy(town);
  const worker = await tenancy.worker();
  const app = openTestApp({
    deps: town.deps,
    slices: [(register) => register("renew", async () => ({ leases: [], commands: [], intervalMs: 1_000 }))],
    identify: async () => ({ kind: "worker", scope: worker, keyId: worker.workerId }),
  });
  const ask = async () => {
    const response = await app.request(ROUTES.renew.path, {
      ...{ method: "POST", headers: { "content-type": "application/json" } },
      body: JSON.stringify({ held: [] }),
    });
    return ROUTES.renew.answer.parse(await response.json());
  };
  const first = await ask();
  expect(first.incarnation).toBe((await town.deps.incarnations.current()).id);
  await town.stamp();
  await incarnation();
  await town.deps.database.sql`insert into change (workspace_id, kind) values (gen_random_uuid(), 'run')`;
  await incarnation();
  expect((await ask()).position).toBeGreaterThan(first.position ?? Number.POSITIVE_INFINITY);
});
