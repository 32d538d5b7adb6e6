import fc from "fast-check";
import { expect, test } from "vitest";
import { NotSerialisable } from "../problem.ts";
import { decode, encodeAs } from "./codec.ts";
import { fromTypedJson, toTypedJson } from "./typed-json.ts";

/** Values of every kind that a task may return and a later attempt must see alike. */
const { value } = fc.letrec<{ value: unknown; leaf: unknown }>((tie) => ({
  leaf: fc.oneof(
    fc.jsonValue(),
    fc.constantFrom(undefined, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0),
    fc.bigInt(),
    fc.date({ noInvalidDate: false }),
    fc.string({ unit: "binary" }),
    fc.uint8Array(),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.float64Array(),
    fc.int16Array(),
    fc.bigInt64Array(),
    fc.uint8Array().map((bytes) => bytes.slice().buffer),
    fc.webUrl().map((url) => new URL(url)),
  ),
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    tie("leaf"),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("~", "__proto__", "toString")), tie("value"), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
    fc.array(fc.tuple(tie("leaf"), tie("value")), { maxLength: 3 }).map((pairs) => new Map(pairs)),
    fc.array(tie("leaf"), { maxLength: 3 }).map((items) => new Set(items)),
  ),
}));

test("whatever a task may return comes back as it was, by the codec that is chosen for it", () => {
  fc.assert(
    fc.property(value, (given) => {
      const { codec, bytes } = encodeAs(given, { codec: "exact", name: "result" });
      const back = decode(bytes, { codec, uri: "somewhere" });
      expect(back).toStrictEqual(given);
      expect(Object.prototype.toString.call(back)).toBe(Object.prototype.toString.call(given));
    }),
    { numRuns: 500 },
  );
});

test("a value that is no data is named by its place", () => {
  const cycle: unknown[] = [1n];
  cycle.push({ again: cycle });
  const cases: [unknown, string][] = [
    [{ a: [new Map([["k", () => 1]])] }, "x.a[0].value"],
    [cycle, "x[1].again"],
    [{ at: new Date(0), made: new (class Thing {})() }, "x.made"],
    [Promise.resolve(1), "x"],
    [Symbol("s"), "x"],
  ];
  for (const [given, path] of cases) {
    const attempt = () => toTypedJson(given, "x");
    expect(attempt).toThrow(NotSerialisable);
    try {
      attempt();
    } catch (error) {
      expect(error).toMatchObject({ path });
    }
  }
});

test("bytes stand once, as they are, behind the text; text that lies about them is refused", () => {
  const large = new Float64Array(1_000_000).map((_, n) => n);
  const written = toTypedJson({ large, at: new Date(0) }, "x");
  expect(written.byteLength).toBeLessThan(large.byteLength + 200);
  expect(fromTypedJson(written)).toEqual({ large, at: new Date(0) });
  const made = (part: string) => new Uint8Array([...new TextEncoder().encode(part), 0, 1, 2, 3]);
  expect(fromTypedJson(made('{"~":["bytes","Uint8Array",1,2]}'))).toEqual(new Uint8Array([2, 3]));
  for (const bad of ["[2,2]", "[-1,1]", '["a",1]', "[0,1e99]"]) {
    const [offset, length] = JSON.parse(bad);
    const text = JSON.stringify({ "~": ["bytes", "Uint8Array", offset, length] });
    expect(() => fromTypedJson(made(text)), bad).toThrow(TypeError);
  }
  for (const text of [
    '{"~":["class","x"]}',
    '{"~":["bytes","Function",0,1]}',
    '{"~":["constructor"]}',
    '{"~":1}',
  ])
    expect(() => fromTypedJson(made(text)), text).toThrow(TypeError);
});
