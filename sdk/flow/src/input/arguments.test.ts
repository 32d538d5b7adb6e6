import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { InvalidDefinition, InvalidParameters } from "../problem.ts";
import { parameterFromText, parseArguments } from "./arguments.ts";
import { jsonSchemaOf, NO_PARAMETERS } from "./json-schema.ts";

const schema = await jsonSchemaOf(
  z.object({
    island: z.string().default("Dream"),
    count: z.int().optional(),
    rate: z.number().nullable().optional(),
    dry: z.boolean().default(false),
    tags: z.array(z.string()).default([]),
    mode: z.enum(["fast", "slow"]).default("fast"),
    either: z.union([z.number(), z.string()]).optional(),
  }),
  "flow",
);
const parse = (...argv: string[]) => parseArguments({ name: "penguins", schema }, argv);

describe("parameters from a command line", () => {
  test("take the types of the schema", () => {
    const argv = ["island=12", "count=3", "rate=0.5", "dry=true", 'tags=["a"]', "mode=slow", "either=7"];
    expect(parse(...argv)).toEqual({
      island: "12",
      count: 3,
      rate: 0.5,
      dry: true,
      tags: ["a"],
      mode: "slow",
      either: 7,
    });
    expect(parse("rate=null", "either=seven")).toEqual({ rate: null, either: "seven" });
  });

  test("may be written in four ways, and hold `=` themselves", () => {
    expect(parse("-p", "island=a=b", "--param", "count=1", "--param=dry=true", "--mode=slow")).toEqual({
      island: "a=b",
      count: 1,
      dry: true,
      mode: "slow",
    });
  });

  test("stay text where they do not fit, so that validation names them", () => {
    expect(parse("count=many", "dry=yes", "tags=[oops")).toEqual({
      count: "many",
      dry: "yes",
      tags: "[oops",
    });
  });

  test("that nobody knows are refused with the nearest known one", () => {
    expect(() => parse("islnd=x")).toThrow('unknown parameter "islnd"; did you mean "island"?');
    expect(() => parse("zzz=x")).toThrow(/known: island, count/);
    expect(() => parseArguments({ name: "f", schema: NO_PARAMETERS }, ["a=1"])).toThrow(/takes none/);
    expect(() => parse("island")).toThrow(InvalidParameters);
  });

  test("of numbers and flags are read back as they were written", () => {
    fc.assert(fc.property(fc.integer(), (n) => parameterFromText({ type: "integer" }, String(n)) === n));
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (n) =>
        Object.is(parameterFromText({ type: "number" }, String(n)) ?? 0, n === 0 ? 0 : n),
      ),
    );
    fc.assert(fc.property(fc.string(), (text) => parameterFromText({ type: "string" }, text) === text));
  });
});

describe("the JSON Schema of parameters", () => {
  test("lets defaults be left out and refuses unknown fields", () => {
    expect(schema).toMatchObject({ type: "object", additionalProperties: false });
    expect(schema.required ?? []).toEqual([]);
  });

  test("comes from the schema library itself, or the fault says what to use", async () => {
    const bare = {
      "~standard": { version: 1, vendor: "homemade", validate: (value: unknown) => ({ value }) },
    } as const;
    await expect(jsonSchemaOf(bare, "flow x")).rejects.toThrow(/homemade schema without/);
    await expect(jsonSchemaOf(z.string(), "flow x")).rejects.toBeInstanceOf(InvalidDefinition);
  });

  test("is found for a zod schema that cannot tell it by itself", async () => {
    const own = z.object({ a: z.int().default(1) });
    const { jsonSchema: _, ...standard } = own["~standard"];
    const older = Object.assign(Object.create(own), { "~standard": standard });
    expect(await jsonSchemaOf(older, "flow x")).toMatchObject({ properties: { a: { default: 1 } } });
  });
});
