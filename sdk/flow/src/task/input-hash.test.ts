import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NotData } from "../problem.ts";
import { PLAIN_HASHES } from "../store/hashes.ts";
import { hashInput } from "./input-hash.ts";

const hash = (...args: unknown[]) => hashInput({ what: 'Task "t"', hashes: PLAIN_HASHES }, args);

/** The same value with the fields of every object in another order. */
function reordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reordered);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, item]) => [key, reordered(item)]),
  );
}

test("equal inputs have one hash, whatever the order of their fields", () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => hash(value) === hash(reordered(value))));
});

test("different inputs have different hashes", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
      const same = JSON.stringify(reordered(reordered(a))) === JSON.stringify(reordered(reordered(b)));
      return same || hash(a) !== hash(b) || JSON.stringify(a) === JSON.stringify(b);
    }),
  );
});

test("what only looks alike is told apart", () => {
  const alike = [
    ["1"],
    [1],
    [true],
    ["true"],
    [null],
    [undefined, null],
    [[]],
    [{}],
    [[1]],
    [1, 1],
    [[1, 1]],
    [["1", ""]],
    [["", "1"]],
    [1n],
    [new Map([[1, 1]])],
    [new Set([1])],
    [new Uint8Array([1])],
    [new Int8Array([1])],
    [Number.NaN],
    [-0],
    [0],
    [{ a: { b: 1 } }],
    [{ a: 1, b: 1 }],
    [new Date(0)],
    [new Date(Number.NaN)],
    [new Date(0).toISOString()],
    [{ toJSON: () => new Date(0).toISOString() }],
    [new URL("http://a/")],
    ["http://a/"],
    [new Uint8Array([1]).buffer],
    [Buffer.from([1])],
    [Object.create(null)],
    ["\ud800"],
    ["\udbff"],
    ["\ufffd"],
    [{ "\ud800": 1 }],
    [{ "\udbff": 1 }],
  ];
  expect(new Set(alike.map((args) => hash(...args))).size).toBe(alike.length);
});

class Rows extends Array {}

test("a ref counts by its content, wherever the value is stored", () => {
  const ref = { uri: "file:///a/1", codec: "json", sizeBytes: 3, sha256: "a".repeat(64) };
  expect(hash({ of: ref })).toBe(hash({ of: { ...ref, uri: "s3://b/2" } }));
  expect(hash(ref)).not.toBe(hash({ ...ref, sha256: "b".repeat(64) }));
  expect(hash(ref)).not.toBe(hash({ ...ref, codec: "text" }));
  const { sha256: _, ...part } = ref;
  for (const other of [part, { ...ref, more: 1 }, { ...ref, sha256: "a" }, { ...ref, codec: "No codec" }])
    expect(hash(other)).not.toBe(hash({ ...other, uri: "s3://b/2" }));
});

test("a typed array counts by its own bytes, not by its buffer's", () => {
  const whole = new Uint8Array([1, 2, 3, 4]);
  expect(hash(whole.subarray(1, 3))).toBe(hash(new Uint8Array([2, 3])));
});

describe("what is no data is refused with its place", () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  const cases: [string, unknown, string][] = [
    ["a function", { db: { query: () => 1 } }, 'argument 1, field "db.query" is a function'],
    ["a symbol", [Symbol("x")], 'argument 1, field "[0]" is a symbol'],
    ["a promise", Promise.resolve(1), "argument 1 is a promise (await it first)"],
    ["a cycle", cycle, 'argument 1, field "self" is part of a cycle'],
    ["a class", { pattern: /a/ }, 'argument 1, field "pattern" is an instance of RegExp'],
    ["a class of one's own", [new Rows()], 'argument 1, field "[0]" is an instance of Rows'],
  ];
  for (const [what, value, message] of cases)
    test(what, () => {
      expect(() => hash(value)).toThrow(NotData);
      expect(() => hash(value)).toThrow(
        `Task "t" cannot be identified by its arguments: ${message}. Pass plain data, give the call a key: task.with({ key: "…" })(…), or give the class a toJSON().`,
      );
    });
});
