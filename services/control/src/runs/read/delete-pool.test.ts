import { uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker } from "../../fake-worker.fixture.ts";
import { deletePool } from "../../limits/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { createRun } from "../requests/requests.ts";
import { listLimits, setLimit } from "./limits.ts";
import { createPool, listPools, setQueue } from "./pools.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const remove = ({ scope }: Tenancy, name: string) => deletePool(testEnv.deps, { scope, name });
const make = ({ scope }: Tenancy, name: string) => createPool(testEnv.deps, { scope, input: { name } });
const limit = ({ scope }: Tenancy, kind: "pool" | "queue", name: string) =>
  setLimit(testEnv.deps, { scope, input: { kind, name, slots: 1, perMs: null, collision: "enqueue" } });
const pools = async ({ scope }: Tenancy) =>
  (await listPools(testEnv.deps, { scope, limit: 10 })).items.map(({ name }) => name);
const limits = async ({ scope }: Tenancy) =>
  (await listLimits(testEnv.deps, { scope, limit: 10 })).items.map(({ name }) => name);

async function fill(tenancy: Tenancy): Promise<void> {
  await make(tenancy, "gpu");
  await setQueue(testEnv.deps, {
    scope: tenancy.scope,
    name: "gpu",
    input: { queue: "bulk", priority: 1 },
  });
  await limit(tenancy, "pool", "gpu");
  await limit(tenancy, "queue", "gpu/bulk");
}

test("an unused pool is deleted with its queues and limits, and only in its workspace", async () => {
  const [tenancy, other] = [await openTenancy(testEnv), await openTenancy(testEnv)];
  for (const one of [tenancy, other]) await fill(one);
  await limit(tenancy, "pool", "local");
  await remove(tenancy, "gpu");
  expect([await pools(tenancy), await limits(tenancy)]).toEqual([["local"], ["local"]]);
  expect([await pools(other), await limits(other)]).toEqual([
    ["gpu", "local"],
    ["gpu", "gpu/bulk"],
  ]);
  await remove(tenancy, "gpu");
  await make(tenancy, "gpu");
  expect(await pools(tenancy)).toEqual(["gpu", "local"]);
});

test("a pool in which a version runs, or may run a task, is refused with the names of the deployments", async () => {
  const tenancy = await openTenancy(testEnv);
  for (const name of ["idle", "gpu"]) await make(tenancy, name);
  await tenancy.deploy("train", {
    remoteTasks: { fit: { pools: ["gpu"], compute: {} } },
  });
  await expect(remove(tenancy, "local")).rejects.toMatchObject({ code: "pool-in-use" });
  await expect(remove(tenancy, "local")).rejects.toThrow("flow, train");
  await expect(remove(tenancy, "gpu")).rejects.toThrow("train");
  await remove(tenancy, "idle");
  expect(await pools(tenancy)).toEqual(["gpu", "local"]);
});

test("a pool of a removed deployment is refused with the reason and the way out", async () => {
  const tenancy = await openTenancy(testEnv);
  await make(tenancy, "gpu");
  await tenancy.deploy("train", { pools: ["gpu"] });
  await testEnv.deps.database.sql`
    update deployment set removed_version = latest_version
    where workspace_id = ${tenancy.scope.workspaceId} and name = 'train'`;
  await expect(remove(tenancy, "gpu")).rejects.toThrow(
    'Pool "gpu" cannot be removed. These removed deployments keep their latest version, which names it: train. Deploy them to another pool, and remove them again. Replaced versions',
  );
});

const workerIds = async ({ scope }: Tenancy) =>
  (
    await testEnv.deps.database.sql<{ id: string }[]>`
      select id from worker where workspace_id = ${scope.workspaceId} order by id`
  ).map(({ id }) => id);

test("a pool with a worker is refused while that worker is online, and is deleted with it a minute later", async () => {
  const [tenancy, other] = [await openTenancy(testEnv), await openTenancy(testEnv)];
  for (const one of [tenancy, other]) await make(one, "gpu");
  await tenancy.worker("old", {}, "gpu");
  const kept = [await tenancy.worker(), await other.worker("old", {}, "gpu")];
  await expect(remove(tenancy, "gpu")).rejects.toThrow("1 worker is online there or has attempts. Stop");
  expect(await workerIds(tenancy)).toHaveLength(2);
  testEnv.clock.advance(61_000);
  await remove(tenancy, "gpu");
  expect(await pools(tenancy)).toEqual(["local"]);
  expect([await workerIds(tenancy), await workerIds(other)]).toEqual(kept.map(({ workerId }) => [workerId]));
});

test("a pool is refused while a worker that is offline still has an attempt", async () => {
  const tenancy = await openTenancy(testEnv);
  await make(tenancy, "gpu");
  await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const worker = await tenancy.worker();
  await new FakeWorker(testEnv, worker).take();
  await testEnv.deps.database.sql`
    update worker set pool_id = (select id from pool where workspace_id = ${tenancy.scope.workspaceId} and name = 'gpu')
    where workspace_id = ${tenancy.scope.workspaceId} and id = ${worker.workerId}`;
  testEnv.clock.advance(61_000);
  await expect(remove(tenancy, "gpu")).rejects.toMatchObject({ code: "pool-in-use" });
  expect(await workerIds(tenancy)).toEqual([worker.workerId]);
});

test("a deploy at the same time finds the pool or is refused, and never loses it", async () => {
  const tenancy = await openTenancy(testEnv);
  for (let round = 0; round < 5; round++) {
    const name = `pool-${round}`;
    await make(tenancy, name);
    const [removed, deployed] = await Promise.allSettled([
      remove(tenancy, name),
      tenancy.deploy(`flow-${uuidv7(testEnv.clock.nowMs()).slice(-8)}`, { pools: [name] }),
    ]);
    expect([removed.status, deployed.status].sort()).toEqual(["fulfilled", "rejected"]);
    expect((await pools(tenancy)).includes(name)).toBe(deployed.status === "fulfilled");
    if (deployed.status === "rejected") expect(deployed.reason).toMatchObject({ code: "pool-not-found" });
    else expect(removed).toMatchObject({ reason: { code: "pool-in-use" } });
  }
});
