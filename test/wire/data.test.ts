import { fieldsOf, OpenSession, ROUTES } from "@towpath/contract";
import { expect, test } from "vitest";
import { hasSection, listedUnder, SECTIONS } from "./inventory.ts";

test.each(SECTIONS)("DATA.md lists exactly the fields of %s", (title, schema) => {
  const fields = fieldsOf(schema).filter((field) => !/\.(control|bulk)\[\]\./.test(field));
  expect(listedUnder(title)).toEqual([...new Set(fields)].sort());
});

test("DATA.md has a section for every route that a worker calls", () => {
  const called = Object.values(ROUTES).filter(
    ({ permission }) => permission === "worker" || permission === "worker-key",
  );
  for (const route of called) {
    expect(hasSection(route.path), route.path).toBe(true);
    const hasFields = "body" in route && fieldsOf(route.body).length > 0;
    expect(listedUnder(route.path).length > 0, route.path).toBe(hasFields);
  }
});

test("an unlisted field is noticed", () => {
  expect(listedUnder("/api/worker/renew")).not.toContain("hostname");
  expect(fieldsOf(OpenSession.extend({ hostname: OpenSession.shape.name }))).toContain("hostname");
});
