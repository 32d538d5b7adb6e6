import { FlowRecord, LIMITS } from "@towpath/contract";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { ctx } from "../engine/context.ts";
import { flow } from "../flow.ts";
import { ChildFailed, InvalidAnswer, InvalidDefinition, SuspendInTask, WaitExpired } from "../problem.ts";
import { task } from "../task/task.ts";
import { withSetup } from "../task/with-setup.ts";
import { EXPIRED, testRun } from "../testing.ts";
import { suspend } from "./suspend.ts";

const WAITS = LIMITS.waits;

test.each([
  { keys: "short", key: (at: number) => `flight ${at}` },
  { keys: "long", key: (at: number) => `flight ${at} of ${"a".repeat(150)}` },
])(
  "a flow that waits for as much as a run may, by $keys keys, is suspended and goes on",
  async ({ key }) => {
    const landings = flow({ name: "landings" }, async () => {
      const all = Array.from({ length: WAITS }, (_, at) => suspend.event("landed", { key: key(at) }));
      return (await Promise.all(all)).length;
    });
    const run = await testRun(landings);
    expect(run).toMatchObject({ outcome: "suspended" });
    expect(run.waits).toHaveLength(WAITS);
    const outcome = run.records.findLast((record) => record.type === "outcome");
    const line = JSON.stringify({ seq: 1, ...outcome });
    // What a worker's gateway takes.
    expect(FlowRecord.safeParse(JSON.parse(line)).error).toBeUndefined();
    expect(Buffer.byteLength(line)).toBeLessThanOrEqual(LIMITS.recordBytes);
    expect(outcome).toMatchObject({ moreWaits: true });
    const answers = Object.fromEntries(Array.from({ length: WAITS }, (_, at) => [`landed ${key(at)}`, at]));
    expect(await run.resume({ answers })).toMatchObject({ outcome: "completed", result: WAITS });
  },
  60_000,
);

test("a suspension that fits into one record names all that it waits for", async () => {
  const two = flow({ name: "two" }, async () => {
    await Promise.all([suspend.event("landed"), suspend.event("parked")]);
  });
  const { records } = await testRun(two);
  const outcome = records.findLast((record) => record.type === "outcome");
  expect(outcome).toMatchObject({ waits: [expect.any(String), expect.any(String)] });
  expect(outcome).not.toHaveProperty("moreWaits");
});

const train = task({ name: "train" }, async (rate: number) => rate * 2);
const publish = task({ name: "publish" }, async (model: number) => `published ${model}`);

describe("a flow that waits", () => {
  const approved = flow({ name: "approved" }, async () => {
    const model = await train(21);
    const ok = await suspend.input({ title: "Publish?", schema: z.boolean() });
    return ok ? await publish(model) : "rejected";
  });

  test("is suspended where nothing has come, and goes on there without doing anything twice", async () => {
    const run = await testRun(approved);
    expect(run).toMatchObject({ outcome: "suspended", waits: ["wait:input:Publish?"], result: undefined });
    const again = await run.resume();
    expect(again.outcome).toBe("suspended");
    const resumed = await again.resume({ answers: { "Publish?": true } });
    expect(resumed).toMatchObject({ outcome: "completed", result: "published 42" });
    expect(resumed.executions).toEqual({ train: 1, publish: 1 });
  });

  test("goes on at once with what has come before", async () => {
    const run = await testRun(approved, {}, { answers: { "Publish?": false } });
    expect(run).toMatchObject({ outcome: "completed", result: "rejected", attempt: 1 });
  });

  test("is not suspended while a task is active, and has its result then", async () => {
    const go = Promise.withResolvers<void>();
    const slow = task({ name: "slow" }, async () => await go.promise);
    const both = flow({ name: "both" }, async () => {
      setImmediate(() => go.resolve());
      return await Promise.all([
        suspend.input({ title: "a", schema: z.number() }),
        slow().then(() => train(1)),
      ]);
    });
    const run = await testRun(both);
    expect(run).toMatchObject({ outcome: "suspended", waits: ["wait:input:a"] });
    expect(run.tasks.map(({ name, state }) => [name, state])).toEqual([
      ["slow", "completed"],
      ["train", "completed"],
    ]);
    expect((await run.resume({ answers: { a: 3 } })).result).toEqual([3, 2]);
  });

  test("may wait for several things, and goes on with the first", async () => {
    const race = flow({ name: "race" }, async () => {
      const late = suspend.for("1h").then(() => "late");
      return await Promise.race([suspend.event("landed", { key: "a" }).then(() => "landed"), late]);
    });
    const run = await testRun(race);
    expect(run.waits).toEqual(["wait:for:3600000", "wait:event:landed a"]);
    expect((await testRun(race, {}, { answers: { "landed a": null } })).result).toBe("landed");
    expect((await run.resume()).result).toBe("late");
  });

  test("cannot be told apart from one that was killed by what its own code catches", async () => {
    const heard: string[] = [];
    const swallows = flow({ name: "swallows" }, async () => {
      ctx.signal.addEventListener("abort", () => heard.push("abort"));
      for (let tried = 0; tried < 3; tried++) {
        try {
          await suspend.event("never");
        } catch {
          heard.push("caught");
        } finally {
          heard.push("finally");
        }
      }
    });
    expect((await testRun(swallows)).outcome).toBe("suspended");
    await new Promise(setImmediate);
    expect(heard).toEqual([]);
  });

  test("stays in its process for a short time", async () => {
    const short = flow({ name: "short" }, async () => {
      await suspend.for("5s");
      await suspend.until(new Date(0));
      return "there";
    });
    expect(await testRun(short)).toMatchObject({ outcome: "completed", attempt: 1, result: "there" });
  });

  test("can be cancelled where it waits", async () => {
    const controller = new AbortController();
    const slow = task({ name: "slow" }, async () => {
      controller.abort();
      ctx.signal.throwIfAborted();
    });
    const waits = flow({ name: "waits" }, async () => await Promise.all([slow(), suspend.event("never")]));
    expect((await testRun(waits, {}, { signal: controller.signal })).outcome).toBe("cancelled");
  });

  test("tears down what it has set up, and sets it up again when it goes on", async () => {
    const told: string[] = [];
    const made = { setup: () => void told.push("up"), teardown: () => void told.push("down") };
    const holds = flow({ name: "holds" }, async () => {
      await withSetup(made, async () => {
        await suspend.event("go");
        told.push("went");
      });
    });
    const run = await testRun(holds);
    expect(told).toEqual(["up", "down"]);
    await run.resume({ answers: { go: null } });
    expect(told).toEqual(["up", "down", "up", "went", "down"]);
  });
});

describe("what comes", () => {
  test("has the type of its schema, defaults filled in", async () => {
    const schema = z.object({ rate: z.number(), note: z.string().default("none") });
    const asks = flow({ name: "asks" }, async () => await suspend.input({ title: "Rate", schema }));
    const run = await testRun(asks, {}, { answers: { Rate: { rate: 3 } } });
    expect(run.result).toEqual({ rate: 3, note: "none" });
  });

  test("and does not satisfy its schema is an error that names the field", async () => {
    const hears = flow(
      { name: "hears" },
      async () => await suspend.event("landed", { schema: z.object({ at: z.string() }) }),
    );
    const run = await testRun(hears, {}, { answers: { landed: { at: 3 } } });
    expect(run.error).toBeInstanceOf(InvalidAnswer);
    expect(run.error).toMatchObject({ faults: [{ path: "answer.at" }] });
  });

  test("too late is a typed error where it was awaited, which the flow may handle", async () => {
    const asks = flow({ name: "asks" }, async () => {
      try {
        return await suspend.input({ title: "Sure?", schema: z.boolean(), deadline: "3d" });
      } catch (error) {
        if (error instanceof WaitExpired) return "nobody was there";
        throw error;
      }
    });
    expect((await testRun(asks, {}, { answers: { "Sure?": EXPIRED } })).result).toBe("nobody was there");
  });
});

describe("a child", () => {
  const calls: unknown[] = [];
  const call = async (asked: unknown) => {
    calls.push(asked);
    return { runId: "child-1", state: "ready", cause: null, result: null };
  };
  const parent = flow({ name: "parent" }, async () => await ctx.runDeployment("other", { a: 1 }));

  test("suspends its parent, which goes on with what it returned", async () => {
    const run = await testRun(parent, {}, { call });
    expect(run.outcome).toBe("suspended");
    expect(calls).toEqual([
      { kind: "start-run", deployment: "other", parameters: { a: 1 }, onParentEnd: "cancel" },
    ]);
    const result = await run.store.save(
      { runId: "child-1", attempt: 1, task: "", name: "result" },
      42,
      "json",
    );
    expect((await run.resume({ answers: { "child-1": { result } } })).result).toBe(42);
  });

  test("that does not complete is an error that tells how it ended", async () => {
    const run = await testRun(
      parent,
      {},
      { call, answers: { "child-1": { state: "failed", cause: "oom" } } },
    );
    expect(run.error).toBeInstanceOf(ChildFailed);
    expect(run.error).toMatchObject({ state: "failed", runCause: "oom" });
  });
});

describe("a wait is refused", () => {
  test("in a task", async () => {
    const waits = task({ name: "waits" }, async () => await suspend.for("1h"));
    const run = await testRun(flow({ name: "f" }, async () => await waits()));
    expect(run.error).toBeInstanceOf(SuspendInTask);
  });

  test("for what is no length of time", async () => {
    const run = await testRun(flow({ name: "f" }, async () => await suspend.for("3 hours or so")));
    expect(run.error).toBeInstanceOf(InvalidDefinition);
  });
});
