import { fieldsOf, OpenSession, ROUTES } from "@towpath/contract";
import { expect, test } from "vitest";
import { listedUnder, SECTIONS } from "./inventory.ts";

test.each(SECTIONS)("DATA.md lists exactly the fields of %s", (title, schema) => {
  const fields = fieldsOf(schema).filter((field) => !/\.(control|bulk)\[\]\./.test(field));
  expect(listedUnder(title)).toEqual([...new Set(fields)].sort());
});

test("DATA.md has a section for every route that a worker calls", () => {
  const paths = Object.values(ROUTES)
    .filter((route) => route.permission === "worker" || route.permission === "worker-key")
    .map((route) => route.path);
  for (const path of paths) expect(listedUnder(path), path).not.toEqual([]);
});

test("an unlisted field is noticed", () => {
  expect(listedUnder("/api/worker/renew")).not.toContain("hostname");
  expect(fieldsOf(OpenSession.extend({ hostname: OpenSession.shape.name }))).toContain("hostname");
});
