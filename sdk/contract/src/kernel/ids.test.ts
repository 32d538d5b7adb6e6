import fc from "fast-check";
import { expect, test } from "vitest";
import { derivedId, idFloor, uuidv7 } from "./ids.ts";

const instants = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const SHAPE = /^[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const idTimeMs = (id: string) => Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16);

test("An id keeps its time, has the form of a UUID, and sorts by time", () => {
  fc.assert(
    fc.property(instants, instants, (a, b) => {
      const [first, second] = [uuidv7(a), uuidv7(b)];
      expect(first).toMatch(SHAPE);
      expect(idTimeMs(first)).toBe(a);
      if (a < b) expect(first < second).toBe(true);
    }),
  );
});

test("The floor of an instant is below every id of that instant and above every earlier one", () => {
  fc.assert(
    fc.property(instants, (ms) => {
      expect(idFloor(ms) < uuidv7(ms)).toBe(true);
      if (ms > 0) expect(uuidv7(ms - 1) < idFloor(ms)).toBe(true);
    }),
  );
});

test("A derived id is the same for the same cause, another for another, and stays near in time", async () => {
  await fc.assert(
    fc.asyncProperty(instants, fc.string(), fc.string(), async (ms, a, b) => {
      const near = uuidv7(ms);
      const id = await derivedId(near, a);
      expect(id).toMatch(SHAPE);
      expect(await derivedId(near, a)).toBe(id);
      expect(idTimeMs(id)).toBe(ms);
      if (a !== b) expect(await derivedId(near, b)).not.toBe(id);
    }),
    { numRuns: 50 },
  );
});

test("Ids of one millisecond sort in the order in which they were made", () => {
  const made = Array.from({ length: 20_000 }, () => uuidv7(1_800_000_000_000));
  expect(made.toSorted()).toEqual(made);
  expect(new Set(made).size).toBe(made.length);
  expect(idTimeMs(made.at(-1) ?? "") - 1_800_000_000_000).toBeLessThan(10);
  expect(idTimeMs(uuidv7(1_799_999_999_999))).toBe(1_799_999_999_999);
});
