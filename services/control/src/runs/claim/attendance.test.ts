import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { Barge, said } from "../../barge.fixture.ts";
import { openTenancy, openTown, type Town } from "../../town.fixture.ts";
import { createRun } from "../create.ts";
import { Attendance } from "./attendance.ts";

let town: Town;
beforeAll(async () => {
  town = await openTown(await createTestDatabase());
});
afterAll(() => town.close());

async function idleBarge() {
  const tenancy = await openTenancy(town);
  const barge = new Barge(town, await tenancy.worker());
  const { workspaceId, workerId } = barge.worker;
  const seenSeq = async () => {
    const [row] = await town.deps.database.sql`
      select poll_seq::int as seq from worker where workspace_id = ${workspaceId} and id = ${workerId}`;
    return row?.seq;
  };
  expect((await barge.poll({ waitMs: 1 })).assignments).toEqual([]);
  return { tenancy, barge, seenSeq };
}

describe("a poll that follows an empty one and holds nothing", () => {
  test("is not written by itself, and is given work as any other", async () => {
    const { tenancy, barge, seenSeq } = await idleBarge();
    expect(await seenSeq()).toBe(1);
    await barge.poll({ waitMs: 1 });
    expect(await seenSeq()).toBe(1);
    const waiting = barge.poll({ waitMs: 25_000 });
    const { id } = await createRun(town.deps, tenancy.scope, tenancy.request());
    const { assignments } = await waiting;
    expect(assignments.map(({ runId }) => runId)).toEqual([id]);
  });

  test("is followed by one that is written, once work was given", async () => {
    const { tenancy, barge, seenSeq } = await idleBarge();
    await createRun(town.deps, tenancy.scope, tenancy.request());
    const given = await barge.take();
    await barge.say(given, [said.started, said.ended("completed")]);
    await barge.poll({ waitMs: 1 });
    expect(await seenSeq()).toBe(3);
  });

  test("gets nothing if its worker has started anew since: the later start does", async () => {
    const { tenancy, barge } = await idleBarge();
    const earlier = barge.poll({ waitMs: 200 });
    const anew = new Barge(town, await barge.startAnew());
    await createRun(town.deps, tenancy.scope, tenancy.request());
    expect((await earlier).assignments).toEqual([]);
    expect((await anew.poll({ free: 1 })).assignments).toHaveLength(1);
  });

  test("gets nothing if its worker has polled elsewhere since: the later poll does", async () => {
    const { tenancy, barge } = await idleBarge();
    const earlier = barge.poll({ waitMs: 200 });
    const elsewhere = new Barge(town, barge.worker);
    const later = elsewhere.poll({ seq: 9, heard: 8, waitMs: 25_000 });
    await createRun(town.deps, tenancy.scope, tenancy.request());
    expect((await later).assignments).toHaveLength(1);
    expect((await earlier).assignments).toEqual([]);
  });
});

describe("polls that bring news", () => {
  test.each([
    ["it holds something", { held: [{ attemptId: "a", epoch: 1, nonce: "n" }] }],
    ["it drains", { draining: true }],
    ["it pauses", { paused: { forMs: 1, reason: "" } }],
    ["one is missing before it", { seq: 3 }],
  ])("are asked about: %s", async (_, over) => {
    const { barge } = await idleBarge();
    const attendance = new Attendance();
    const poll = { held: [], draining: false };
    attendance.endedEmpty(barge.worker, { ...poll, seq: 1, name: "w" });
    expect(attendance.brings(barge.worker, { ...poll, seq: 2, ...over })).toBeNull();
    expect(attendance.brings(barge.worker, { ...poll, seq: 2 })).toBeNull();
  });
});

test("those that came meanwhile are written together, and who is of an earlier start is told", async () => {
  const attendance = new Attendance();
  const [one, other] = [await idleBarge(), await idleBarge()];
  for (const { barge } of [one, other]) {
    attendance.endedEmpty(barge.worker, { held: [], draining: false, seq: 1, name: "w" });
    expect(attendance.brings(barge.worker, { held: [], draining: false, seq: 2 })).toEqual({ nothing: "w" });
  }
  const { workspaceId } = one.barge.worker;
  expect(await attendance.write(town.deps, workspaceId)).toEqual([other.barge.worker.workerId]);
  expect([await one.seenSeq(), await other.seenSeq()]).toEqual([2, 1]);
  expect(await attendance.write(town.deps, workspaceId)).toEqual([]);
});
