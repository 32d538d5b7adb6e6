import { expect, test } from "vitest";
import { answerOf, fieldsOf, prefilled } from "./answer-fields.ts";

const schema = {
  type: "object",
  properties: {
    rate: { type: "number", default: 0.1 },
    note: { type: "string", description: "for the log" },
    mode: { enum: ["fast", "slow"] },
    dry: { type: "boolean" },
    tags: { type: "array" },
  },
  required: ["note", "mode"],
};

test("A form has a field for each property, of the property's kind, with its default and its hint", () => {
  expect(
    fieldsOf(schema).map(({ name, kind, initial, required }) => [name, kind, initial, required]),
  ).toEqual([
    ["rate", "number", "0.1", false],
    ["note", "text", "", true],
    ["mode", "choice", "", true],
    ["dry", "boolean", "false", false],
    ["tags", "json", "", false],
  ]);
});

test("Values have the types of the schema, and empty fields are left out", () => {
  const fields = fieldsOf(schema);
  expect(answerOf(fields, { note: "7", mode: '"slow"' })).toEqual({
    rate: 0.1,
    note: "7",
    mode: "slow",
    dry: false,
  });
  expect(answerOf(fields, { note: "", mode: '"fast"', rate: "", dry: "true", tags: "[1]" })).toEqual({
    note: "",
    mode: "fast",
    dry: true,
    tags: [1],
  });
  expect(() => answerOf(fields, { rate: "many" })).toThrow(SyntaxError);
});

test("An answer that is not an object is one field", () => {
  const fields = fieldsOf({ type: "integer" });
  expect(fields).toMatchObject([{ name: "", kind: "number" }]);
  expect(answerOf(fields, { "": "3" })).toBe(3);
});

test("a form filled with the parameters of a run returns them", () => {
  const schema = {
    type: "object",
    properties: {
      day: { type: "string" },
      rows: { type: "integer", default: 3 },
      dry: { type: "boolean" },
      mode: { enum: ["a", "b"], default: "a" },
      more: { type: "object" },
    },
  };
  const given = { day: "12", rows: 9, dry: true, mode: "b", more: { x: [1] } };
  expect(answerOf(prefilled(fieldsOf(schema), given), {})).toEqual(given);
  expect(answerOf(prefilled(fieldsOf(schema), {}), { day: "13" })).toEqual({
    day: "13",
    rows: 3,
    dry: false,
    mode: "a",
  });
  expect(() => answerOf(fieldsOf(schema), { more: "{" })).toThrow("more is not valid JSON");
});
