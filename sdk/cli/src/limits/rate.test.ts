import { describe, expect, test } from "vitest";
import { rateOf, slotsText } from "./commands.ts";

describe("a rate", () => {
  for (const [text, slots, perMs] of [
    ["100/1m", 100, 60_000],
    ["5/s", 5, 1_000],
    ["1000/24h", 1000, 86_400_000],
  ] as const)
    test(`${text} is ${slots} tokens in ${perMs} ms`, () => {
      expect(rateOf(text)).toEqual({ slots, perMs });
    });

  for (const text of ["", "100", "/1m", "ten/1m", "5/0s", "5/fortnight"])
    test(`"${text}" is refused with an example`, () => {
      expect(() => rateOf(text)).toThrow(/is not a rate/);
    });
});

test("slots are shown as a number, tokens with their period", () => {
  expect(slotsText({ slots: 3, perMs: null })).toBe("3");
  expect(slotsText({ slots: 100, perMs: 60_000 })).toBe("100 per 1 min 00 s");
});
