import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import {
  Cancelled,
  ctx,
  flow,
  InvalidDefinition,
  OutsideOfRun,
  TaskIdentityUnknown,
  task,
} from "../index.ts";
import { testRun } from "../testing.ts";
import { KeyCounter } from "./key-counter.ts";

describe("map", () => {
  const double = task({ name: "double" }, async (value: number) => value * 2);

  test("answers in the items' order, with at most `concurrency` under way", async () => {
    let open = 0;
    let most = 0;
    const watched = task({ name: "watched" }, async (value: number) => {
      most = Math.max(most, ++open);
      await new Promise((resolve) => setImmediate(resolve));
      open -= 1;
      return value * 2;
    });
    const items = Array.from({ length: 20 }, (_, index) => index);
    const run = await testRun(flow({ name: "f" }, async () => await watched.map(items, { concurrency: 3 })));
    expect(run.result).toEqual(items.map((item) => item * 2));
    expect(most).toBe(3);
  });

  const scale = task(
    { name: "scale" },
    async (value: number, by: number, unit = "m") => `${value * by} ${unit}`,
  );

  test("passes further arguments to every call, which are part of its identity", async () => {
    const scaled = flow({ name: "f" }, async () => [
      await scale.map([1, 2], { args: [10] }),
      await scale.map([1, 2], { args: [100, "cm"] }),
      await scale.map([1, 2].values(), { args: [10] }),
    ]);
    const run = await testRun(scaled);
    expect(run.result).toEqual([
      ["10 m", "20 m"],
      ["100 cm", "200 cm"],
      ["10 m", "20 m"],
    ]);
    const maps = run.tasks.map(({ path }) => path.split("/")[0]);
    expect(new Set(maps).size).toBe(3);
  });

  test("takes a list of all arguments for each call, and resumes each by its own", async () => {
    let fails = true;
    const pair = task({ name: "pair" }, async (left: string, right: number) => {
      if (fails && right === 2) throw new TypeError("not yet");
      return `${left}${right}`;
    });
    const paired = flow(
      { name: "f" },
      async () =>
        await pair.mapArgs(
          [
            ["a", 1],
            ["b", 2],
          ],
          { key: ([left]) => left, concurrency: 1 },
        ),
    );
    const run = await testRun(paired);
    expect(run.outcome).toBe("failed");
    fails = false;
    const again = await run.resume();
    expect(again.result).toEqual(["a1", "b2"]);
    expect(again.executions).toEqual({ pair: 3 });
  });

  test("refuses an item of mapArgs that is no list", async () => {
    const odd: unknown = [1, 2];
    const run = await testRun(
      flow({ name: "f" }, async () => await scale.mapArgs(odd as [number, number][])),
    );
    expect(run.error).toBeInstanceOf(InvalidDefinition);
  });

  test("names children by the map call and their key or index", async () => {
    const keyed = flow({ name: "f" }, async () => {
      await double.map([5, 5], { key: (value) => `v${value}` });
      await double.with({ key: "again" }).map([1, 2]);
    });
    const paths = (await testRun(keyed)).tasks.map(({ path }) => path);
    expect(paths[0]).toMatch(/^double:[0-9a-f]{16}\/v5$/);
    expect(paths.slice(1)).toEqual([`${paths[0]}#2`, "double:again/0", "double:again/1"]);
  });

  test("begins nothing more after a failure, and throws the first error", async () => {
    const begun: number[] = [];
    const brittle = task({ name: "brittle" }, async (value: number) => {
      begun.push(value);
      if (value === 1) throw new Error(`no ${value}`);
    });
    const run = await testRun(
      flow({ name: "f" }, async () => await brittle.map([0, 1, 2, 3, 4], { concurrency: 1 })),
    );
    expect(run.error).toMatchObject({ message: "no 1" });
    expect(begun).toEqual([0, 1]);
  });

  test("of nothing is nothing", async () => {
    expect((await testRun(flow({ name: "f" }, async () => await double.map([])))).result).toEqual([]);
  });

  test("of sets and maps is told apart by what they hold", async () => {
    const run = await testRun(
      flow({ name: "f" }, async () => {
        await double.map(new Set([1, 2]));
        await double.map([1, 2]);
      }),
    );
    expect(new Set(run.tasks.map(({ path }) => path.split(/[#/]/)[0])).size).toBe(1);
  });

  test("may be begun before it is awaited, beside another", async () => {
    const order: number[] = [];
    const noted = task({ name: "noted" }, async (value: number) => void order.push(value));
    const run = await testRun(
      flow({ name: "f" }, async () => {
        const first = noted.map([1, 2]);
        await noted.with({ key: "between" })(3);
        await new Promise((resolve) => setImmediate(resolve));
        expect(order.toSorted()).toEqual([1, 2, 3]);
        await first;
      }),
    );
    expect(run.error).toBeUndefined();
  });

  test("outside of a run rejects", async () => {
    await expect(double.map([1])).rejects.toBeInstanceOf(OutsideOfRun);
  });
});

describe("a map whose results are taken one by one", () => {
  const double = task({ name: "double" }, async (value: number) => value * 2);

  /** An endless iterator that counts what was taken of it, and says when it was closed. */
  function endless() {
    const seen = { taken: 0, closed: false };
    async function* numbers() {
      try {
        while (true) yield seen.taken++;
      } finally {
        seen.closed = true;
      }
    }
    return { seen, numbers: numbers() };
  }

  test("gives them in order, takes no more items than it has room for, and closes the iterator", async () => {
    const { seen, numbers } = endless();
    const got: number[] = [];
    const run = await testRun(
      flow({ name: "f" }, async () => {
        for await (const value of double.map(numbers, { concurrency: 2 })) {
          got.push(value);
          for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
          expect(seen.taken).toBeLessThanOrEqual(got.length + 5);
          if (got.length === 10) break;
        }
      }),
    );
    expect(run.error).toBeUndefined();
    expect(got).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 16, 18]);
    expect(seen.closed).toBe(true);
  });

  test("gives outcomes as they come, failures among them, without beginning less", async () => {
    const gates = [0, 1, 2].map(() => Promise.withResolvers<void>());
    const gated = task({ name: "gated" }, async (index: number) => {
      await gates[index]?.promise;
      if (index === 1) throw new Error("no 1");
      return index;
    });
    const got: unknown[] = [];
    await testRun(
      flow({ name: "f" }, async () => {
        gates[2]?.resolve();
        for await (const one of gated.map([0, 1, 2]).settled()) {
          got.push([one.item, one.status]);
          gates[2 - got.length]?.resolve();
        }
      }),
    );
    expect(got).toEqual([
      [2, "fulfilled"],
      [1, "rejected"],
      [0, "fulfilled"],
    ]);
  });

  test("gives what came before a failure, then throws it, and begins nothing more", async () => {
    const begun: number[] = [];
    const brittle = task({ name: "brittle" }, async (value: number) => {
      begun.push(value);
      if (value === 2) throw new Error("no 2");
      return value;
    });
    const got: number[] = [];
    const run = await testRun(
      flow({ name: "f" }, async () => {
        for await (const value of brittle.map([0, 1, 2, 3, 4, 5, 6], { concurrency: 1 })) got.push(value);
      }),
    );
    expect(run.error).toMatchObject({ message: "no 2" });
    expect(got).toEqual([0, 1]);
    expect(begun).toEqual([0, 1, 2]);
  });

  test("fails as its iterator fails, once what is under way has ended", async () => {
    const ended: number[] = [];
    const slow = task({ name: "slow" }, async (value: number) => {
      await new Promise((resolve) => setImmediate(resolve));
      ended.push(value);
    });
    async function* broken() {
      yield 1;
      throw new Error("the page is gone");
    }
    const run = await testRun(flow({ name: "f" }, async () => await slow.map(broken())));
    expect(run.error).toMatchObject({ message: "the page is gone" });
    expect(ended).toEqual([1]);
  });

  test("ends when the run is cancelled although its iterator never ends", async () => {
    const controller = new AbortController();
    async function* waiting() {
      yield 1;
      controller.abort();
      await new Promise(() => {});
    }
    const whole = flow({ name: "f" }, async () => await double.map(waiting()));
    const run = await testRun(whole, {}, { signal: controller.signal });
    expect(run.error).toBeInstanceOf(Cancelled);
    expect(run.outcome).toBe("cancelled");
  });

  test("of an iterator is known by its place among its parent's calls, which must be certain", async () => {
    const numbers = function* () {
      yield 1;
    };
    const one = await testRun(
      flow({ name: "f" }, async () => {
        await double.map(numbers());
        await double.map(numbers(), { key: (value) => `n${value}` });
        await double.with({ key: "k" }).map(numbers());
      }),
    );
    expect(one.tasks.map(({ path }) => path)).toEqual(["double/0", "double#2/n1", "double:k/0"]);
    const both = await testRun(
      flow({ name: "f" }, async () => await Promise.all([double.map(numbers()), double.map(numbers())])),
    );
    expect(both.error).toBeInstanceOf(TaskIdentityUnknown);
  });

  test("cannot be taken twice", async () => {
    const run = await testRun(
      flow({ name: "f" }, async () => {
        const mapped = double.map([1, 2]);
        expect(await mapped.allSettled()).toHaveLength(2);
        await mapped;
      }),
    );
    expect(run.error).toBeInstanceOf(InvalidDefinition);
  });
});

test("allSettled answers every outcome in the items' order, and still stops when the run does", async () => {
  const odd = task({ name: "odd" }, async (value: number) => {
    if (value % 2 === 0) throw new Error(`${value} is even`);
    return value;
  });
  const run = await testRun(flow({ name: "f" }, async () => await odd.map([1, 2, 3]).allSettled()));
  expect(run.error).toMatchObject({ name: "NotSerialisable" });
  const seen = await testRun(
    flow({ name: "f" }, async () => (await odd.map([1, 2, 3]).allSettled()).map(({ status }) => status)),
  );
  expect(seen.result).toEqual(["fulfilled", "rejected", "fulfilled"]);
  const controller = new AbortController();
  const waits = task({ name: "waits" }, async (_value: number) => {
    controller.abort();
    await new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)));
  });
  const whole = flow({ name: "f" }, async () => void (await waits.map([1, 2]).allSettled()));
  expect(await testRun(whole, {}, { signal: controller.signal })).toMatchObject({ outcome: "cancelled" });
});

test("keys are counted one by one", () => {
  const counter = new KeyCounter();
  const keys = Array.from({ length: 5000 }, (_, index) => `key ${index}`);
  expect(new Set(keys.map((key) => counter.count(key)))).toEqual(new Set([1]));
  expect([counter.count("key 7"), counter.count("key 7"), counter.count("new")]).toEqual([2, 3, 1]);
});

/**
 * Memory as the program needs it, not as it happens to be collected: with what V8 does at its own pace, on threads of its own, a busy
 * machine changes the figures, and a collection that it is in the midst of leaves what has died since that began.
 */
const COLLECTED_AS_NEEDED = [
  "--expose-gc",
  "--single-threaded-gc",
  "--predictable-gc-schedule",
  "--no-incremental-marking",
];

/** The memory of a process that maps so many calls: at its highest, and what is left of it in the end. */
function memoryOf(form: string, count: number): { peakBytes: number; heapBytes: number } {
  const file = fileURLToPath(new URL("./many.fixture.ts", import.meta.url));
  const command = [...COLLECTED_AS_NEEDED, file, form, String(count)];
  const told = JSON.parse(execFileSync(process.execPath, command, { encoding: "utf8" }));
  expect(told).toMatchObject({ outcome: "completed", sum: count * (count - 1) });
  return told;
}

// Ten bytes for each call would be the tenth of the heap. Awaited as a whole, the results and the items are there besides: 16 bytes each.
for (const form of ["iterated", "keyed", "whole"])
  test(`100,000 mapped calls (${form}) take hardly more memory than 1,000, and leave none`, () => {
    const [few, many] = [memoryOf(form, 1000), memoryOf(form, 100_000)];
    expect(many.heapBytes / few.heapBytes).toBeLessThan(1.1);
    // The promise. It measures 1.05 to 1.22: how much of what has died is still there differs from run to run.
    expect(many.peakBytes / few.peakBytes).toBeLessThan(1.3);
  });
