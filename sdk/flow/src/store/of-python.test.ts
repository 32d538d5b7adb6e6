import { describe, expect, test } from "vitest";
import { StoreFault } from "../problem.ts";
import { decode } from "./codec.ts";

const uri = "file:///x";

function typed(value: unknown, behind = new Uint8Array()): unknown {
  const text = new TextEncoder().encode(JSON.stringify(value));
  return decode(Buffer.concat([text, new Uint8Array(1), behind]), { codec: "typed", uri });
}

describe("values of Python flows", () => {
  test("are read where JavaScript has an equal", () => {
    const bytes = new Uint8Array([1, 2]);
    expect(typed({ "~": ["tuple", [1, { "~": ["frozenset", ["a"]] }]] })).toEqual([1, new Set(["a"])]);
    expect(typed({ "~": ["bytearray", 0, 2] }, bytes)).toEqual(bytes);
    expect(typed([{ "~": ["path", "/a"] }, { "~": ["uuid", "x"] }])).toEqual(["/a", "x"]);
  });

  test.each([
    ["decimal", "1.10"],
    ["datetime", "2026-01-01T00:00:00.000001"],
    ["timedelta", 1, 2, 3],
    ["npy", "array", 0, 0],
    ["parquet", "polars-series", 0, 0],
  ])("are refused by name where it has none: %s", (...marked) => {
    expect(() => typed([{ "~": marked }])).toThrow(StoreFault);
    expect(() => typed([{ "~": marked }])).toThrow(/of (Python|NumPy).*no equal in TypeScript.*Convert it/s);
  });

  test("are refused by name where a whole file has none", () => {
    for (const codec of ["parquet", "npy", "safetensors", "pickle"])
      expect(() => decode(new Uint8Array(), { codec, uri })).toThrow(/no equal in TypeScript.*Convert it/s);
    expect(() => decode(new Uint8Array(), { codec: "other", uri })).toThrow(/codec other.*does not know/);
  });
});
