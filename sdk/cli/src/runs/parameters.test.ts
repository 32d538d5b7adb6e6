import type { Json } from "@towpath/contract";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Failure } from "../failure.ts";
import { parameterLines, parseParameters, runCommand, splitParameter } from "./parameters.ts";

test("the command of a run has a place for each required parameter without a default", () => {
  const properties = {
    day: { type: "string" },
    rows: { type: "integer", default: 5 },
    note: { type: "string" },
  };
  const schema = { type: "object", properties, required: ["day", "rows"] };
  expect(runCommand("prices@dev", schema)).toBe("towpath run prices@dev -p day=… --watch");
  expect(runCommand("prices@dev", {})).toBe("towpath run prices@dev --watch");
});

const schema: { [key: string]: Json } = {
  type: "object",
  properties: {
    island: { type: "string", default: "Dream" },
    n: { type: "integer" },
    share: { type: "number" },
    dry: { type: "boolean" },
    days: { type: "array", items: { type: "string" } },
    either: { anyOf: [{ type: "integer" }, { type: "null" }] },
    open: {},
    kind: { enum: ["a", "b"] },
    ref: { $ref: "#/$defs/count" },
  },
  $defs: { count: { type: "integer" } },
  required: ["island"],
  additionalProperties: false,
};

const parse = (...given: string[]) =>
  parseParameters("penguins", { schema, given: ["island=Dream", ...given] });

async function failureOf(...given: string[]): Promise<Failure> {
  try {
    await parse(...given);
  } catch (failure) {
    if (failure instanceof Failure) return failure;
  }
  throw new Error("it did not fail");
}

describe("parameters of a command line", () => {
  test("are typed by the schema", async () => {
    const given = [
      "n=3",
      "share=0.5",
      "dry=true",
      'days=["mon"]',
      "either=null",
      "open={}",
      "kind=a",
      "ref=7",
    ];
    expect(await parse(...given)).toEqual({
      island: "Dream",
      n: 3,
      share: 0.5,
      dry: true,
      days: ["mon"],
      either: null,
      open: {},
      kind: "a",
      ref: 7,
    });
  });

  test("stay text if the schema says text, even if they look like numbers", async () => {
    const texts = fc.oneof(fc.string(), fc.json(), fc.constantFrom("3", "true", "null", "a=b"));
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        const parsed = await parseParameters("penguins", { schema, given: [`island=${text}`] });
        expect(parsed).toEqual({ island: text });
      }),
    );
  });

  test("an unknown parameter is refused with the most similar name", async () => {
    const failure = await failureOf("islnd=Biscoe");
    expect(failure.exit).toBe("invalidInput");
    expect(failure.faults[0]).toMatchObject({
      message: 'unknown parameter "islnd"',
      suggestion: 'did you mean "island"?',
    });
  });

  test("a parameter of the wrong type is refused with the right type, without its value", async () => {
    const failure = await failureOf("n=hunter2", "dry=maybe");
    expect(failure.faults.map(({ message }) => message)).toEqual([
      "n must be a whole number",
      "dry must be yes or no",
    ]);
    expect(JSON.stringify(failure)).not.toContain("hunter2");
    expect((await failureOf("n=1.5")).faults).toHaveLength(1);
  });

  test("a missing parameter is refused with the list of parameters", async () => {
    const missing = () => parseParameters("penguins", { schema, given: [] });
    await expect(missing).rejects.toThrow(Failure);
    expect(parameterLines(schema).slice(0, 3)).toEqual([
      '-p island=…  string, default "Dream"',
      "-p n=…  integer, optional",
      "-p share=…  number, optional",
    ]);
  });

  test("are split at the first equals sign, and refused without one", () => {
    expect(splitParameter("a=b=c")).toEqual({ name: "a", text: "b=c" });
    expect(() => splitParameter("island")).toThrow("is not a parameter");
  });
});
