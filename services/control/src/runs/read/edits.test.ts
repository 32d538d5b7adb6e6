import { SetLimit, type SetQueue } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { deleteLimit } from "../../limits/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { listLimits, setLimit } from "./limits.ts";
import { listQueues, setQueue } from "./pools.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const limit = ({ scope }: Tenancy, input: Partial<SetLimit>) =>
  setLimit(testEnv.deps, { scope, input: SetLimit.parse({ name: "warehouse", slots: 1, ...input }) });
const slotsOf = async ({ scope }: Tenancy) =>
  (await listLimits(testEnv.deps, { scope, limit: 10 })).items.map(({ slots }) => slots);

describe("a change of a limit with a condition", () => {
  test("is refused if somebody has changed the limit since it was read, and changes nothing", async () => {
    const tenancy = await openTenancy(testEnv);
    const read = await limit(tenancy, {});
    testEnv.clock.advance(1);
    await limit(tenancy, { slots: 2 });
    await expect(limit(tenancy, { slots: 3, ifUpdatedAt: read.updatedAt })).rejects.toMatchObject({
      code: "edit-conflict",
    });
    expect(await slotsOf(tenancy)).toEqual([2]);
  });

  test("is refused if the limit exists already, but not in another workspace", async () => {
    const [tenancy, other] = [await openTenancy(testEnv), await openTenancy(testEnv)];
    await limit(tenancy, { ifUpdatedAt: null });
    await expect(limit(tenancy, { slots: 5, ifUpdatedAt: null })).rejects.toMatchObject({
      code: "edit-conflict",
      faults: [{ path: "name" }],
    });
    await limit(other, { slots: 5, ifUpdatedAt: null });
    expect([await slotsOf(tenancy), await slotsOf(other)]).toEqual([[1], [5]]);
  });

  test.each([
    ["deployment", "no-such", "deployment-not-found"],
    ["pool", "no-such", "pool-not-found"],
    ["queue", "local/no-such", "queue-not-found"],
    ["queue", "local", "bad-request"],
  ] as const)("of a %s %s that does not exist is refused at its name: %s", async (kind, name, code) => {
    const tenancy = await openTenancy(testEnv);
    await expect(limit(tenancy, { kind, name })).rejects.toMatchObject({ code, faults: [{ path: "name" }] });
  });

  test("deletes it only as it was read, and changes nothing if the deletion is repeated", async () => {
    const [tenancy, other] = [await openTenancy(testEnv), await openTenancy(testEnv)];
    const read = await limit(tenancy, {});
    const remove = ({ scope }: Tenancy, ifUpdatedAt: string) =>
      deleteLimit(testEnv.deps, { scope, limitId: read.id, ifUpdatedAt });
    testEnv.clock.advance(1);
    const changed = await limit(tenancy, { slots: 2 });
    await expect(remove(tenancy, read.updatedAt)).rejects.toMatchObject({ code: "edit-conflict" });
    await remove(other, changed.updatedAt);
    expect(await slotsOf(tenancy)).toEqual([2]);
    await remove(tenancy, changed.updatedAt);
    await remove(tenancy, changed.updatedAt);
    expect(await slotsOf(tenancy)).toEqual([]);
  });

  test("changes nothing if it is repeated because its answer was lost", async () => {
    const tenancy = await openTenancy(testEnv);
    const made = await limit(tenancy, { ifUpdatedAt: null });
    testEnv.clock.advance(1);
    expect(await limit(tenancy, { ifUpdatedAt: null })).toEqual(made);
    const changed = await limit(tenancy, { slots: 2, ifUpdatedAt: made.updatedAt });
    testEnv.clock.advance(1);
    expect(await limit(tenancy, { slots: 2, ifUpdatedAt: made.updatedAt })).toEqual(changed);
  });

  test("succeeds for one of two people who change it at the same time", async () => {
    const tenancy = await openTenancy(testEnv);
    const { updatedAt: ifUpdatedAt } = await limit(tenancy, {});
    testEnv.clock.advance(1);
    const results = await Promise.allSettled([2, 3].map((slots) => limit(tenancy, { slots, ifUpdatedAt })));
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });
});

const queue = ({ scope }: Tenancy, input: Pick<SetQueue, "ifPriority"> & { priority: number }) =>
  setQueue(testEnv.deps, { scope, name: "local", input: { queue: "urgent", ...input } });

describe("a change of a queue with a condition", () => {
  test("is refused if the queue has another priority, exists already or is gone", async () => {
    const tenancy = await openTenancy(testEnv);
    await expect(queue(tenancy, { priority: 1, ifPriority: 0 })).rejects.toMatchObject({
      code: "edit-conflict",
    });
    await queue(tenancy, { priority: 5, ifPriority: null });
    for (const [ifPriority, paths] of [
      [null, ["queue"]],
      [0, []],
    ] as const)
      await expect(queue(tenancy, { priority: 1, ifPriority })).rejects.toMatchObject({
        code: "edit-conflict",
        faults: paths.map((path) => ({ path })),
      });
    expect(await queue(tenancy, { priority: 5, ifPriority: null })).toMatchObject({ priority: 5 });
    expect(await queue(tenancy, { priority: 1, ifPriority: 5 })).toMatchObject({ priority: 1 });
    const { items } = await listQueues(testEnv.deps, { scope: tenancy.scope, name: "local" });
    expect(items).toMatchObject([{ name: "urgent", priority: 1 }]);
  });

  test("succeeds for one of two people who change it at the same time", async () => {
    const tenancy = await openTenancy(testEnv);
    await queue(tenancy, { priority: 5 });
    const results = await Promise.allSettled(
      [6, 7].map((priority) => queue(tenancy, { priority, ifPriority: 5 })),
    );
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });
});
