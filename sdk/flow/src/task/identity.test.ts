import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { flow, TaskIdentityUnknown, task } from "../index.ts";
import { PLAIN_HASHES } from "../store/hashes.ts";
import { testRun } from "../testing.ts";
import { type CallKey, CallLedger, mappedPath } from "./identity.ts";

const hash = (text: string): CallKey => ({ kind: "hash", hash: text });
const given = (key: string): CallKey => ({ kind: "given", key });
const none: CallKey = { kind: "none" };

describe("a call's path", () => {
  test("is its parent's path, its name and its key, then its ordinal among equal keys", () => {
    const ledger = new CallLedger("ingest:aa");
    const paths = [given("x"), given("y"), given("x"), hash("0f"), given("x")].map(
      (key) => ledger.name("clean", key).path,
    );
    expect(paths).toEqual([
      "ingest:aa/clean:x",
      "ingest:aa/clean:y",
      "ingest:aa/clean:x#2",
      "ingest:aa/clean:0f",
      "ingest:aa/clean:x#3",
    ]);
  });

  test("is never read as structure that a name or key merely looks like", () => {
    const paths = [
      new CallLedger("").name("a/b", given("c")).path,
      new CallLedger("").name("a", given("b/c")).path,
      new CallLedger("").name("a:b", given("c")).path,
      new CallLedger("").name("a", given("b:c")).path,
      new CallLedger("").name("a", given("b#2")).path,
      new CallLedger("").name("a", given("b%232")).path,
    ];
    expect(new Set(paths).size).toBe(paths.length);
  });

  test("stays within the wire's limit whatever the key", () => {
    const { path } = new CallLedger("").name("a", given("k".repeat(5000)));
    expect(path.length).toBeLessThan(100);
  });

  test("is refused when tasks are nested too deep to write it down", () => {
    const parent = "p".repeat(1020);
    expect(() => new CallLedger(parent).name("child", given("k"))).toThrow(TaskIdentityUnknown);
  });

  test("of a mapped child is the map's and its item's key, or its index", () => {
    expect(mappedPath("clean:aa", { index: 3, key: null, ordinal: 1, hashes: PLAIN_HASHES })).toBe(
      "clean:aa/3",
    );
    expect(mappedPath("clean:aa", { index: 3, key: "de/fg", ordinal: 2, hashes: PLAIN_HASHES })).toBe(
      "clean:aa/de%2Ffg#2",
    );
  });
});

describe("a call without key and input", () => {
  test("may be repeated as long as calls follow one another", () => {
    const ledger = new CallLedger("");
    const paths = Array.from({ length: 3 }, () => {
      const call = ledger.name("next", none);
      call.settled();
      return call.path;
    });
    expect(paths).toEqual(["next", "next#2", "next#3"]);
  });

  test("is refused while an equal one is open", () => {
    const ledger = new CallLedger("");
    ledger.name("next", none);
    expect(() => ledger.name("next", none)).toThrow(/called again without input or key/);
  });

  test("is refused when the one before it ran beside another task", () => {
    const ledger = new CallLedger("");
    const other = ledger.name("other", hash("1"));
    ledger.name("next", none).settled();
    other.settled();
    expect(() => ledger.name("next", none)).toThrow(TaskIdentityUnknown);
  });

  test("is not refused for what ran before or after it", () => {
    const ledger = new CallLedger("");
    ledger.name("other", hash("1")).settled();
    ledger.name("next", none).settled();
    ledger.name("other", hash("2")).settled();
    expect(ledger.name("next", none).path).toBe("next#2");
  });
});

interface Step {
  readonly input: number;
  readonly nested: boolean;
  readonly mapped: boolean;
}

const step = fc.record({ input: fc.integer({ min: 0, max: 3 }), nested: fc.boolean(), mapped: fc.boolean() });
const branches = fc.array(fc.array(step, { maxLength: 4 }), { minLength: 1, maxLength: 4 });

/** Runs branches side by side; `wait` decides in which order anything goes on. */
async function pathsUnder(plan: Step[][], wait: () => Promise<unknown>): Promise<string[]> {
  const leaf = task({ name: "leaf" }, async (input: number) => {
    await wait();
    return `leaf ${input}`;
  });
  const parent = task({ name: "parent" }, async (input: number) => {
    await wait();
    const inner = await Promise.all([leaf(input), leaf(input + 1)]);
    return `parent ${inner.join()}`;
  });
  const seen: string[] = [];
  const one = async ({ input, nested, mapped }: Step) => {
    await wait();
    const result = mapped ? await leaf.map([input, input]) : await (nested ? parent : leaf)(input);
    seen.push(String(result));
  };
  const whole = flow({ name: "whole" }, async () => {
    await Promise.all(
      plan.map(async (steps) => {
        for (const each of steps) await one(each);
      }),
    );
  });
  const run = await testRun(whole);
  expect(run.error).toBeUndefined();
  return [...run.tasks.map((tested) => tested.path), ...seen].sort();
}

test("the order in which concurrent branches complete changes no task's identity", async () => {
  await fc.assert(
    fc.asyncProperty(branches, fc.scheduler(), async (plan, scheduler) => {
      const straight = await pathsUnder(plan, () => Promise.resolve());
      const scheduled = pathsUnder(plan, () => scheduler.schedule(Promise.resolve()));
      await scheduler.waitFor(scheduled);
      expect(await scheduled).toEqual(straight);
    }),
    { numRuns: 60 },
  );
});
