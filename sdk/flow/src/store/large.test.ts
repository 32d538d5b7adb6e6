import { describe, expect, test } from "vitest";
import { NotSerialisable } from "../problem.ts";
import { type CodecChoice, decode, encodeAs } from "./codec.ts";
import { encodeLarge } from "./large.ts";

const COUNT = 12_000;
const rows = (more: (id: number) => object = () => ({})) =>
  Array.from({ length: COUNT }, (_, id) => ({ id, name: `ü ${id}`, ...more(id) }));

const nested = (depth: number): unknown =>
  depth === 0 ? null : { rows: Array(10_001).fill(depth), inner: nested(depth - 1) };

const VALUES: Readonly<Record<string, unknown>> = {
  "an array of objects": rows(),
  "an array in an object": { count: COUNT, rows: rows(), note: { text: "x", list: [1, 2] } },
  "an array in an array": [rows(), [], null, { rows: rows() }],
  "containers in containers": nested(25),
  numbers: Array.from({ length: COUNT }, (_, id) => id / 7),
  "objects with dates": rows((id) => ({ at: new Date(id) })),
  "objects with bytes": rows((id) => ({ bytes: Uint8Array.of(id % 256), more: new Map([[id, 1n]]) })),
  "one date behind many objects": [...rows(), new Date(0)],
  "fields that are undefined": {
    missing: undefined,
    rows: rows((id) => ({ left: id % 2 ? id : undefined })),
  },
  "names that typed JSON marks": { "~": 1, rows: rows(() => ({ "~": ["date", "x"] })) },
  "a name that a literal would lose": JSON.parse(`{"__proto__": 1, "rows": ${JSON.stringify(rows())}}`),
};

describe.each(Object.entries(VALUES))("%s", (_name, value) => {
  test.each<CodecChoice>(["exact", "typed"])("have the same bytes as at once: %s", async (codec) => {
    const as = { codec, name: "rows" };
    const large = (await encodeLarge(value, as)) ?? encodeAs(value, as);
    const once = encodeAs(value, as);
    expect(large.codec).toBe(once.codec);
    expect(Buffer.compare(large.bytes, once.bytes)).toBe(0);
    expect(decode(large.bytes, { codec: large.codec, uri: "x" })).toEqual(value);
  });
});

test("JSON is the same as at once, with fields left out and dates as texts", async () => {
  for (const value of [VALUES["fields that are undefined"], VALUES["objects with dates"]]) {
    const as = { codec: "json", name: "rows" } as const;
    const large = await encodeLarge(value, as);
    expect(new TextDecoder().decode(large?.bytes)).toBe(JSON.stringify(value));
  }
});

test("most of these are written in steps, and small values are not", async () => {
  const as = { codec: "exact", name: "rows" } as const;
  const inSteps = await Promise.all(Object.values(VALUES).map((value) => encodeLarge(value, as)));
  expect(inSteps.filter((one) => one === null)).toHaveLength(2);
  for (const value of [[1, 2], { rows: [1] }, "x".repeat(100_000), new Uint8Array(100_000), null])
    expect(await encodeLarge(value, as)).toBe(null);
});

test("a part that cannot be stored is named by its path", async () => {
  const value = { rows: rows((id) => (id === 11_111 ? { call: () => 1 } : {})) };
  for (const codec of ["exact", "json", "typed"] as const)
    await expect(encodeLarge(value, { codec, name: "result" })).rejects.toThrow(
      /result\.rows\[11111\]\.call/,
    );
  const cycle: unknown[] = rows();
  cycle.push({ cycle });
  await expect(encodeLarge(cycle, { codec: "exact", name: "result" })).rejects.toBeInstanceOf(
    NotSerialisable,
  );
});

test.each<CodecChoice>(["exact", "typed", "json"])(
  "a cycle beside a large array is refused: %s",
  async (codec) => {
    const cycle: Record<string, unknown> = { rows: rows() };
    cycle.self = { again: [cycle] };
    await expect(encodeLarge(cycle, { codec, name: "result" })).rejects.toThrow(/part of a cycle/);
  },
);

test("other work of the process goes on while a large value is encoded", async () => {
  const value = Array.from({ length: 200_000 }, (_, id) => ({
    id,
    name: `customer ${id}`,
    at: new Date(id),
  }));
  let turns = 0;
  let isDone = false;
  const count = () => {
    turns += 1;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  await encodeLarge(value, { codec: "exact", name: "rows" });
  isDone = true;
  expect(turns).toBeGreaterThan(5);
});
