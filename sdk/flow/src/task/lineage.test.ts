import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { ctx } from "../engine/context.ts";
import type { RecordDraft } from "../engine/records.ts";
import { flow } from "../flow.ts";
import { job } from "../jobs/job.ts";
import { suspend } from "../suspend/suspend.ts";
import { type TestedRun, testRun } from "../testing.ts";
import { Lineage, type Producer, upstreamFact } from "./lineage.ts";
import { task } from "./task.ts";

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

/** A path without the hashes of inputs. */
const plain = (path: string) => path.replaceAll(/:[0-9a-f]{16}/g, "");

/** Each call with the calls that it received data from, as `load → clean`. */
function arrowsIn(records: readonly RecordDraft[]): string[] {
  return records
    .flatMap((one) =>
      one.type === "task" ? (one.upstream?.paths ?? []).map((from) => `${from} → ${one.path}`) : [],
    )
    .map(plain)
    .sort();
}
const arrowsOf = (run: TestedRun<unknown>) => arrowsIn(run.records);

interface Row {
  readonly id: number;
  readonly tags: readonly string[];
}
const load = task(
  { name: "load" },
  async (count: number): Promise<Row[]> => Array.from({ length: count }, (_, id) => ({ id, tags: ["a"] })),
);
const use = task({ name: "use" }, async (..._any: unknown[]) => {});

async function arrows(body: () => Promise<unknown>): Promise<string[]> {
  const run = await testRun(flow({ name: "body" }, body));
  if (run.outcome !== "completed") throw run.error;
  return arrowsOf(run);
}

describe("a call received data from the call that returned", () => {
  test("the object itself", async () => {
    expect(await arrows(async () => use(await load(2)))).toEqual(["load → use"]);
  });

  test("an object around it, or an object inside it", async () => {
    const inside = async () => use((await load(2))[1]);
    const deep = async () => use((await load(2))[1]?.tags);
    const around = async () => use({ of: [new Map([["rows", new Set([await load(2)])]])] });
    const rest = async () => use((await load(4)).filter(({ id }) => id % 2 === 1));
    for (const body of [inside, deep, around, rest]) expect(await arrows(body)).toEqual(["load → use"]);
  });

  test("dates, bytes, maps, sets and instances of classes", async () => {
    class Model {
      toJSON() {
        return "model";
      }
    }
    for (const made of [
      new Date(0),
      new Uint8Array(3),
      new Map(),
      new Set(),
      new Model(),
      new URL("http://a"),
    ]) {
      const make = task({ name: "make", checkpoint: false }, async () => made);
      expect(await arrows(async () => use(1, [await make()]))).toEqual(["make → use"]);
    }
  });

  test("a ref, a copy of it, or the value that was loaded from it", async () => {
    const save = task({ name: "save" }, async () => ({ ref: await ctx.save("rows", [{ id: 1 }]) }));
    const copy = async () => use({ ...(await save()).ref });
    const loaded = async () => use(await ctx.load((await save()).ref));
    const part = async () => use((await ctx.load((await save()).ref))[0]);
    for (const body of [copy, loaded, part]) expect(await arrows(body)).toEqual(["save → use"]);
    const byFlow = async () => use(await ctx.save("rows", { from: await load(1) }));
    expect(await arrows(byFlow)).toEqual(["load → use"]);
  });

  test("the object that it had received: the later call counts", async () => {
    const sorted = task({ name: "sorted" }, async (rows: Row[]) => rows.reverse());
    const good = task({ name: "good" }, async (rows: readonly Row[]) => rows.filter(({ id }) => id > 0));
    expect(await arrows(async () => use(await sorted(await load(2))))).toEqual([
      "load → sorted",
      "sorted → use",
    ]);
    expect(await arrows(async () => use((await good(await load(2)))[0]))).toEqual([
      "good → use",
      "load → good",
    ]);
  });

  test("the results of the calls inside it", async () => {
    const outer = task({ name: "outer" }, async () => await load(2));
    expect(await arrows(async () => use(await outer()))).toEqual(["outer → use"]);
    const inside = task({ name: "inside" }, async (rows: Row[]) => await use(rows));
    expect(await arrows(async () => inside(await load(2)))).toEqual(["load → inside", "load → inside/use"]);
  });

  test("in a thread, a flow, or an external job", async () => {
    const inner = flow({ name: "inner", input: z.object({ rows: z.array(z.any()) }) }, async ({ rows }) => ({
      rows,
    }));
    expect(await arrows(async () => use(await inner.run({ rows: await load(2) })))).toEqual([
      "flow:inner → use",
      "load → flow:inner",
    ]);
    const train = job({
      name: "lineage-train",
      submit: async (_key: string, _input: Row[]) => "handle",
      poll: async () => ({ state: "completed", result: { weight: 1 } }) as const,
    });
    const trained = flow({ name: "trained" }, async () => use(await suspend.job(train, await load(2))));
    const suspended = await testRun(trained);
    const run = suspended.outcome === "suspended" ? await suspended.resume() : suspended;
    expect(run.outcome).toBe("completed");
    const named = arrowsOf(run).map((arrow) => arrow.replace(/wait:job:\S+ ?\S*(?= →|$)/, "job"));
    expect(named).toEqual(["load → job", "job → use"]);
  });
});

describe("a map", () => {
  const one = task({ name: "one" }, async (row: unknown) => ({ row }));

  test("received its items from a call, and its results are from the map", async () => {
    expect(await arrows(async () => use(await one.map(await load(2))))).toEqual([
      "load → one/0",
      "load → one/1",
      "one → use",
    ]);
    const texts = task({ name: "texts" }, async () => ["a", "b"]);
    expect(await arrows(async () => one.map(await texts()))).toEqual(["texts → one/0", "texts → one/1"]);
  });

  test("of the results of a map has an arrow from each of its calls", async () => {
    const two = task({ name: "two" }, async (_: unknown) => 1);
    expect(await arrows(async () => two.map(await one.map(await load(2))))).toEqual([
      "load → one/0",
      "load → one/1",
      "one/0 → two/0",
      "one/1 → two/1",
    ]);
    expect(await arrows(async () => use(await two.map([1, 2])))).toEqual(["two → use"]);
    expect(await arrows(async () => use(await two.map([1, 2]).allSettled()))).toEqual(["two → use"]);
    expect(await arrows(async () => use((await one.map([1, 2]))[1]))).toEqual(["one/1 → use"]);
  });

  test("over a map that still runs, or with arguments of its own", async () => {
    const two = task({ name: "two" }, async (_: unknown, __?: unknown) => 1);
    expect(
      await arrows(async () => {
        const first = two.with({ key: "first" }).map([1])[Symbol.asyncIterator]();
        return two.map(first);
      }),
    ).toEqual(["two:first → two/0"]);
    expect(await arrows(async () => two.map([1], { args: [await load(1)] }))).toEqual(["load → two/0"]);
    expect(await arrows(async () => two.mapArgs([[1, await load(1)]]))).toEqual(["load → two/0"]);
  });
});

describe("no call received data", () => {
  test("by an equal value, a text or a number", async () => {
    const name = task({ name: "name" }, async () => "the same long text");
    const size = task({ name: "size" }, async () => ({ size: 12 }));
    const body = async () => {
      await load(1);
      await use(await name(), (await size()).size, [{ id: 0, tags: ["a"] }]);
    };
    expect(await arrows(body)).toEqual([]);
  });

  test("by an object that two calls returned independently", async () => {
    const none: readonly number[] = [];
    const a = task({ name: "a" }, async () => none);
    const b = task({ name: "b" }, async () => ({ none }));
    expect(await arrows(async () => use([await a(), (await b()).none]))).toEqual([]);
    expect(await arrows(async () => use(await b()))).toEqual(["b → use"]);
  });

  test("by code of the user: no accessor and no trap runs", async () => {
    const run = () => {
      throw new Error("must not run");
    };
    const traps = new Proxy(
      {},
      { get: run, ownKeys: run, getOwnPropertyDescriptor: run, getPrototypeOf: run },
    );
    const accessor = Object.defineProperty({}, "a", { get: run, enumerable: true });
    const make = task({ name: "make", checkpoint: false }, async () => ({ list: [traps, accessor] }));
    const keyed = use.with({ key: "k", checkpoint: false });
    expect(await arrows(async () => keyed(await make()))).toEqual(["make → use:k"]);
    expect(await arrows(async () => keyed((await make()).list[1]))).toEqual(["make → use:k"]);
  });
});

test("a resumed run and a rerun have the arrows of the first attempt", async () => {
  let isBroken = true;
  const clean = task({ name: "clean" }, async (rows: readonly Row[]) => rows.filter(({ id }) => id > 0));
  const save = task({ name: "save" }, async (rows: readonly Row[]) => ctx.save("rows", rows));
  const each = task({ name: "each" }, async (row: Row) => ({ of: row.id }));
  const last = task({ name: "last" }, async (..._any: unknown[]) => {
    if (isBroken) throw new Error("not yet");
  });
  const body = flow({ name: "body" }, async () => {
    const rows = await clean(await load(3));
    const ref = await save(rows);
    const mapped = await each.map(await ctx.load(ref));
    await use(rows[0], mapped[1]);
    await last({ ref, all: mapped });
  });
  const first = await testRun(body);
  expect(first.outcome).toBe("failed");
  const expected = [
    "clean → save",
    "clean → use",
    "each → last",
    "each/1 → use",
    "load → clean",
    "save → each/0",
    "save → each/1",
    "save → last",
  ];
  expect(arrowsOf(first)).toEqual(expected);
  isBroken = false;
  const second = await first.resume();
  expect(second.outcome).toBe("completed");
  const toLast = (all: string[]) => all.filter((arrow) => arrow.endsWith("last"));
  expect(toLast(arrowsOf(second))).toEqual(toLast(expected));
  expect(arrowsOf(await second.rerun())).toEqual(expected);
});

/** A step of a random flow: makes a value, passes values on, or copies a value by hand. */
const Step = fc.record({
  takes: fc.array(fc.nat(20), { maxLength: 3 }),
  wraps: fc.boolean(),
  returns: fc.constantFrom("object", "list", "text"),
});

test("a call has arrows from exactly the calls whose objects it received", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(Step, { minLength: 1, maxLength: 12 }), async (steps) => {
      const expected: string[] = [];
      const make = task({ name: "make" }, async (at: number, kind: string, ..._taken: unknown[]) =>
        kind === "text" ? "text" : kind === "list" ? [{ at }] : { same: { always: "equal" } },
      );
      const body = flow({ name: "body" }, async () => {
        const values: unknown[] = [];
        for (const [at, { takes, wraps, returns }] of steps.entries()) {
          const from = [...new Set(takes.filter((index) => index < at))];
          const taken = from.map((index) => (wraps ? { held: [values[index]] } : values[index]));
          for (const index of from)
            if (steps[index]?.returns !== "text") expected.push(`make:${index} → make:${at}`);
          values.push(await make.with({ key: String(at) })(at, returns, ...taken));
        }
      });
      expect(arrowsOf(await testRun(body))).toEqual(expected.sort());
    }),
    { numRuns: 50 },
  );
});

describe("everything is bounded", () => {
  const producer = { path: "a" };

  test("the first thousand values of a result or an argument are searched, level by level", () => {
    const lineage = new Lineage();
    const rows = Array.from({ length: 2_000 }, (_, id) => ({ id }));
    lineage.note(rows, { producer, upstream: [] });
    expect(lineage.of([rows])).toEqual([producer]);
    expect(lineage.of([rows[900]])).toEqual([producer]);
    expect(lineage.of([rows[1_999]])).toEqual([]);
    expect(lineage.of([[...Array.from({ length: 2_000 }, () => 1), rows]])).toEqual([]);
    const cycle: { self?: object } = {};
    cycle.self = cycle;
    expect(lineage.of([cycle])).toEqual([]);
  });

  test("a list of producers has at most twenty paths, of each task some, and says that there are more", () => {
    const many = (name: string, count: number): Producer[] =>
      Array.from({ length: count }, (_, at) => ({ path: `${name}:${at}` }));
    expect(upstreamFact([])).toEqual({});
    expect(upstreamFact([producer, { path: "a" }])).toEqual({ upstream: { paths: ["a"] } });
    expect(upstreamFact(many("load", 20)).upstream?.more).toBeUndefined();
    const { upstream } = upstreamFact([...many("load", 200), ...many("clean", 2)]);
    expect(upstream?.paths).toHaveLength(20);
    expect(upstream?.paths.slice(0, 4)).toEqual(["load:0", "clean:0", "load:1", "clean:1"]);
    expect(upstream?.more).toBe(true);
    const long = Array.from({ length: 10 }, (_, at) => ({ path: `${"x".repeat(1_000)}${at}` }));
    expect(upstreamFact(long).upstream).toMatchObject({ more: true });
    expect(upstreamFact(long).upstream?.paths).toHaveLength(4);
  });

  test("results are not kept in memory", async () => {
    const lineage = new Lineage();
    const gone = (() => {
      const value = { big: [1] };
      lineage.note(value, { producer, upstream: [] });
      return new WeakRef(value);
    })();
    // A WeakRef that was made in this turn keeps its value until the next.
    await new Promise((turn) => setImmediate(turn));
    collectGarbage();
    expect(gone.deref()).toBeUndefined();
    expect(lineage.of([{}])).toEqual([]);
  });
});
