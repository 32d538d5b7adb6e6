import { expect, test } from "vitest";
import { Cache } from "./cache.ts";
import { manualClock } from "./clock.ts";
import { ANY_KEY } from "./wakes.ts";

const KEPT_MS = 1_000;
const MOST = 3;

function memoryAt() {
  const clock = manualClock(0);
  return { clock, memory: new Cache<string>({ clock, forMs: KEPT_MS, most: MOST }) };
}

test("a value is fresh for a moment, and known as the last one after it", async () => {
  const { clock, memory } = memoryAt();
  expect(await memory.read("a", async () => "one")).toBe("one");
  expect(memory.get("a")).toBe("one");
  clock.advance(KEPT_MS);
  expect([memory.get("a"), memory.last("a")]).toEqual([undefined, "one"]);
  await memory.read("a", async () => null);
  expect(memory.last("a")).toBeUndefined();
});

test("concurrent callers share one read, also one that fails, and the next caller reads again", async () => {
  const { memory } = memoryAt();
  const found = Promise.withResolvers<string>();
  let reads = 0;
  const find = () => {
    reads += 1;
    return found.promise;
  };
  const both = [memory.read("a", find), memory.read("a", find)];
  found.reject(new TypeError("away"));
  expect((await Promise.allSettled(both)).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(await memory.read("a", async () => "again")).toBe("again");
  expect(reads).toBe(1);
});

test.each([
  ["its id", (memory: Cache<string>) => memory.forget("a")],
  ["any id", (memory: Cache<string>) => memory.forget(ANY_KEY)],
  ["values that may match", (memory: Cache<string>) => memory.forgetWhere(() => false)],
])("a read during which %s was dropped is not cached, and nobody waits for it", async (_, forget) => {
  const { memory } = memoryAt();
  const [before, after] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
  const early = memory.read("a", () => before.promise);
  forget(memory);
  const late = memory.read("a", () => after.promise);
  before.resolve("old");
  expect(await early).toBe("old");
  expect(memory.get("a")).toBeUndefined();
  after.resolve("new");
  expect(await late).toBe("new");
  expect(memory.get("a")).toBe("new");
});

test("dropping one id keeps the others, and beyond the limit the oldest are dropped", async () => {
  const { memory } = memoryAt();
  for (const id of ["a", "b", "c", "d"]) await memory.read(id, async () => id);
  expect(["a", "b", "c", "d"].map((id) => memory.get(id))).toEqual([undefined, "b", "c", "d"]);
  memory.forget("b");
  memory.forgetWhere((value) => value === "c");
  expect(["b", "c", "d"].map((id) => memory.get(id))).toEqual([undefined, undefined, "d"]);
  memory.forget(ANY_KEY);
  expect(memory.get("d")).toBeUndefined();
});
