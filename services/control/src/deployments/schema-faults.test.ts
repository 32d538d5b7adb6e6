import type { Json } from "@towpath/contract";
import { CheckPool } from "@towpath/contract/bounded";
import fc from "fast-check";
import { expect, test } from "vitest";
import { schemaFaults } from "./schema-faults.ts";

type Schema = { [key: string]: Json };

const leaf = fc.constantFrom<Schema>(
  { type: "string", pattern: "^a+$" },
  { type: "integer", minimum: 1 },
  { enum: [1, "two", null] },
  { type: ["string", "null"] },
  { $ref: "#/$defs/shared" },
);
const { schema } = fc.letrec<{ schema: Schema }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3 },
    leaf,
    fc.record({
      type: fc.constant("object"),
      properties: fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), tie("schema")),
    }),
    fc.record({ type: fc.constant("array"), items: tie("schema") }),
    fc.record({ anyOf: fc.array(tie("schema"), { minLength: 1, maxLength: 3 }) }),
  ),
}));

test("an accepted schema can check any parameters without an exception", () => {
  fc.assert(
    fc.property(schema, fc.dictionary(fc.string(), fc.jsonValue()), (inner, parameters) => {
      const root: Schema = {
        type: "object",
        properties: { a: inner },
        $defs: { shared: { type: "number" } },
      };
      expect(schemaFaults(root, "parameters")).toEqual([]);
      const values = [JSON.parse(JSON.stringify(parameters))];
      // A pattern needs a thread; then `here` returns null.
      expect(() => new CheckPool().here({ schema: root, values, root: "parameters" })).not.toThrow();
    }),
  );
});

test("any JSON is judged without an exception, with a bounded list of faults", () => {
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.constantFrom("type", "properties", "items", "$ref", "pattern", "required", "anyOf", "not"),
        fc.jsonValue(),
      ),
      (root) => {
        expect(schemaFaults(JSON.parse(JSON.stringify(root)), "parameters").length).toBeLessThanOrEqual(20);
      },
    ),
  );
});

test("a reference through a list and escaped names is followed", () => {
  const root: Schema = { allOf: [{ $ref: "#/$defs/a~1b" }, { $ref: "#/allOf/0" }], $defs: { "a/b": true } };
  expect(schemaFaults(root, "parameters")).toEqual([]);
});
