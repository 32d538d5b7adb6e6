import fc from "fast-check";
import { expect, test } from "vitest";
import { backoffMs, createBackoff, doubledMs } from "./backoff.ts";

const limits = { firstMs: 100, mostMs: 5_000 };

test("Waits double up to the longest, after however many failures", () => {
  expect([0, 1, 2, 3, 4, 5, 6, 1_000].map((failures) => doubledMs(failures, limits))).toEqual([
    100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000,
  ]);
});

test("A wait lies between half of the doubled wait and all of it", () => {
  fc.assert(
    fc.property(fc.nat(60), fc.double({ min: 0, max: 1, noNaN: true }), (failures, chance) => {
      const ceiling = doubledMs(failures, limits);
      const ms = backoffMs(failures, limits, () => chance);
      expect(ms).toBeGreaterThanOrEqual(ceiling / 2);
      expect(ms).toBeLessThanOrEqual(ceiling);
    }),
  );
});

test("A wait is at least as long as the other side asks, and never longer than the longest", () => {
  const backoff = createBackoff(() => 0, limits);
  expect(backoff.next()).toBe(50);
  expect(backoff.next(2_000)).toBe(2_000);
  expect(backoff.next(60_000)).toBe(5_000);
});

test("A success starts the waits from the first again", () => {
  const backoff = createBackoff(() => 1, limits);
  expect([backoff.next(), backoff.next(), backoff.next()]).toEqual([100, 200, 400]);
  backoff.reset();
  expect(backoff.next()).toBe(100);
});
