import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NotData, NotSerialisable } from "../problem.ts";
import { hashInput } from "../task/input-hash.ts";
import { decode, encodeAs } from "./codec.ts";
import { PLAIN_HASHES } from "./hashes.ts";

const hash = (value: unknown) => hashInput({ hashes: PLAIN_HASHES, what: "t" }, [value]);

/** All that can be seen of a value, private state of built-in classes and hidden fields among it. */
const seen = (value: unknown) =>
  inspect(value, { showHidden: true, depth: 9, maxArrayLength: null, getters: false });

/** The value as a later attempt would have it; null where it is refused. */
function copied(value: unknown): { readonly value: unknown } | null {
  try {
    const { codec, bytes } = encodeAs(value, { codec: "exact", name: "x" });
    return { value: decode(bytes, { codec, uri: "x" }) };
  } catch (error) {
    if (error instanceof NotSerialisable) return null;
    throw error;
  }
}

/** The hash; null where the value is refused. */
function hashed(value: unknown): string | null {
  try {
    return hash(value);
  } catch (error) {
    if (error instanceof NotData) return null;
    throw error;
  }
}

/** Whether a class says by itself what it is as data: then that is what counts. */
function says(value: unknown): boolean {
  if (typeof value !== "object" || value === null || !("toJSON" in value)) return false;
  return ![Date.prototype.toJSON, URL.prototype.toJSON, Buffer.prototype.toJSON].includes(
    value.toJSON as never,
  );
}

/** That a value is either refused, or comes back as it was; and has the hash of its copy alone. */
function judge(value: unknown): void {
  const copy = copied(value);
  const own = hashed(value);
  if (copy === null) {
    expect(says(value) ? null : own).toBe(null);
    return;
  }
  expect(seen(copy.value)).toBe(seen(value));
  expect(hashed(copy.value)).toBe(own);
  if (typeof value === "object" && value !== null)
    expect(Object.getPrototypeOf(copy.value)).toBe(Object.getPrototypeOf(value));
}

type Made = { readonly name: string; readonly value: unknown };

const ARGUMENTS: readonly (readonly unknown[])[] = [
  [],
  ["a"],
  ["b"],
  ["/a/"],
  [2],
  [[["a", "1"]]],
  [new ArrayBuffer(8)],
  [new ArrayBuffer(8, { maxByteLength: 16 })],
  [new SharedArrayBuffer(8)],
  [{}],
  [[new Error("one")]],
  [() => {}],
  [{}, {}],
  ["http://a/b?c=1"],
];

/** Opens what outlives a test, or asks the network. */
const NOT_CALLED = ["WebSocket", "EventSource", "Worker", "SharedWorker"];

function called(name: string, made: unknown): Made[] {
  if (typeof made !== "function" || NOT_CALLED.includes(name) || !/(?:^|\.)[A-Z]\w*$/.test(name)) return [];
  return ARGUMENTS.flatMap((args): Made[] => {
    try {
      return [{ name: `new ${name}(${inspect(args)})`, value: Reflect.construct(made, args) }];
    } catch {
      return [];
    }
  });
}

/** Everything that is reachable from `globalThis` by names: values, what classes make, and their prototypes. */
function builtIns(): Made[] {
  const seenBefore = new Set<unknown>();
  const visit = (home: object, path: string, depth: number): Made[] =>
    Object.getOwnPropertyNames(home).flatMap((key): Made[] => {
      const value: unknown = Object.getOwnPropertyDescriptor(home, key)?.value ?? globalValue(home, key);
      const isPart = (typeof value === "object" && value !== null) || typeof value === "function";
      if (!isPart || seenBefore.has(value) || /^__|^globalThis$|^global$|^vitest$/.test(key)) return [];
      seenBefore.add(value);
      const name = `${path}${key}`;
      const inner = depth > 0 && key !== "process" ? visit(value, `${name}.`, depth - 1) : [];
      return [{ name, value }, ...called(name, value), ...inner];
    });
  return visit(globalThis, "", 1);
}

function globalValue(home: object, key: string): unknown {
  if (home !== globalThis) return undefined;
  try {
    return Reflect.get(home, key);
  } catch {
    return undefined;
  }
}

const made = builtIns();

function close({ value }: Made): void {
  if (typeof value !== "object" || value === null || !("close" in value)) return;
  if (typeof value.close === "function" && value instanceof BroadcastChannel) value.close();
}

describe("built-in values", () => {
  test("are many, and of the kinds that once were all alike", () => {
    expect(made.length).toBeGreaterThan(400);
    const names = new Set(made.map(({ name }) => name.replace(/^new ([\w.]+).*/s, "$1")));
    for (const name of [
      "RegExp",
      "Error",
      "URLSearchParams",
      "Headers",
      "FormData",
      "Blob",
      "String",
      "Number",
      "WeakMap",
      "Intl.Collator",
    ])
      expect(names, name).toContain(name);
  });

  test("are refused with a typed error, or come back as they were", () => {
    const faults = made.flatMap((one): string[] => {
      try {
        judge(one.value);
        return [];
      } catch (error) {
        return [`${one.name}: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}`];
      } finally {
        close(one);
      }
    });
    expect(faults).toEqual([]);
  });

  test("that are different have different hashes", () => {
    const byHash = new Map<string, Made>();
    const faults: string[] = [];
    for (const one of made) {
      const own = says(one.value) ? null : hashed(one.value);
      if (own === null) continue;
      const other = byHash.get(own);
      if (other === undefined) byHash.set(own, one);
      else if (seen(other.value) !== seen(one.value)) faults.push(`${one.name} and ${other.name}`);
    }
    expect(faults).toEqual([]);
    expect(byHash.size).toBeGreaterThan(20);
  });
});

class Secret {
  readonly #inner: unknown;
  constructor(inner: unknown) {
    this.#inner = inner;
  }
  get inner(): unknown {
    return this.#inner;
  }
}
class Tagged extends Array<unknown> {
  #tag = 1;
  get tag(): number {
    return this.#tag;
  }
}
class Cached extends Map<unknown, unknown> {}
class Unique extends Set<unknown> {}
class Day extends Date {}
class Place extends URL {}
class Bytes extends Uint8Array {}
class Said {
  readonly #inner: unknown;
  constructor(inner: unknown) {
    this.#inner = inner;
  }
  toJSON(): unknown {
    return this.#inner;
  }
}

/** What people make of values, and no copy of what is visible would hold. */
const WRAPPED: Readonly<Record<string, (inner: unknown) => unknown>> = {
  "a private field": (inner) => new Secret(inner),
  "a subclass of Array": (inner) => Object.assign(new Tagged(), [inner]),
  "a subclass of Map": (inner) => new Cached([[1, inner]]),
  "a subclass of Set": (inner) => new Unique([inner]),
  "a subclass of Date": () => new Day(0),
  "a subclass of URL": () => new Place("http://a/"),
  "a subclass of Uint8Array": () => new Bytes(2),
  "an accessor": (inner) => ({
    get a() {
      return inner;
    },
  }),
  "a setter": () => ({ set a(_value: unknown) {} }),
  "a symbol as a name": (inner) => ({ [Symbol("a")]: inner }),
  "a hidden field": (inner) => Object.defineProperty({ a: 1 }, "b", { value: inner }),
  "a Proxy": (inner) => new Proxy({ inner }, {}),
  "a Proxy of an array": (inner) => new Proxy([inner], {}),
  "an inherited field": (inner) => Object.create({ inner }),
  "a prototype without one": (inner) => Object.create(Object.create(null, { a: { value: inner } })),
  "a fake Map": () => Object.create(Map.prototype),
  "a fake Date": () => Object.create(Date.prototype),
  "a fake URL": () => Object.create(URL.prototype),
  "a hole": (inner) => Object.assign([], { 0: inner, 2: inner }),
  "a hole and a field": (inner) => Object.assign([], { 0: inner, 2: inner, a: 1 }),
  "an array with a field": (inner) => Object.assign([inner], { index: 1 }),
  "an array with a symbol": (inner) => Object.assign([inner], { [Symbol("a")]: 1 }),
  "what a match answers": () => "abc".match(/b/),
  "a Map with a field": (inner) => Object.assign(new Map(), { inner }),
  "a Date with a field": (inner) => Object.assign(new Date(0), { inner }),
  "a boxed value": () => Object("text"),
  "a generator": () => (function* () {})(),
  arguments: () =>
    (function () {
      // biome-ignore lint/complexity/noArguments: it is what is tested.
      return arguments;
    })(),
  "a cycle": (inner) => {
    const cycle: unknown[] = [inner];
    cycle.push({ cycle });
    return cycle;
  },
  "shared memory": () => new Uint8Array(new SharedArrayBuffer(2)),
};

describe("values of one's own", () => {
  test.each(Object.entries(WRAPPED))("are refused with %s, wherever they stand", (_name, wrap) => {
    const value = wrap("x");
    for (const one of [value, { deep: [value] }, new Map([[1, value]]), new Set([value])]) {
      expect(hashed(one)).toBe(null);
      expect(copied(one)).toBe(null);
    }
  });

  test("count by their own toJSON", () => {
    expect(hash(new Said("a"))).toBe(hash(new Said("a")));
    expect(hash(new Said("a"))).not.toBe(hash(new Said("b")));
    expect(hash(new Said("a"))).not.toBe(hash("a"));
    expect(hashed(new Said(/a/))).toBe(null);
    expect(() => hash(PerformanceEntry.prototype)).toThrow(/argument 1 is an object whose toJSON\(\) throws/);
    expect(copied(new Said("a"))).toBe(null);
  });
});

/** Data of every kind that is taken. */
const { value: anything } = fc.letrec<{ value: unknown; leaf: unknown }>((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom(
      undefined,
      null,
      true,
      0,
      -0,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      "",
      "\ud800",
      "\udfff",
      "\ufffd",
    ),
    fc.string({ unit: "binary" }),
    fc.double(),
    fc.bigInt(),
    fc.date({ noInvalidDate: false }),
    fc.webUrl().map((url) => new URL(url)),
    fc.uint8Array({ maxLength: 4 }),
    fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
    fc.uint8Array({ maxLength: 4 }).map((bytes) => bytes.slice().buffer),
    fc.float32Array({ maxLength: 3 }),
  ),
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    tie("leaf"),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("~", "__proto__")), tie("value"), {
      maxKeys: 3,
    }),
    fc.array(fc.tuple(tie("leaf"), tie("value")), { maxLength: 3 }).map((pairs) => new Map(pairs)),
    fc.array(tie("leaf"), { maxLength: 3 }).map((items) => new Set(items)),
  ),
}));

/** A value without fields that are undefined: those count as absent. */
const hasUndefined = (value: unknown) => seen(value).includes("undefined");

test("data comes back as it was, and two values that differ have two hashes", () => {
  fc.assert(
    fc.property(anything, anything, (one, other) => {
      judge(one);
      if (hasUndefined(one) || hasUndefined(other)) return;
      expect(hash(one) === hash(other)).toBe(sorted(one) === sorted(other));
    }),
    { numRuns: 500 },
  );
});

/** All that can be seen of a value, fields in the order of their names. */
const sorted = (value: unknown) =>
  inspect(value, { showHidden: true, depth: 99, sorted: true, maxStringLength: null });
