import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { startPeriodicJobs } from "./periodic-jobs.ts";

/** Longer than any test waits: only a wake-up ends such a pause. */
const NEVER_MS = 3_600_000;

let database: TestDatabase;
let deps: TestDeps;
beforeAll(async () => {
  database = await createTestDatabase();
  deps = await openTestDeps({ url: database.url });
});
afterAll(async () => {
  await deps.close();
  await database.drop();
});

/** Resolves once `count` rounds have begun. */
function rounds(count: number) {
  const { promise, resolve } = Promise.withResolvers<void>();
  let begun = 0;
  return {
    reached: promise,
    begin: () => {
      begun += 1;
      if (begun === count) resolve();
      return begun;
    },
    begun: () => begun,
  };
}

test("a periodic job repeats its rounds while there is work, then waits for a wake-up", async () => {
  const first = rounds(3);
  const second = rounds(4);
  const periodicJob = {
    name: "test",
    everyMs: NEVER_MS,
    wakeOn: "pool" as const,
    wakeKey: "a",
    runOnce: async () => {
      second.begin();
      return { worked: first.begin() < 3 };
    },
  };
  const running = startPeriodicJobs(deps, [periodicJob]);
  await first.reached;
  deps.wakes.publish("pool", ["b"]);
  deps.wakes.publish("pool", ["a"]);
  await second.reached;
  await running.stop();
});

test("a wake-up during a round is not lost", async () => {
  const seen = rounds(2);
  const unblock = Promise.withResolvers<void>();
  const woken = new Promise<void>((resolve) => deps.wakes.subscribe("run", "x", () => resolve()));
  const periodicJob = {
    name: "test",
    everyMs: NEVER_MS,
    wakeOn: "run" as const,
    runOnce: async () => {
      if (seen.begin() === 1) {
        deps.wakes.publish("run", ["x"]);
        await woken;
        await unblock.promise;
      }
      return { worked: false };
    },
  };
  const running = startPeriodicJobs(deps, [periodicJob]);
  await woken;
  unblock.resolve();
  await seen.reached;
  await running.stop();
});

test("a failing periodic job is tried again and does not stop the others", async () => {
  const failing = rounds(2);
  const other = rounds(1);
  const fail = async () => {
    failing.begin();
    throw new Error("broken");
  };
  const work = async () => {
    other.begin();
    return { worked: false };
  };
  const running = startPeriodicJobs(deps, [
    { name: "failing", everyMs: NEVER_MS, runOnce: fail },
    { name: "other", everyMs: NEVER_MS, runOnce: work },
  ]);
  await Promise.all([failing.reached, other.reached]);
  await running.stop();
});

test("stopping waits for the open round and starts no other", async () => {
  const begun = rounds(1);
  const unblock = Promise.withResolvers<void>();
  let finished = false;
  const runOnce = async () => {
    begun.begin();
    await unblock.promise;
    finished = true;
    return { worked: true };
  };
  const running = startPeriodicJobs(deps, [{ name: "slow", everyMs: 1, runOnce }]);
  await begun.reached;
  const stopped = running.stop().then(() => finished);
  unblock.resolve();
  expect(await stopped).toBe(true);
  expect(begun.begun()).toBe(1);
});
