import { expect, test } from "vitest";
import { z } from "zod";
import { fieldsIn, fieldsOf } from "./fields.ts";
import { JsonObject, JsonValue } from "./names.ts";

const Held = z.object({
  held: z.array(z.object({ id: z.string(), free: JsonObject })),
  rows: z.array(z.array(JsonValue)),
  note: z.string().optional(),
});
const inventory = new Set(fieldsOf(Held));

test("fields of a schema are dotted paths that end at free JSON", () => {
  expect([...inventory]).toEqual(["held", "held[].free", "held[].id", "note", "rows"]);
});

test("fields of a value are counted, and content below free JSON is not named", () => {
  const value = { held: [{ id: "a", free: { inside: 1 } }, { id: "b" }], rows: [[{ cell: 1 }]] };
  expect(Object.fromEntries(fieldsIn(value, inventory))).toEqual({
    held: 1,
    "held[].id": 2,
    "held[].free": 1,
    rows: 1,
  });
});

test("a field that the schema does not have is found wherever it hides", () => {
  const value = { hostname: { deep: 1 }, held: [{ id: "a", ip: "10.0.0.1" }], note: "n" };
  const outside = [...fieldsIn(value, inventory).keys()].filter((field) => !inventory.has(field));
  expect(outside).toEqual(["hostname", "held[].ip"]);
});
