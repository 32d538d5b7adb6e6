import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { Barge, said } from "../../barge.fixture.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { createRun } from "../create/create.ts";
import { getRun } from "../read/read.ts";
import { Dispatchers } from "./poll.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

async function bargeWithRun() {
  const tenancy = await openTenancy(testEnv);
  const barge = new Barge(testEnv, await tenancy.worker());
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const state = async () => (await getRun(testEnv.deps, tenancy.scope, { runId: id })).state;
  return { tenancy, barge, state };
}

describe("polls that the network reorders", () => {
  test("an older poll that arrives after a newer one is superseded and disowns nothing", async () => {
    const { barge, state } = await bargeWithRun();
    const stalled = barge.number();
    const fence = await barge.take();
    await barge.say(fence, [said.started]);
    expect(await barge.poll({ ...stalled, held: [], waitMs: 0 })).toMatchObject({ superseded: true });
    expect(await state()).toBe("running");
  });

  test("so is one that arrives at another process of the control plane", async () => {
    const { barge, state } = await bargeWithRun();
    const stalled = barge.number();
    const fence = await barge.take();
    await barge.say(fence, [said.started]);
    const elsewhere = new Barge(testEnv, barge.worker, new Dispatchers());
    expect(await elsewhere.poll({ ...stalled, held: [], waitMs: 0 })).toMatchObject({ superseded: true });
    expect(await state()).toBe("running");
  });

  test("the newest poll disowns nothing that it could not know of when it was written", async () => {
    const { barge, state } = await bargeWithRun();
    const first = barge.number();
    const second = barge.number();
    const { assignments } = await barge.poll({ ...first, free: 1 });
    const [fence] = assignments;
    if (fence === undefined) throw new Error("no work was given");
    await barge.say(fence, [said.started]);
    await barge.poll({ ...second, held: [], waitMs: 0, free: 0 });
    expect(await state()).toBe("running");
  });

  test("a poll that has heard everything disowns what is missing, at once", async () => {
    const { barge, state } = await bargeWithRun();
    const fence = await barge.take();
    await barge.say(fence, [said.started]);
    await barge.poll({ held: [], waitMs: 0, free: 0 });
    expect(await state()).toBe("crashed");
  });

  test("after a start anew the first poll disowns what the earlier one held", async () => {
    const { barge, state } = await bargeWithRun();
    const fence = await barge.take();
    await barge.say(fence, [said.started]);
    const restarted = new Barge(testEnv, await barge.startAnew());
    await restarted.poll({ held: [], waitMs: 0, free: 0 });
    expect(await state()).toBe("crashed");
  });

  test("401 session-expired: a poll of an earlier start of the worker changes nothing", async () => {
    const { barge, state } = await bargeWithRun();
    const earlier = new Barge(testEnv, barge.worker);
    const restarted = new Barge(testEnv, await barge.startAnew());
    const fence = await restarted.take();
    await restarted.say(fence, [said.started]);
    await expect(earlier.poll({ held: [], waitMs: 0 })).rejects.toMatchObject({ code: "session-expired" });
    expect(await state()).toBe("running");
  });

  test("what a worker did not take is told again, under the number of the newer poll", async () => {
    const { tenancy, barge, state } = await bargeWithRun();
    await barge.take();
    const waiting = barge.poll({ held: [], waitMs: 20_000, free: 1 });
    const { assignments } = await waiting;
    expect(assignments).toHaveLength(1);
    const [row] = await testEnv.deps.database.sql`
      select told_seq::int as seq from attempt where workspace_id = ${tenancy.scope.workspaceId}`;
    expect(row?.seq).toBe(2);
    expect(await state()).toBe("claimed");
  });

  test("an assignment that was told twice is not disowned by a poll that heard only the first", async () => {
    const { barge, state } = await bargeWithRun();
    const fence = await barge.take();
    const again = barge.number();
    const later = barge.number();
    expect((await barge.poll({ ...again, held: [] })).assignments).toEqual([fence]);
    await barge.say(fence, [said.started]);
    await barge.poll({ ...later, heard: 1, held: [], waitMs: 0, free: 0 });
    expect(await state()).toBe("running");
  });
});
