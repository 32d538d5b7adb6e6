import { Validator } from "@cfworker/json-schema";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Json } from "../../kernel/names.ts";
import { checkValue } from "./check.ts";
import { Compiled, type JsonObject } from "./walk.ts";

const allowed = { steps: 1_000_000, patterns: true, root: "parameters" };

function checked(schema: JsonObject, value: Json, more: { steps?: number; patterns?: boolean } = {}) {
  return checkValue(new Compiled(schema), { ...allowed, ...more, value });
}

const faultsOf = (schema: JsonObject, value: Json) => checked(schema, value).faults ?? [];
const fits = (schema: JsonObject, value: Json) => faultsOf(schema, value).length === 0;

/** Schemas of every keyword that a flow's input may have, and values that nearly fit. */
const small: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 2 },
    fc.constantFrom<Json>(
      null,
      true,
      false,
      0,
      1,
      2.5,
      -3,
      1e300,
      0.1,
      "",
      "a",
      "aa",
      "b",
      "2024-02-29",
      "😀",
    ),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom("a", "b", "c", "__proto__"), tie("value"), { maxKeys: 3 }),
  ),
})).value;

const keywords = (sub: fc.Arbitrary<Json>): fc.Arbitrary<JsonObject> => {
  const all = {
    type: fc.oneof(
      fc.constantFrom<Json>("string", "number", "integer", "object", "array", "null", "boolean"),
      fc.constantFrom<Json>(["string", "null"], ["integer", "object"], ["array", "number"]),
    ),
    enum: fc.array(small, { minLength: 1, maxLength: 3 }),
    const: small,
    minimum: fc.constantFrom(0, 1, 2.5),
    exclusiveMaximum: fc.constantFrom(1, 2.5, 1e9),
    multipleOf: fc.constantFrom(0.1, 2, 0.5, 1e-7),
    minLength: fc.constantFrom(0, 1, 2),
    maxLength: fc.constantFrom(0, 1, 2),
    pattern: fc.constantFrom("^a", "b$", "."),
    format: fc.constantFrom("date", "email", "uuid"),
    minItems: fc.constantFrom(1, 2),
    maxItems: fc.constantFrom(0, 1),
    uniqueItems: fc.boolean(),
    minProperties: fc.constantFrom(1, 2),
    maxProperties: fc.constantFrom(0, 1),
    required: fc.subarray(["a", "b", "c"]),
    properties: fc.dictionary(fc.constantFrom("a", "b"), sub, { maxKeys: 2 }),
    patternProperties: fc.dictionary(fc.constantFrom("^a", "c"), sub, { maxKeys: 2 }),
    additionalProperties: sub,
    propertyNames: sub,
    dependentRequired: fc.constantFrom<Json>({ a: ["b"] }, { b: ["c"] }),
    dependentSchemas: fc.dictionary(fc.constantFrom("a", "b"), sub, { maxKeys: 1 }),
    items: sub,
    prefixItems: fc.array(sub, { minLength: 1, maxLength: 2 }),
    contains: sub,
    allOf: fc.array(sub, { minLength: 1, maxLength: 2 }),
    anyOf: fc.array(sub, { minLength: 1, maxLength: 2 }),
    oneOf: fc.array(sub, { minLength: 1, maxLength: 2 }),
    not: sub,
    if: sub,
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: sub,
    else: sub,
    $ref: fc.constantFrom("#/$defs/one", "#/$defs/two"),
  };
  return fc
    .subarray(Object.entries(all), { minLength: 1, maxLength: 4 })
    .chain((some) => fc.record<JsonObject>(Object.fromEntries(some)));
};

const subschema: fc.Arbitrary<Json> = fc.letrec<{ schema: Json }>((tie) => ({
  schema: fc.oneof({ maxDepth: 1 }, fc.boolean(), keywords(tie("schema"))),
})).schema;

const leaf = fc.constantFrom<Json>({ type: "string" }, { minimum: 1 }, { required: ["a"] }, true);

const schemas: fc.Arbitrary<JsonObject> = fc
  .tuple(keywords(subschema), leaf, leaf)
  .map(([schema, one, two]) => ({ ...schema, $defs: { one, two } }));

test("a value fits exactly if another implementation accepts it", () => {
  fc.assert(
    fc.property(schemas, small, (schema, value) => {
      const other = new Validator(structuredClone(schema), "2020-12", true).validate(value).valid;
      expect(fits(schema, value)).toBe(other);
    }),
    { numRuns: 300 },
  );
});

test.each<[JsonObject, Json, boolean]>([
  [{ unevaluatedProperties: false, properties: { a: true } }, { a: 1 }, true],
  [{ unevaluatedProperties: false, allOf: [{ properties: { a: true } }] }, { a: 1 }, true],
  [
    { unevaluatedProperties: false, anyOf: [{ properties: { a: { type: "string" } } }, true] },
    { a: 1 },
    false,
  ],
  [{ properties: { b: true }, allOf: [{ unevaluatedProperties: false }] }, { b: 1 }, false],
  [{ unevaluatedItems: false, prefixItems: [true] }, [1], true],
  [{ unevaluatedItems: false, prefixItems: [true] }, [1, 2], false],
  [{ contains: { type: "number" }, minContains: 2 }, [1, "a"], false],
  [{ contains: { type: "number" }, maxContains: 1 }, [1, 2], false],
  [{ $ref: "#/$defs/a~1b", $defs: { "a/b": { type: "string" } } }, "x", true],
  [{ multipleOf: 0.01 }, 19.99, true],
  [{ multipleOf: 3 }, Number.POSITIVE_INFINITY, false],
  [{ minLength: 2 }, "😀", false],
])("%j and %j: %s", (schema, value, expected) => {
  expect(fits(schema, value)).toBe(expected);
});

describe("faults", () => {
  test.each<[JsonObject, Json, string]>([
    [{ type: "integer" }, 1.5, "must be an integer, not a fraction"],
    [{ type: ["string", "null"] }, 1, "must be a string or null, not a number"],
    [{ anyOf: [{ type: "string" }, { type: "null" }] }, 1, "must be a string or null, not a number"],
    [{ enum: ["a", "b"] }, "c", 'must be one of "a", "b"'],
    [{ $ref: "#/$defs/nothing" }, 1, "cannot be checked: the schema has no #/$defs/nothing"],
  ])("%j says of %j that it %s", (schema, value, message) => {
    expect(faultsOf(schema, value)[0]?.message).toBe(message);
  });

  test("of alternatives, the only one with the value's type reports its fault", () => {
    const row = { type: "object", properties: { n: { type: "integer" } } };
    expect(faultsOf({ anyOf: [row, { type: "null" }] }, { n: "x" })[0]?.path).toBe("parameters.n");
  });

  test("the check stops after twenty faults", () => {
    const many = Array.from({ length: 100_000 }, () => "x");
    const all = checked({ items: { type: "integer" } }, many, { steps: 1_000 });
    expect(all.faults).toHaveLength(20);
  });

  test("a fault is short for any value", () => {
    const long = "x".repeat(100_000);
    const [fault] = faultsOf({ additionalProperties: false, enum: [long] }, { [long]: 1 });
    expect(JSON.stringify(fault).length).toBeLessThan(1_500);
  });
});

describe("a check gives up", () => {
  /** References that double at every step: 2^40 looks at one value. */
  function doubling(): JsonObject {
    const steps = Array.from({ length: 40 }, (_, step) => {
      const next = { $ref: `#/$defs/s${step + 1}` };
      return [`s${step}`, { allOf: [next, next] }];
    });
    return { $ref: "#/$defs/s0", $defs: { ...Object.fromEntries(steps), s40: { type: "object" } } };
  }

  const integers = Array.from({ length: 4_000 }, () => ({ items: { type: "integer" } }));
  const lists = Array.from({ length: 4_000 }, (_, n) => [n]);

  test.each<[string, JsonObject, Json]>([
    ["4,000 alternatives and a long list", { anyOf: integers }, [...Array(10_000).fill(1), "x"]],
    ["4,000 lists that are allowed", { items: { enum: lists } }, Array(20_000).fill([3_999])],
    ["references that double", doubling(), {}],
    [
      "alternatives that count many fields",
      { anyOf: Array.from({ length: 400 }, () => ({ minProperties: 1e9 })) },
      Object.fromEntries(Array.from({ length: 28_000 }, (_, n) => [`k${n}`, n])),
    ],
    ["pairs of items", { uniqueItems: true }, Array.from({ length: 20_000 }, (_, n) => [n])],
    ["long texts", { items: { minLength: 99_999 } }, Array.from({ length: 9_000 }, () => "x".repeat(1e5))],
  ])("at %s, once its steps are used up", (_, schema, value) => {
    expect(checked(schema, value, { steps: 100_000 })).toEqual({ faults: null, givenUp: "steps" });
  });

  test("the value of a const is written once, and only for a reported fault", () => {
    let written = 0;
    const toJSON = { value: () => `written ${++written}`, enumerable: false };
    const only: Json = Object.defineProperty({}, "toJSON", toJSON);
    expect(checked({ contains: { const: only } }, Array(50).fill(1)).faults).toHaveLength(1);
    expect(written).toBe(0);
    expect(checked({ items: { const: only } }, Array(19).fill(1)).faults).toHaveLength(19);
    expect(written).toBe(1);
  });

  test("at a schema that refers to itself, before the stack is exhausted", () => {
    expect(checked({ $ref: "#" }, {})).toEqual({ faults: null, givenUp: "depth" });
    const nested = JSON.parse(`${"[".repeat(5_000)}${"]".repeat(5_000)}`);
    expect(checked({ items: { $ref: "#" } }, nested)).toEqual({ faults: null, givenUp: "depth" });
  });

  test.each(["pattern", "format"])("at a %s, where only time could bound it", (keyword) => {
    const schema = { [keyword]: keyword === "pattern" ? "a" : "email" };
    expect(checked(schema, "a", { patterns: false })).toEqual({ faults: null, givenUp: "pattern" });
  });

  test("but not at a long enum of plain values, because it has an index", () => {
    const allowedValues = Array.from({ length: 4_000 }, (_, n) => `v${n}`);
    const value = Array.from({ length: 20_000 }, (_, n) => `v${n % 4_000}`);
    expect(checked({ items: { enum: allowedValues } }, value, { steps: 200_000 }).faults).toEqual([]);
  });
});
