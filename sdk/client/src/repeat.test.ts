import { ROUTES, type RouteName } from "@towpath/contract";
import { expect, test } from "vitest";
import { isRepeatable } from "./repeat.ts";

test("every GET and DELETE is repeatable, and no verb of a worker is", () => {
  const names = Object.keys(ROUTES) as RouteName[];
  const repeatable = names.filter((name) => isRepeatable(name, ROUTES[name]));
  for (const name of names) {
    if (ROUTES[name].method !== "POST") expect(repeatable).toContain(name);
    if (ROUTES[name].permission.startsWith("worker")) expect(repeatable).not.toContain(name);
  }
});
