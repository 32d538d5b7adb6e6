import { expect, test } from "vitest";
import { z } from "zod";
import { openApi, problemsOf } from "./kernel/openapi.ts";
import { RATE_CLASSES, RATE_LIMITS } from "./kernel/rates.ts";
import type { Route } from "./kernel/routes.ts";
import { ROUTES } from "./routes.ts";

const rows = Object.entries(ROUTES);

test("No two routes share a method and path", () => {
  const addresses = rows.map(([, route]) => `${route.method} ${route.path.replaceAll(/\{\w+\}/g, "{}")}`);
  expect(new Set(addresses).size).toBe(addresses.length);
});

test.each(rows)("%s declares exactly the parameters that its path names", (_, route) => {
  const named = [...route.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
  const declared = "params" in route ? Object.keys(route.params.shape) : [];
  expect(declared.sort()).toEqual(named.sort());
});

test("The OpenAPI document has every route once, with its failures as problems", () => {
  const document = openApi(ROUTES, "0.0.0");
  const paths = document.paths as Record<string, Record<string, { operationId: string; responses: object }>>;
  const operations = Object.values(paths).flatMap((path) => Object.values(path));
  expect(operations.map((operation) => operation.operationId).sort()).toEqual(
    rows.map(([name]) => name).sort(),
  );
  for (const operation of operations) expect(Object.keys(operation.responses)).toContain("400");
});

test.each(rows)("%s counts against a class of limit", (_, route: Route) => {
  expect(RATE_CLASSES).toContain(route.rate);
  expect(problemsOf(route)).toContain("too-many-requests");
  // A fleet behind one address is counted worker by worker, or by its key, and shares nothing with people.
  const forWorkers = route.permission === "worker" || route.permission === "worker-key";
  expect(["worker", "session"].includes(route.rate)).toBe(forWorkers);
  expect(route.rate === "public").toBe(route.permission === "public");
});

test.each(rows)("%s says whether it may be repeated", (_, { method, permission, repeatable }: Route) => {
  if (method !== "POST") expect(repeatable).toBe(true);
  if (permission.startsWith("worker")) expect(repeatable).toBe(false);
  expect(repeatable).toBeTypeOf("boolean");
});

test("A client may repeat every request that chooses the id of what it creates", () => {
  const choosing = rows.filter(
    ([, row]) => "body" in row && row.body instanceof z.ZodObject && "id" in row.body.shape,
  );
  expect(choosing.map(([name]) => name)).toEqual(
    expect.arrayContaining(["createRun", "rerunRun", "createBackfill", "sendEvent"]),
  );
  for (const [, row] of choosing) expect(row.repeatable).toBe(true);
});

test("No class counts workers or keys by their address", () => {
  const byAddress = RATE_CLASSES.filter((name) => "address" in RATE_LIMITS[name].perSecond);
  expect(byAddress).toEqual(["public"]);
});

test("Every route with a body may answer that it is too large", () => {
  for (const [, route] of rows) if ("body" in route) expect(problemsOf(route)).toContain("payload-too-large");
});
