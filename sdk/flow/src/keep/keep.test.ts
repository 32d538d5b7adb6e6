import { expect, test } from "vitest";
import { ctx } from "../engine/context.ts";
import { flow } from "../flow.ts";
import { task } from "../task/task.ts";
import { testRun } from "../testing.ts";
import { now, random, uuid } from "./alike.ts";

test("a later try goes on from what an earlier one has kept, and so does a later attempt", async () => {
  const done: number[] = [];
  const failAt = new Set([3, 5]);
  const load = task({ name: "load", retries: 1, retryDelayMs: 0 }, async (count: number) => {
    let from = (await ctx.kept<{ rows: number }>("rows"))?.rows ?? 0;
    for (; from < count; from++) {
      if (failAt.delete(from)) throw new Error(`broken at ${from}`);
      done.push(from);
      await ctx.keep("rows", { rows: from + 1 });
    }
    return from;
  });
  const body = flow({ name: "body" }, async () => await load(7));
  const first = await testRun(body);
  expect(first.outcome).toBe("failed");
  const second = await first.resume();
  expect(second.result).toBe(7);
  expect(done).toEqual([0, 1, 2, 3, 4, 5, 6]);
});

test("what is kept belongs to its task call and name", async () => {
  const read = task({ name: "read" }, async (_n: number) => await ctx.kept<string>("a"));
  const write = task({ name: "write" }, async () => {
    await ctx.keep("a", "mine");
    return [await ctx.kept("a"), await ctx.kept("b")];
  });
  const body = flow({ name: "body" }, async () => {
    await ctx.keep("a", "the run's");
    return JSON.stringify([await write(), await read(1), await ctx.kept("a")]);
  });
  expect((await testRun(body)).result).toBe('[["mine",null],null,"the run\'s"]');
});

test("the time, numbers and ids are the same in every attempt, and differ among calls and runs", async () => {
  let broken = true;
  const seen: unknown[][] = [];
  const stamp = task({ name: "stamp" }, async (at: Date) => [at.toISOString(), random(), uuid()].join(" "));
  const body = flow({ name: "body" }, async () => {
    const drawn = [now(), random(), random(), uuid(), uuid(), now({ key: "end" }), await stamp(now())];
    seen.push(drawn);
    if (broken) throw new Error("later");
    return "done";
  });
  const first = await testRun(body);
  broken = false;
  const second = await first.resume();
  expect(second.tasks.map(({ name, tries }) => [name, tries])).toEqual([["stamp", 0]]);
  const [one = [], other = []] = seen;
  expect(other).toEqual(one);
  expect(new Set([one[1], one[2], one[3], one[4]]).size).toBe(4);
  expect(one[3]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(one[1]).toSatisfy((n: number) => n >= 0 && n < 1);
  await testRun(body);
  expect(seen[2]?.[1]).not.toBe(one[1]);
});

test("beside running tasks a repeated call needs a key, and the error says how", async () => {
  const slow = task({ name: "slow" }, async (n: number) => n);
  const body = flow({ name: "body" }, async () => {
    await Promise.allSettled([slow(1), Promise.resolve(random())]);
    const under = slow(2);
    under.catch(() => {});
    random();
    random();
    await under;
  });
  expect((await testRun(body)).error).toMatchObject({
    name: "TaskIdentityUnknown",
    message: expect.stringContaining('Give the call a key: random({ key: "…" })'),
  });
});
