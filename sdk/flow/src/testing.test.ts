import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { ctx, flow, InvalidDefinition, log, resource, task, uuid } from "./index.ts";
import { testRun } from "./testing.ts";

/** Three steps, one after the other, that note what they did. */
function steps() {
  const did: string[] = [];
  const step = (name: string) =>
    task({ name }, async (n: number) => {
      did.push(`${name} ${n}`);
      return n + 1;
    });
  const [read, train, publish] = [step("read"), step("train"), step("publish")];
  const whole = flow({ name: "whole", input: z.object({ n: z.number() }) }, async ({ n }) => {
    try {
      return await publish(await train(await read(n)));
    } finally {
      did.push("finally");
    }
  });
  return { did, whole };
}

describe("killAfter", () => {
  test("cuts a run off after a task, and resume goes on from what was completed", async () => {
    const { did, whole } = steps();
    const run = await testRun(whole, { n: 1 }, { killAfter: "read" });
    expect(run).toMatchObject({ outcome: "killed", result: undefined, error: undefined, attempt: 1 });
    expect(did).toEqual(["read 1"]);
    const resumed = await run.resume();
    expect(resumed).toMatchObject({ outcome: "completed", result: 4, runId: run.runId, attempt: 2 });
    expect(did).toEqual(["read 1", "train 2", "publish 3", "finally"]);
    expect(resumed.executions).toEqual({ read: 1, train: 1, publish: 1 });
    expect(resumed.tasks.map(({ name, tries }) => [name, tries])).toEqual([
      ["read", 0],
      ["train", 1],
      ["publish", 1],
    ]);
  });

  test("counts completed tasks of its own attempt, and what all attempts kept counts", async () => {
    const { did, whole } = steps();
    let run = await testRun(whole, { n: 1 }, { killAfter: 1 });
    run = await run.resume({ killAfter: 1 });
    run = await run.resume({ killAfter: 1 });
    expect(run.outcome).toBe("killed");
    run = await run.resume();
    expect(run).toMatchObject({ attempt: 4, result: 4 });
    expect(did).toEqual(["read 1", "train 2", "publish 3", "finally"]);
  });

  test("after it nothing of the attempt is heard, and what was in flight runs again", async () => {
    let isOut = false;
    const release = Promise.withResolvers<void>();
    const fast = task({ name: "fast" }, async () => 1);
    const slow = task({ name: "slow" }, async () => {
      await release.promise;
      log.info("slow is done");
      return 2;
    });
    const both = flow({ name: "both" }, async () => {
      const got = await Promise.all([slow(), fast().then(() => 1)]);
      isOut = true;
      return got;
    });
    const run = await testRun(both, {}, { killAfter: "fast" });
    release.resolve();
    await nextTurn();
    expect([run.outcome, run.logs, isOut]).toEqual(["killed", [], false]);
    const resumed = await run.resume();
    expect(resumed).toMatchObject({ result: [2, 1], executions: { fast: 1, slow: 2 } });
    expect(resumed.logs.map(({ text }) => text)).toEqual(["slow is done"]);
  });

  test("a mapped call is named by its path", async () => {
    const square = task({ name: "square" }, async (n: number) => n * n);
    const all = flow(
      { name: "all" },
      async () => await square.map([1, 2, 3, 4], { concurrency: 1, key: String }),
    );
    const whole = await testRun(all);
    const third = whole.tasks[2]?.path;
    expect(third).toContain("3");
    const run = await testRun(all, {}, { killAfter: third ?? "" });
    expect(run.tasks.filter(({ state }) => state === "completed")).toHaveLength(3);
    expect(await run.resume()).toMatchObject({ result: [1, 4, 9, 16], executions: { square: 4 } });
  });

  test("leaves nothing that listens to the process", async () => {
    const before = process.listenerCount("unhandledRejection");
    await testRun(steps().whole, { n: 1 }, { killAfter: 1 });
    expect(process.listenerCount("unhandledRejection")).toBe(before);
  });

  test("that is never reached says so when the run is to be resumed", async () => {
    const run = await testRun(steps().whole, { n: 1 }, { killAfter: "trian" });
    await expect(run.resume()).rejects.toThrow('Its killAfter was never reached: "trian".');
    for (const killAfter of [0, 1.5])
      await expect(testRun(steps().whole, { n: 1 }, { killAfter })).rejects.toThrow(InvalidDefinition);
  });
});

test("progress, drawn ids and resources come through a kill as in a real one", async () => {
  const ids: string[] = [];
  const rows = resource({ name: "rows", open: async (): Promise<number[]> => [] });
  const sink = task({ name: "sink" }, async (count: number) => {
    const into = await rows.get();
    for (let at = (await ctx.kept<number>("at")) ?? 0; at < count; at++) {
      into.push(at);
      await ctx.keep("at", at + 1);
      if (at === 1) await mark();
    }
    return into.length;
  });
  const mark = task({ name: "mark" }, async () => {});
  const whole = flow({ name: "whole" }, async () => {
    ids.push(uuid());
    return await sink(4);
  });
  const fake: number[] = [];
  const run = await testRun(whole, {}, { killAfter: "mark", resources: [rows.fake(fake)] });
  expect((await run.resume()).result).toBe(4);
  expect(fake).toEqual([0, 1, 2, 3]);
  expect(ids[1]).toBe(ids[0]);
});

test("waits before retries take no time on the fake clock, and calls are counted", async () => {
  const flaky = task({ name: "flaky", retries: 3, retryDelayMs: 3_600_000 }, async () => {
    if (ctx.attempt === 1) throw new Error("not yet");
    return "done";
  });
  const run = await testRun(flow({ name: "f" }, async () => await flaky()));
  expect(run).toMatchObject({ outcome: "failed", executions: { flaky: 4 } });
  expect(await run.resume()).toMatchObject({ result: "done", executions: { flaky: 5 } });
});

test("a rerun is a new run that takes what still holds", async () => {
  const { did, whole } = steps();
  const run = await testRun(whole, { n: 1 });
  await expect(run.resume()).rejects.toThrow("Use rerun()");
  const again = await run.rerun();
  expect(again.runId).not.toBe(run.runId);
  expect(again).toMatchObject({ attempt: 1, result: 4, executions: {} });
  expect(await run.rerun({ n: 2 })).toMatchObject({
    result: 5,
    executions: { read: 1, train: 1, publish: 1 },
  });
  expect(did.filter((one) => one === "finally")).toHaveLength(3);
});
