import { ROUTES, type RouteName } from "@towpath/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { backoffMs, isRepeatable } from "./repeat.ts";

test("every GET and DELETE is repeatable, and no verb of a worker is", () => {
  const names = Object.keys(ROUTES) as RouteName[];
  const repeatable = names.filter((name) => isRepeatable(name, ROUTES[name]));
  for (const name of names) {
    if (ROUTES[name].method !== "POST") expect(repeatable).toContain(name);
    if (ROUTES[name].permission.startsWith("worker")) expect(repeatable).not.toContain(name);
  }
});

test("pauses grow, and stay between half of a ceiling and the ceiling", () => {
  fc.assert(
    fc.property(fc.nat(60), fc.double({ min: 0, max: 1, noNaN: true }), (repetition, chance) => {
      const ceiling = Math.min(200 * 2 ** repetition, 5_000);
      const ms = backoffMs(repetition, () => chance);
      expect(ms).toBeGreaterThanOrEqual(ceiling / 2);
      expect(ms).toBeLessThanOrEqual(ceiling);
    }),
  );
});
