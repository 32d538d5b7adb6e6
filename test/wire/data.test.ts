import { readFileSync } from "node:fs";
import {
  BulkRecord,
  Call,
  Claim,
  ControlRecord,
  fieldsOf,
  OpenSession,
  Renew,
  Report,
  ROUTES,
} from "@towpath/contract";
import { expect, test } from "vitest";
import type { z } from "zod";

const inventory = readFileSync(new URL("../../DATA.md", import.meta.url), "utf8");

/** The fields listed under the heading that contains `title`, down to the next heading. */
function listedUnder(title: string): string[] {
  const section = inventory.split(/^#+ /m).find((part) => part.split("\n", 1)[0]?.includes(title));
  if (section === undefined) return [];
  const rows = section.split("\n").filter((line) => line.startsWith("| `"));
  const names = rows.flatMap((row) =>
    [...(row.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? ""),
  );
  return [...new Set(names)].sort();
}

const sections: [string, z.ZodType][] = [
  ["/api/worker/session", OpenSession],
  ["/api/worker/claim", Claim],
  ["/api/worker/renew", Renew],
  ["/api/worker/report", Report],
  ["Control records", ControlRecord],
  ["Bulk records", BulkRecord],
  ["/api/worker/call", Call],
];

test.each(sections)("DATA.md lists exactly the fields of %s", (title, schema) => {
  const fields = fieldsOf(schema).filter((field) => !/\.(control|bulk)\[\]\./.test(field));
  expect(listedUnder(title)).toEqual([...new Set(fields)].sort());
});

test("DATA.md has a section for every route that a worker calls", () => {
  const paths = Object.values(ROUTES)
    .filter((route) => route.permission === "worker" || route.permission === "worker-key")
    .map((route) => route.path);
  for (const path of paths) expect(listedUnder(path), path).not.toEqual([]);
});

test("A field that is not listed would be noticed", () => {
  expect(listedUnder("/api/worker/renew")).not.toContain("hostname");
  expect(fieldsOf(OpenSession.extend({ hostname: OpenSession.shape.name }))).toContain("hostname");
});
