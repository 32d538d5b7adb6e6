import { afterEach, describe, expect, test } from "vitest";
import type { Json } from "../../kernel/names.ts";
import type { JsonObject } from "../schema/walk.ts";
import { CheckPool, type CheckPoolOptions } from "./pool.ts";

const pools: CheckPool[] = [];
afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close()));
});

function poolOf(options: CheckPoolOptions = {}) {
  const pool = new CheckPool(options);
  pools.push(pool);
  return pool;
}

const evil = { type: "object", properties: { name: { type: "string", pattern: "^(a+)+$" } } };
const longest = { name: `${"a".repeat(60)}!` };
const root = "parameters";
const one = (owner: string, schema: JsonObject, value: Json) => ({ owner, schema, values: [value], root });

describe("a check by the caller", () => {
  const schema = { type: "array", items: { type: "integer" } };
  const values = [Array.from({ length: 100 }, (_, n) => n)];

  test("moves to a thread once its steps are used up", () => {
    const pool = poolOf({ hereMs: 60_000 });
    expect(pool.here({ schema, values, root })).toEqual([{ faults: [] }]);
    expect(pool.here({ schema, values: [Array(1_000).fill(1)], root })).toBeNull();
  });

  test("moves to a thread once its time is up", async () => {
    const pool = poolOf({ hereMs: 0 });
    expect(pool.here({ schema, values, root })).toBeNull();
    expect(await pool.check({ owner: "a", schema, values, root })).toEqual([{ faults: [] }]);
  });
});

describe("a check in a thread", () => {
  test("reports the same faults as a check by the caller, for each of many values", async () => {
    const values = [{ name: "aa" }, { name: "b" }, { name: 1 }];
    const outcomes = await poolOf().check({ owner: "a", schema: evil, values, root });
    const paths = outcomes.map((one) => ("faults" in one ? one.faults.map(({ path }) => path) : one));
    expect(paths).toEqual([[], ["parameters.name"], ["parameters.name"]]);
  });

  test("is stopped when its time is up; only its owner must wait, and the next check gets a thread", async () => {
    const pool = poolOf({ timeMs: 200 });
    const [first] = await pool.check(one("a", evil, longest));
    expect(["time", "slow-machine"]).toContain(first && "noAnswer" in first && first.noAnswer);
    if (first && "noAnswer" in first && first.noAnswer === "time")
      expect(await pool.check(one("a", evil, { name: "a" }))).toEqual([{ noAnswer: "cooling" }]);
    expect(await pool.check(one("b", evil, { name: "a" }))).toEqual([{ faults: [] }]);
  });

  test("is stopped when it needs too much memory", async () => {
    const value = Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [`field ${n}`, [n]]));
    const pool = poolOf({ memoryMb: 16, timeMs: 60_000 });
    expect(await pool.check(one("a", evil, value))).toEqual([{ noAnswer: "memory" }]);
    expect(await pool.check(one("b", evil, { name: "a" }))).toEqual([{ faults: [] }]);
  });

  test("stops without an answer if schema and value together are too large", async () => {
    const schema = { anyOf: Array.from({ length: 4_000 }, () => ({ items: { type: "integer" } })) };
    const value = [...Array(10_000).fill(1), "x"];
    expect(await poolOf({ timeMs: 60_000 }).check(one("a", schema, value))).toEqual([{ noAnswer: "steps" }]);
  });

  test("forgets old schemas, so that the memory of threads is bounded", async () => {
    const pool = poolOf({ threads: 1 });
    const filler = "x".repeat(500_000);
    for (let n = 0; n < 12; n++) {
      const schema = { ...evil, description: `${n}${filler}` };
      expect(await pool.check(one("a", schema, { name: "a" }))).toEqual([{ faults: [] }]);
    }
    expect(await pool.check(one("a", { ...evil, description: `0${filler}` }, { name: "b" }))).toMatchObject([
      { faults: [{ path: "parameters.name" }] },
    ]);
  });
});

describe("threads are shared out among owners", () => {
  test("one owner's slow checks leave a thread to the others", async () => {
    const pool = poolOf({ timeMs: 60_000 });
    const slow = [1, 2, 3].map(() => pool.check(one("a", evil, longest)));
    expect(await pool.check(one("b", evil, { name: "a" }))).toEqual([{ faults: [] }]);
    await pool.close();
    await Promise.allSettled(slow);
  });

  test("an owner has a limit of waiting checks, and the next check is refused at once", async () => {
    const pool = poolOf({ timeMs: 60_000 });
    const slow = Array.from({ length: 51 }, () => pool.check(one("a", evil, longest)));
    expect(await pool.check(one("a", evil, longest))).toEqual([{ noAnswer: "busy-owner" }]);
    await pool.close();
    await Promise.allSettled(slow);
  });
});

test("a value that needs few steps is checked at once, and a pattern never is", () => {
  const pool = poolOf();
  const plain = { type: "object", properties: { n: { type: "integer" } }, additionalProperties: false };
  expect(pool.here({ schema: plain, values: [{ n: 1 }], root })).toEqual([{ faults: [] }]);
  expect(pool.here({ schema: evil, values: [{ name: "a" }], root })).toBeNull();
  const many = { type: "array", items: { type: "integer" } };
  expect(pool.here({ schema: many, values: [Array(3_000).fill(1)], root })).toBeNull();
});
