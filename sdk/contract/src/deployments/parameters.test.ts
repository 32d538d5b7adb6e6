import fc from "fast-check";
import { expect, test } from "vitest";
import { checkParameters } from "./parameters.ts";

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

test("An unknown parameter names itself and the word that was probably meant", () => {
  expect(checkParameters(schema, { islnd: "Dream", rows: 1 })).toEqual([
    { path: "parameters.islnd", message: 'unknown parameter "islnd"', suggestion: 'did you mean "island"?' },
  ]);
});

test("A parameter that resembles none is answered with those that there are", () => {
  expect(checkParameters(schema, { zzzzzz: 1 })[0]?.suggestion).toBe("known: island, rows");
});

test("A wrong type, a missing parameter and a value out of range each name the field", () => {
  expect(checkParameters(schema, { rows: "3" })[0]?.path).toBe("parameters.rows");
  expect(checkParameters(schema, { rows: 0 })[0]?.path).toBe("parameters.rows");
  expect(checkParameters(schema, {})[0]?.message).toContain("rows");
});

test("No message quotes a value, which may be private", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z]{12,20}$/), (secret) => {
      const told = JSON.stringify(checkParameters(schema, { rows: secret, island: secret }));
      expect(told).not.toContain(secret);
    }),
  );
});
