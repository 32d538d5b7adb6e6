import { faultText } from "@towpath/contract/words";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { InvalidDefinition, InvalidParameters } from "../problem.ts";
import { argumentLines, checkParameters, parseArguments, valueFromText } from "./arguments.ts";
import { jsonSchemaOf, NO_PARAMETERS } from "./json-schema.ts";

const schema = await jsonSchemaOf(
  z.object({
    island: z.string().default("Dream").describe("Of the penguins."),
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

function faultsFrom(act: () => unknown): string[] {
  try {
    act();
  } catch (error) {
    if (error instanceof InvalidParameters) return error.faults.map(faultText);
  }
  return [];
}

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

  test("of another type are refused with the value and what is expected", () => {
    const refused = faultsFrom(() => parse("count=many", "dry=maybe", "tags=[oops", "rate=NaN"));
    expect(refused).toEqual([
      'count must be a whole number, not "many"',
      'dry must be yes or no, not "maybe"',
      'tags must be a JSON list, such as [1,2], not "[oops"',
      'rate must be a number or null, not "NaN"',
    ]);
    expect(parse("dry=yes")).toEqual({ dry: true });
  });

  test("are checked before the flow runs, in the words of `towpath run`, with the value", async () => {
    const input = z.object({
      count: z.int().min(1),
      mode: z.enum(["fast", "slow"]).default("fast"),
      day: z.string().refine((text) => text.startsWith("20"), "Use a date of this century."),
    });
    const flow = { name: "f", input, schema: await jsonSchemaOf(input, "f") };
    const faults = async (parameters: object) => {
      const error = await checkParameters(flow, parameters).catch((thrown: unknown) => thrown);
      return error instanceof InvalidParameters ? error.faults.map(faultText) : error;
    };
    expect(await faults({ count: 0, mode: "slaw", day: "2026-01-01" })).toEqual([
      "count must be at least 1, not 0",
      'mode must be one of "fast", "slow", not "slaw"',
    ]);
    expect(await faults({ count: 1.5, day: "1999-01-01" })).toEqual([
      "count must be an integer, not 1.5",
      'day: Use a date of this century. (given: "1999-01-01")',
    ]);
    expect(await faults({ count: 1 })).toEqual(['missing parameter "day"; give it a value']);
    expect(await faults({ count: 1, day: "2026-01-01" })).toBeUndefined();
  });

  test("are listed with type, default and description", () => {
    expect(argumentLines(schema).slice(0, 2)).toEqual([
      'island=…  string, default "Dream". Of the penguins.',
      "count=…   integer, optional",
    ]);
    expect(argumentLines(NO_PARAMETERS)).toEqual([]);
  });

  test("that nobody knows are refused with the nearest known one", () => {
    expect(() => parse("islnd=x")).toThrow('unknown parameter "islnd"; did you mean "island"?');
    expect(() => parse("zzz=x")).toThrow(/known: island, count/);
    expect(() => parseArguments({ name: "f", schema: NO_PARAMETERS }, ["a=1"])).toThrow(/takes none/);
    expect(() => parse("island")).toThrow('"island" is not a parameter. Write it as name=value.');
  });

  test("of numbers and flags are read back as they were written", () => {
    fc.assert(fc.property(fc.integer(), (n) => valueFromText({ type: "integer" }, String(n)) === n));
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (n) =>
        Object.is(valueFromText({ type: "number" }, String(n)) ?? 0, n === 0 ? 0 : n),
      ),
    );
    fc.assert(fc.property(fc.string(), (text) => valueFromText({ type: "string" }, text) === text));
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
