import { readFileSync } from "node:fs";
import { fieldsOf, OpenSession, ROUTES, SEALED_FIELDS, sealedFieldsOf } from "@towpath/contract";
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

/** The rows of the section about sealed workspaces: a field's description, and the paths under it. */
function sealedRows(): Record<string, string[]> {
  const page = readFileSync(new URL("../../DATA.md", import.meta.url), "utf8");
  const section = page.split(/^#+ /m).find((part) => part.startsWith("Sealed workspaces")) ?? "";
  const rows = section.split("\n").filter((line) => /^\| .*`/.test(line));
  return Object.fromEntries(
    rows.map((row) => {
      const [, what = "", fields = ""] = row.split("|");
      return [what.trim(), [...fields.matchAll(/`([^`]+)`/g)].map(([, field = ""]) => field)];
    }),
  );
}

test("DATA.md lists exactly the fields that a sealed workspace takes only sealed", () => {
  const marked = SECTIONS.flatMap(([, schema]) => [...sealedFieldsOf(schema)]);
  const byField = Map.groupBy(marked, ([, field]) => field);
  const wanted = [...byField].map(([field, paths]) => [
    SEALED_FIELDS[field],
    [...new Set(paths.map(([path]) => path))].sort(),
  ]);
  expect(sealedRows()).toEqual(Object.fromEntries(wanted));
});
