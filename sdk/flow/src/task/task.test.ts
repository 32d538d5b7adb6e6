import { describe, expect, test } from "vitest";
import {
  ctx,
  exponential,
  flow,
  InvalidDefinition,
  NonRetryable,
  OutsideOfRun,
  type Task,
  TaskIdentityUnknown,
  TaskTimeout,
  task,
} from "../index.ts";
import { testRun } from "../testing.ts";
import { retryDelay } from "./retry.ts";

/** Runs one call of a task in a flow of its own. */
async function call<Args extends readonly unknown[], Result>(one: Task<Args, Result>, ...args: Args) {
  return await testRun(flow({ name: "one" }, async () => await one(...args)));
}

function failing(times: number, make: () => unknown = () => new Error("not yet")) {
  let left = times;
  return async () => {
    if (left-- > 0) throw make();
    return "done";
  };
}

function movesOf(run: Awaited<ReturnType<typeof call>>): string[] {
  return run.records.flatMap((record) => (record.type === "task" ? [`${record.move} ${record.tries}`] : []));
}

describe("tries", () => {
  test("continue until one succeeds, and each is recorded", async () => {
    const run = await call(task({ name: "t", retries: 3 }, failing(2)));
    expect(run.result).toBe("done");
    expect(movesOf(run)).toEqual([
      "queue 0",
      "begin 1",
      "retry 1",
      "begin 2",
      "retry 2",
      "begin 3",
      "complete 3",
    ]);
  });

  test("end with the last error when retries are spent", async () => {
    const run = await call(task({ name: "t", retries: 1 }, failing(5)));
    expect(run).toMatchObject({ outcome: "failed", error: { message: "not yet" } });
    expect(run.tasks).toMatchObject([{ state: "failed", tries: 2 }]);
  });

  test("end at once for an error that says so", async () => {
    const plain = await call(
      task(
        { name: "t", retries: 5 },
        failing(9, () => new NonRetryable("no such file")),
      ),
    );
    expect(plain.tasks).toMatchObject([{ state: "failed", tries: 1 }]);
    const cause = new NonRetryable("no such file");
    const wrapped = await call(
      task(
        { name: "t", retries: 5 },
        failing(9, () => new Error("read", { cause })),
      ),
    );
    expect(wrapped.tasks).toMatchObject([{ tries: 1 }]);
  });

  test("end at once for an error of no class that retryOn names, whose causes are of none either", async () => {
    const options = { name: "t", retries: 2, retryOn: [RangeError, TypeError] };
    const other = await call(task(options, failing(9)));
    expect(other.tasks).toMatchObject([{ tries: 1 }]);
    const named = await call(
      task(
        options,
        failing(9, () => new RangeError("r")),
      ),
    );
    expect(named.tasks).toMatchObject([{ tries: 3 }]);
    const cause = new TypeError("fetch failed", { cause: new Error("ECONNRESET") });
    const caused = await call(
      task(
        options,
        failing(9, () => new Error("page 3", { cause })),
      ),
    );
    expect(caused.tasks).toMatchObject([{ tries: 3 }]);
    const refused = await call(
      task(
        { ...options, retryIf: (error) => !(error instanceof RangeError) },
        failing(9, () => new RangeError()),
      ),
    );
    expect(refused.tasks).toMatchObject([{ tries: 1 }]);
  });

  test("end at once when retryIf says so", async () => {
    const retryIf = (error: unknown) => error instanceof TypeError;
    const run = await call(task({ name: "t", retries: 5, retryIf }, failing(9)));
    expect(run.tasks).toMatchObject([{ tries: 1 }]);
  });

  test("wait as long as number, list, function and jitter say", () => {
    const failed = { tries: 3, error: null, random: () => 0.5 };
    expect(retryDelay({ retryDelayMs: 40 }, failed)).toBe(40);
    expect(retryDelay({ retryDelayMs: [10, 20] }, failed)).toBe(20);
    expect(retryDelay({ retryDelayMs: exponential({ firstMs: 100 }) }, failed)).toBe(400);
    expect(retryDelay({ retryDelayMs: exponential({ firstMs: 100, maxMs: 150 }) }, failed)).toBe(150);
    const asked = { retries: 9 };
    expect([1, 2, 3, 9].map((tries) => retryDelay(asked, { ...failed, tries }))).toEqual([
      500, 1000, 2000, 30_000,
    ]);
    expect(retryDelay(asked, { ...failed, random: () => 0 })).toBe(1600);
    const low = { ...failed, random: () => 0 };
    expect(retryDelay({ retryDelayMs: 100, retryJitter: 0.2 }, low)).toBe(80);
  });
});

describe("hooks", () => {
  test("get a record of each try that a retry follows, and of the end", async () => {
    const told: unknown[] = [];
    const options = {
      name: "t",
      retries: 1,
      retryDelayMs: 40,
      onRetry: (error: unknown, failed: object) => void told.push([error, failed, ctx.taskPath]),
      onFailure: (error: unknown, failed: object) => void told.push([error, failed]),
    };
    await call(task(options, failing(9)));
    const error = expect.objectContaining({ message: "not yet" });
    expect(told).toEqual([
      [error, { tries: 1, delayMs: 40 }, "t"],
      [error, { tries: 2 }],
    ]);
    told.length = 0;
    await call(task(options, failing(1)));
    expect(told).toHaveLength(1);
  });

  test("that fail are warned of, and change no outcome", async () => {
    const onRetry = () => Promise.reject(new Error("no pager"));
    const run = await call(task({ name: "t", retries: 1, onRetry }, failing(1)));
    expect(run.result).toBe("done");
    expect(run.logs.map(({ text }) => text)).toContainEqual(expect.stringContaining("no pager"));
  });
});

describe("a time limit", () => {
  test("rejects with a typed error, aborts the signal, and may be retried", async () => {
    const reasons: unknown[] = [];
    const slow = task({ name: "slow", retries: 1, timeoutMs: 30, timeoutGraceMs: 10 }, async () => {
      const { signal } = ctx;
      signal.addEventListener("abort", () => reasons.push(signal.reason));
      await new Promise(() => {});
    });
    const run = await call(slow);
    expect(run.error).toBeInstanceOf(TaskTimeout);
    expect(run.tasks).toMatchObject([{ state: "failed", tries: 2 }]);
    expect(reasons).toHaveLength(2);
    expect(reasons[0]).toBeInstanceOf(TaskTimeout);
    expect(run.logs.map(({ text }) => text)).toContainEqual(expect.stringContaining("but is still running"));
  });

  test("lets a function that hears the signal clean up before the next try begins", async () => {
    const seen: string[] = [];
    const tidy = task({ name: "tidy", retries: 1, timeoutMs: 20 }, async () => {
      seen.push("begun");
      await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
      await new Promise((resolve) => setTimeout(resolve, 20));
      seen.push("tidied");
    });
    const run = await call(tidy);
    expect(run.error).toBeInstanceOf(TaskTimeout);
    expect(seen).toEqual(["begun", "tidied", "begun", "tidied"]);
    expect(run.logs.map(({ text }) => text)).not.toContainEqual(expect.stringContaining("runs on"));
  });

  test("leaves nothing to begin for a function that was left", async () => {
    const later = Promise.withResolvers<void>();
    const refused = Promise.withResolvers<unknown>();
    const inner = task({ name: "inner" }, async () => 1);
    const deaf = task({ name: "deaf", timeoutMs: 20, timeoutGraceMs: 0 }, async () => {
      await later.promise;
      inner().catch(refused.resolve);
    });
    const run = await testRun(
      flow({ name: "one" }, async () => {
        await deaf().catch(() => {});
        later.resolve();
        return (await refused.promise) instanceof TaskTimeout;
      }),
    );
    expect(run.result).toBe(true);
    expect(run.tasks).toMatchObject([{ name: "deaf", state: "failed" }]);
  });

  test("leaves the signal of a try that made it alone", async () => {
    const quick = task({ name: "quick", timeoutMs: 60_000 }, async () => ctx.signal);
    const whole = flow({ name: "whole" }, async () => {
      const signal = await quick();
      return signal.aborted;
    });
    expect((await testRun(whole)).result).toBe(false);
  });
});

describe("identity", () => {
  test("nested tasks stand below their parent, and a key replaces the hash", async () => {
    const inner = task({ name: "inner" }, async (value: number) => value);
    const outer = task({ name: "outer" }, async () => await inner.with({ key: "k" })(1));
    const run = await testRun(flow({ name: "f" }, async () => await outer()));
    expect(run.tasks.map(({ path }) => path)).toEqual(["outer", "outer/inner:k"]);
  });

  test("trailing arguments left undefined are as if not given", async () => {
    const optional = task({ name: "o" }, async (value: number, _more?: string) => value);
    const run = await testRun(
      flow({ name: "f" }, async () => {
        await optional(1);
        await optional(1, undefined);
      }),
    );
    const [first, second] = run.tasks.map(({ path }) => path);
    expect(second).toBe(`${first}#2`);
  });

  test("concurrent calls without input and key fail the flow with a typed error", async () => {
    const next = task({ name: "next" }, async () => 1);
    const run = await testRun(flow({ name: "f" }, async () => await Promise.all([next(), next()])));
    expect(run.error).toBeInstanceOf(TaskIdentityUnknown);
  });
});

describe("a declaration", () => {
  const cases: [string, object][] = [
    ["retries", { retries: -1 }],
    ["retries", { retries: 1.5 }],
    ["retryDelayMs", { retryDelayMs: [] }],
    ["retryJitter", { retryJitter: 2 }],
    ["retryOn", { retryOn: [] }],
    ["timeoutGraceMs", { timeoutGraceMs: -1 }],
    ["timeoutMs", { timeoutMs: 0 }],
    ["ifIgnored", { ifIgnored: "stop" as "kill" }],
    ["key", { key: "" }],
  ];
  for (const [field, options] of cases)
    test(`with ${JSON.stringify(options)} is refused, naming ${field}`, () => {
      expect(() => task({ name: "t", ...options }, () => 1)).toThrow(InvalidDefinition);
      expect(() => task({ name: "t", ...options }, () => 1)).toThrow(`task "t": ${field}`);
    });

  test("can be called as a plain function in a unit test, but not as a task outside of a run", async () => {
    const plus = task({ name: "plus" }, (a: number, b: number) => a + b);
    expect(plus.fn(1, 2)).toBe(3);
    await expect(plus(1, 2)).rejects.toBeInstanceOf(OutsideOfRun);
  });
});

test("a result that is saved has its ref on the task run, and the value stays in the store", async () => {
  const saved = task({ name: "saved", checkpoint: true }, async () => ({ rows: 3 }));
  const run = await call(saved);
  const [tested] = run.tasks;
  expect(tested?.result).toMatchObject({ codec: "json" });
  expect(tested?.result && (await run.store.load(tested.result))).toEqual({ rows: 3 });
});
