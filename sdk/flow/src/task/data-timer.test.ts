import type { Ref } from "@towpath/contract";
import { describe, expect, test } from "vitest";
import type { Clock } from "../clock.ts";
import { ctx, flow, type RefTo, task } from "../index.ts";
import { memoryObjects } from "../store/memory-store.ts";
import { type Store, storeOver } from "../store/store.ts";
import { type TestedRun, testRun } from "../testing.ts";
import { DataTimer } from "./data-timer.ts";

/** A clock that a test moves. */
function manualClock() {
  let nowMs = 0;
  const clock: Clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, pause: async () => {} };
  return {
    clock,
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

const ref = (sizeBytes: number): Ref => ({ uri: "x", codec: "json", sizeBytes, sha256: "" });

describe("the time for data", () => {
  test("adds up by kind, and bytes with it", async () => {
    const { clock, pass } = manualClock();
    const timer = new DataTimer(clock);
    timer.hashing(() => pass(30));
    for (const size of [10, 20])
      await timer.saving(async () => {
        pass(50);
        return ref(size);
      });
    await timer.loading(ref(7), async () => pass(12));
    expect(timer.facts).toEqual({
      dataTime: { hashMs: 30, saveMs: 100, saveBytes: 30, loadMs: 12, loadBytes: 7 },
    });
  });

  test("counts work that overlaps once, and failed work too", async () => {
    const { clock, pass } = manualClock();
    const timer = new DataTimer(clock);
    const [one, other] = [Promise.withResolvers<Ref>(), Promise.withResolvers<Ref>()];
    const both = Promise.allSettled([timer.saving(() => one.promise), timer.saving(() => other.promise)]);
    pass(40);
    one.resolve(ref(5));
    other.reject(new Error("full"));
    await both;
    expect(timer.facts).toEqual({ dataTime: { saveMs: 40, saveBytes: 5 } });
  });

  test("is left out if it is a moment", () => {
    const { clock, pass } = manualClock();
    const timer = new DataTimer(clock);
    timer.hashing(() => pass(2));
    expect(timer.facts).toEqual({});
  });
});

/** A store that takes 20 ms for each value. */
function slowStore(): Store {
  const objects = memoryObjects();
  const wait = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  return storeOver({
    ...objects,
    write: (path, bytes) => {
      wait();
      return objects.write(path, bytes);
    },
    read: (uri, mostBytes) => {
      wait();
      return objects.read(uri, mostBytes);
    },
  });
}

function timesOf(run: TestedRun<unknown>, task: string) {
  return run.records.flatMap((one) =>
    one.type === "task" && one.name === task && one.move !== "queue" && one.move !== "begin"
      ? [[one.move, one.dataTime]]
      : [],
  );
}

describe("a task call reports", () => {
  test("the time of its saves and loads, and its end comes after the save of its result", async () => {
    const store = slowStore();
    const make = task({ name: "make" }, async () => await ctx.save("rows", [1, 2, 3]));
    const sum = task({ name: "sum" }, async (rows: RefTo<number[]>) => {
      const all = await ctx.load(rows);
      if (all.length > 2) throw new Error("too many");
    });
    const run = await testRun(
      flow({ name: "f" }, async () => await sum(await make())),
      {},
      { store },
    );
    const [[move, made] = []] = timesOf(run, "make");
    expect([move, made]).toEqual(["complete", { saveMs: expect.any(Number), saveBytes: expect.any(Number) }]);
    // One value of its own, and the result.
    expect(made).toMatchObject({ saveMs: expect.toSatisfy((ms: number) => ms >= 39) });
    expect(timesOf(run, "sum")).toEqual([["fail", { loadMs: expect.any(Number), loadBytes: 7 }]]);
    const at = (move: string) =>
      run.records.flatMap((one) => (one.type === "task" && one.move === move ? [Date.parse(one.at)] : []));
    expect((at("complete")[0] ?? 0) - (at("begin")[0] ?? 0)).toBeGreaterThanOrEqual(39);
  });

  test("the load of a result that it reuses", async () => {
    let isBroken = true;
    const make = task({ name: "make" }, async () => "x".repeat(10));
    const fails = task({ name: "fails" }, async () => {
      if (isBroken) throw new Error("not yet");
    });
    const f = flow({ name: "f" }, async () => {
      await make();
      await fails();
    });
    const run = await testRun(f, {}, { store: slowStore() });
    isBroken = false;
    const again = await run.rerun();
    expect(timesOf(again, "make")).toEqual([["reuse", { loadMs: expect.any(Number), loadBytes: 10 }]]);
  });

  test("the hash of its arguments, and its call is recorded before it", async () => {
    const rows = Array.from({ length: 200_000 }, (_, id) => ({ id, name: `customer ${id}` }));
    const count = task({ name: "count" }, async (all: typeof rows) => all.length);
    const run = await testRun(flow({ name: "f" }, async () => await count(rows)));
    const [[, told] = []] = timesOf(run, "count");
    expect(told).toMatchObject({ hashMs: expect.any(Number) });
    const [queued, begun] = run.records.flatMap((one) => (one.type === "task" ? [Date.parse(one.at)] : []));
    const { hashMs } = told as { hashMs: number };
    expect((begun ?? 0) - (queued ?? 0)).toBeGreaterThanOrEqual(hashMs - 1);
  });
});
