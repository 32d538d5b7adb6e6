import fc from "fast-check";
import { expect, test } from "vitest";
import { withDefaults } from "./parameters.ts";
import { checkValue } from "./schema/check.ts";
import { Compiled, type JsonObject } from "./schema/walk.ts";

function checkParameters(schema: JsonObject, value: JsonObject) {
  const allowed = { steps: 100_000, patterns: true };
  return checkValue(new Compiled(schema), { ...allowed, value, root: "parameters" }).faults ?? [];
}

const schema = {
  type: "object",
  properties: {
    island: { type: "string", enum: ["Dream", "Biscoe"] },
    rows: { type: "integer", minimum: 1 },
  },
  required: ["rows"],
  additionalProperties: false,
};

test("Parameters that satisfy the schema have no fault", () => {
  expect(checkParameters(schema, { rows: 3, island: "Dream" })).toEqual([]);
});

test("An unknown parameter is refused with the most similar name", () => {
  expect(checkParameters(schema, { islnd: "Dream", rows: 1 })).toEqual([
    { path: "parameters.islnd", message: 'unknown parameter "islnd"', suggestion: 'did you mean "island"?' },
  ]);
});

test("A parameter without a similar name is refused with the list of parameters", () => {
  expect(checkParameters(schema, { zzzzzz: 1 })[0]?.suggestion).toBe("known: island, rows");
});

test("A wrong type, a missing parameter and a value out of range each name the field", () => {
  expect(checkParameters(schema, { rows: "3" })[0]?.path).toBe("parameters.rows");
  expect(checkParameters(schema, { rows: 0 })[0]?.path).toBe("parameters.rows");
  expect(checkParameters(schema, {})[0]?.message).toContain("rows");
});

test("An unknown parameter and faults of other parameters are reported together", () => {
  const faults = checkParameters(schema, { islnd: "Dream", rows: "3" });
  expect(faults.map(({ path }) => path)).toEqual(["parameters.islnd", "parameters.rows"]);
});

test("No message quotes a value, which may be private", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z]{12,20}$/), (secret) => {
      const told = JSON.stringify(checkParameters(schema, { rows: secret, island: secret }));
      expect(told).not.toContain(secret);
    }),
  );
});

test("A missing parameter is named, as the place and in the sentence", () => {
  expect(checkParameters(schema, {})).toEqual([
    { path: "parameters.rows", message: 'missing parameter "rows"', suggestion: "give it a value" },
  ]);
});

test("A value with two faults is reported once", () => {
  const day = { type: "string", format: "date", pattern: "^\\d{4}-\\d{2}-\\d{2}$" };
  const faults = checkParameters({ type: "object", properties: { day } }, { day: "soon" });
  expect(faults.map(({ path }) => path)).toEqual(["parameters.day"]);
});

test("Defaults fill what is left out, in nested objects too, and change nothing that was given", () => {
  const nested = {
    type: "object",
    properties: {
      rows: { type: "integer", default: 3 },
      fit: { type: "object", default: {}, properties: { epochs: { default: 10 }, rate: { type: "number" } } },
      off: { default: true },
    },
  };
  expect(withDefaults(nested, {})).toEqual({ rows: 3, fit: { epochs: 10 }, off: true });
  const given = { rows: 5, fit: { rate: 1 }, off: null };
  expect(withDefaults(nested, given)).toEqual({ rows: 5, fit: { epochs: 10, rate: 1 }, off: null });
  expect(given).toEqual({ rows: 5, fit: { rate: 1 }, off: null });
});
