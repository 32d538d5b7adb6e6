import { expect, test } from "vitest";
import { z } from "zod";
import { ROUTES } from "../routes.ts";

/** The database counts claims in 32 bits. */
const EPOCH_MAX = 2 ** 31 - 1;

/** Every schema of a property with this name, however deep it lies. */
function schemasOf(name: string, within: unknown): unknown[] {
  if (within === null || typeof within !== "object") return [];
  return Object.entries(within).flatMap(([key, value]) => (key === name ? [value] : schemasOf(name, value)));
}

const bodies = Object.entries(ROUTES).flatMap(([route, row]) => {
  if (!("body" in row) || !(row.body instanceof z.ZodType)) return [];
  const schema = z.toJSONSchema(row.body, { io: "input", unrepresentable: "any" });
  return schemasOf("epoch", schema).map((epoch) => ({ route, epoch }));
});

test("requests name epochs", () => {
  expect(bodies.map(({ route }) => route)).toEqual(expect.arrayContaining(["claim", "renew", "report"]));
});

test.each(bodies)("an epoch in $route is one that the database can count", ({ epoch }) => {
  expect(epoch).toMatchObject({ type: "integer", minimum: 1, maximum: EPOCH_MAX });
});
