import { expect, test } from "vitest";
import { answerOf, fieldsOf, prefilled, questionFieldsOf } from "./answer-fields.ts";

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
    ["dry", "boolean", "", false],
    ["tags", "json", "", false],
  ]);
});

test("Values have the types of the schema, and empty fields are left out", () => {
  const fields = fieldsOf(schema);
  expect(answerOf(fields, { note: "7", mode: '"slow"' })).toEqual({
    rate: 0.1,
    note: "7",
    mode: "slow",
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
    mode: "a",
  });
  expect(() => answerOf(fieldsOf(schema), { more: "{" })).toThrow("more is not valid JSON");
});

test("Every boolean of a question must be chosen: alone, beside others, nested, nullable, referenced, or with a default", () => {
  const approve = { type: "boolean" };
  const decisionsIn = (schema: Parameters<typeof questionFieldsOf>[0]) =>
    questionFieldsOf(schema)
      .filter(({ kind }) => kind === "boolean")
      .map(({ name, required, initial }) => [name, required, initial]);
  expect(decisionsIn(approve)).toEqual([["", true, ""]]);
  expect(decisionsIn({ type: "boolean", default: false })).toEqual([["", true, ""]]);
  const object = (properties: { [name: string]: object }, required: string[] = []) =>
    JSON.parse(JSON.stringify({ type: "object", properties, required, $defs: { yes: approve } }));
  expect(
    decisionsIn(
      object({
        own: approve,
        preset: { type: "boolean", default: false },
        nullable: { anyOf: [approve, { type: "null" }] },
        either: { type: ["boolean", "null"] },
        referenced: { $ref: "#/$defs/yes" },
        note: { type: "string" },
      }),
    ),
  ).toEqual(["own", "preset", "nullable", "either", "referenced"].map((name) => [name, true, ""]));
  const nested = object({ review: object({ approve, note: { type: "string" } }) }, ["review"]);
  expect(decisionsIn(nested)).toEqual([["review.approve", true, ""]]);
  const fields = questionFieldsOf(nested);
  expect(answerOf(fields, { "review.approve": "false", "review.note": "late" })).toEqual({
    review: { approve: false, note: "late" },
  });
});

test("An untouched boolean is left out of the answer, and never counts as no", () => {
  const schema = { type: "object", properties: { approve: { type: "boolean" } }, required: ["approve"] };
  expect(answerOf(questionFieldsOf(schema), {})).toEqual({});
  expect(answerOf(questionFieldsOf({ type: "boolean" }), {})).toBe(null);
});
