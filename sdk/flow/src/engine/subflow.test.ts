import { describe, expect, test } from "vitest";
import { z } from "zod";
import { Cancelled, ctx, flow, InvalidDefinition, InvalidParameters, task } from "../index.ts";
import { testRun } from "../testing.ts";

describe("a flow called in another", () => {
  const double = task({ name: "double" }, async (value: number) => value * 2);
  const inner = flow(
    { name: "inner", input: z.object({ value: z.int().default(4) }) },
    async ({ value }) => (await double(value)) + 1,
  );

  test("is a task run of its own, with its tasks below it and its input validated", async () => {
    const run = await testRun(
      flow({ name: "outer" }, async () => [await inner.run({ value: 1 }), await inner.run()]),
    );
    expect(run.result).toEqual([3, 9]);
    expect(run.tasks.map(({ path, state }) => [path.replace(/:[0-9a-f]{16}/g, ":HASH"), state])).toEqual([
      ["flow:inner:HASH", "completed"],
      ["flow:inner:HASH/double:HASH", "completed"],
      ["flow:inner", "completed"],
      ["flow:inner/double:HASH", "completed"],
    ]);
  });

  test("fails the call when its input is not valid, naming the field", async () => {
    const run = await testRun(flow({ name: "outer" }, async () => await inner.run({ value: 1.5 })));
    expect(run.error).toBeInstanceOf(InvalidParameters);
    expect(run.error).toMatchObject({ faults: [{ path: "parameters.value" }] });
    expect(run.tasks).toMatchObject([{ name: "inner", state: "failed" }]);
  });

  test("can be called in a task, and itself call flows", async () => {
    const middle = flow({ name: "middle" }, async () => await inner.run({ value: 2 }));
    const step = task({ name: "step" }, async () => await middle.run());
    const run = await testRun(flow({ name: "outer" }, async () => await step()));
    expect(run.result).toBe(5);
    expect(run.tasks.map(({ path }) => path)[2]).toMatch(/^step\/flow:middle\/flow:inner:[0-9a-f]{16}$/);
  });

  test("is never taken for a task that is called flow", async () => {
    const named = task({ name: "flow", key: "bare" }, async () => 1);
    const bare = flow({ name: "bare" }, async () => 2);
    const run = await testRun(flow({ name: "outer" }, async () => [await named(), await bare.run()]));
    expect(run.result).toEqual([1, 2]);
    expect(new Set(run.tasks.map(({ path }) => path)).size).toBe(2);
  });
});

describe("hooks", () => {
  const seen: unknown[] = [];
  const hooks = {
    onCompletion: (result: unknown) => void seen.push(["completion", result, ctx.taskPath]),
    onFailure: (error: unknown) => void seen.push(["failure", error]),
    onCancellation: (reason: Cancelled) => void seen.push(["cancellation", reason]),
  };

  test("one of them runs, for the way the flow ended, before the run ends", async () => {
    seen.length = 0;
    await testRun(flow({ name: "f", ...hooks }, async () => 7));
    const error = new Error("no");
    await testRun(
      flow({ name: "f", ...hooks }, async () => {
        throw error;
      }),
    );
    const stop = new AbortController();
    const waits = flow({ name: "f", ...hooks }, async () => {
      stop.abort();
      ctx.signal.throwIfAborted();
    });
    await testRun(waits, {}, { signal: stop.signal });
    expect(seen).toEqual([
      ["completion", 7, null],
      ["failure", error],
      ["cancellation", expect.any(Cancelled)],
    ]);
  });

  test("that fail are warned of, and change no outcome", async () => {
    const onCompletion = async () => {
      throw new Error("the mail server is away");
    };
    const run = await testRun(flow({ name: "f", onCompletion }, async () => 7));
    expect(run).toMatchObject({ outcome: "completed", result: 7 });
    expect(run.logs).toMatchObject([
      { level: "warn", text: expect.stringContaining("the mail server is away") },
    ]);
  });

  test("must be functions", () => {
    const wrong: never = "notify" as never;
    expect(() => flow({ name: "f", onFailure: wrong }, async () => 1)).toThrow(InvalidDefinition);
  });
});
