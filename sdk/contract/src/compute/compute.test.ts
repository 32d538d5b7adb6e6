import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  amountsText,
  bytesText,
  covers,
  lacking,
  needsOf,
  neverHeld,
  parseBytes,
  stockParts,
  sumOf,
  without,
} from "./amounts.ts";
import { AmountsByName, Compute } from "./compute.ts";

const GIB = 2 ** 30;

describe("the compute of a spec", () => {
  test("becomes amounts by name; devices of a kind count as devices too", () => {
    const compute = Compute.parse({
      cpu: 2,
      memoryBytes: GIB,
      gpu: { count: 1, kind: "a100" },
      amounts: { licences: 1 },
    });
    const needs = needsOf(compute);
    expect(needs).toEqual({ cpu: 2, memory: GIB, gpu: 1, "gpu:a100": 1, licences: 1 });
    expect(AmountsByName.parse(needs)).toEqual(needs);
    expect(needsOf(Compute.parse({ gpu: { count: 2 } }))).toEqual({ gpu: 2 });
    expect(needsOf(Compute.parse({}))).toEqual({});
  });

  test.each([
    [{ cpu: 0 }, "cpu"],
    [{ cpu: 0.0001 }, "cpu"],
    [{ memoryBytes: 1.5 }, "memoryBytes"],
    [{ gpu: { count: 0 } }, "gpu.count"],
    [{ gpu: { count: 1, kind: "A100" } }, "gpu.kind"],
    [{ amounts: { gpu: 1 } }, "amounts.gpu"],
    [{ amounts: { seats: -1 } }, "amounts.seats"],
  ])("is refused when it is %j", (given, path) => {
    expect(Compute.safeParse(given).error?.issues[0]?.path.join(".")).toBe(path);
  });

  test("has a text for people", () => {
    expect(amountsText({ licences: 1, "gpu:a100": 2, gpu: 2, memory: 16 * GIB, cpu: 4 })).toBe(
      "4 CPUs, 16 GiB of memory, 2 × a100 and 1 × licences",
    );
    expect(amountsText({ gpu: 1, cpu: 0.5 })).toBe("0.5 CPUs and 1 GPU");
    expect(amountsText({})).toBe("");
  });
});

describe("sizes", () => {
  test.each([
    ["4 GiB", 4 * GIB],
    ["512MiB", 512 * 2 ** 20],
    ["1.5 GB", 1.5e9],
    ["100 B", 100],
  ])("%s is %i bytes", (text, bytes) => expect(parseBytes(text)).toBe(bytes));

  test.each(["4", "4 gib", "GiB", "-1 GiB", "0 MiB", "4 GiB more", "1e3 KB"])("%s is none", (text) => {
    expect(parseBytes(text)).toBe(null);
  });

  test("are shown in the largest unit that fits", () => {
    expect([4 * GIB, 1.5 * 2 ** 20, 100, 0].map(bytesText)).toEqual(["4 GiB", "1.5 MiB", "100 B", "0 B"]);
  });
});

test("amounts never become negative, and missing amounts are named", () => {
  const amounts = fc.dictionary(fc.constantFrom("cpu", "gpu", "seats"), fc.nat(5));
  fc.assert(
    fc.property(amounts, amounts, (free, needs) => {
      const left = without(free, needs);
      const below = Object.keys(needs).filter((name) => (left[name] ?? 0) < 0);
      expect(lacking(free, needs).sort()).toEqual(below.sort());
      expect(covers(free, needs)).toBe(below.length === 0);
      expect(without(sumOf([free, needs]), needs)).toEqual({
        ...sumOf([needs, free]),
        ...without(sumOf([free, needs]), needs),
      });
    }),
  );
});

test("sums of fractions fit into an equal amount", () => {
  expect(covers(without({ cpu: 0.3 }, { cpu: 0.1 }), { cpu: 0.2 })).toBe(true);
});

describe("compute that no worker can provide", () => {
  const workers = [
    { total: { cpu: 4, memory: 8 * GIB, gpu: 1, "gpu:a100": 1 } },
    { total: { cpu: 16, memory: GIB } },
  ];
  const say = (needs: Record<string, number>) => neverHeld(needs, { pool: "gpu", workers });

  test("is reported with the most that a worker has", () => {
    expect(say({ gpu: 2, "gpu:a100": 2 })).toBe('needs 2 × a100; the workers of pool "gpu" have at most 1');
    expect(say({ gpu: 1, "gpu:h100": 1 })).toBe('needs 1 × h100; the workers of pool "gpu" have no h100');
    expect(say({ memory: 9 * GIB, licences: 1 })).toBe(
      'needs 9 GiB of memory and 1 × licences; the workers of pool "gpu" have at most 8 GiB and no licences',
    );
    expect(say({ cpu: 16, gpu: 1 })).toBe(
      'needs 16 CPUs and 1 GPU on one worker; the workers of pool "gpu" have each of these amounts, but no worker has all of them',
    );
  });

  test("is empty if one worker can provide it", () => {
    expect(say({ cpu: 4, gpu: 1, "gpu:a100": 1 })).toBe(null);
    expect(say({})).toBe(null);
  });
});

describe("the compute of a worker", () => {
  test("is shown with the amounts in use, and GPUs of one kind only by their kind", () => {
    const total = { cpu: 8, memory: 30 * GIB, gpu: 2, "gpu:a100": 2, seats: 3 };
    expect(stockParts(total, { cpu: 1.5, memory: 4 * GIB, gpu: 1 }).map((part) => part.text)).toEqual([
      "1.5 of 8 CPUs",
      "4 GiB of 30 GiB of memory",
      "1 of 2 a100",
      "0 of 3 seats",
    ]);
  });

  test("shows several kinds beside their sum", () => {
    const total = { gpu: 3, "gpu:a100": 1, "gpu:t4": 2 };
    expect(stockParts(total, { gpu: 1 }).map((part) => part.text)).toEqual([
      "1 of 3 GPUs",
      "0 of 1 a100",
      "0 of 2 t4",
    ]);
  });
});
