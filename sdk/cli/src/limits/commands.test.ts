import type { Client } from "@towpath/client";
import { describe, expect, test } from "vitest";
import { caught } from "../fixture.ts";
import { findLimit, rateOf, slotsText } from "./commands.ts";

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

describe("the name of a limit", () => {
  const items = [
    { kind: "named", name: "churn" },
    { kind: "deployment", name: "churn" },
    { kind: "deployment", name: "churn@prod" },
  ];
  const client = { listLimits: async () => ({ items }) } as unknown as Client;
  const find = (name: string, kind?: "named" | "deployment") => findLimit(client, { name, kind });

  test("may name a deployment: with its stage, or with a trailing @ if it has none", async () => {
    expect(await find("churn@")).toBe(items[1]);
    expect(await find("churn@", "deployment")).toBe(items[1]);
    expect(await find("churn@prod")).toBe(items[2]);
    expect(await find("churn", "named")).toBe(items[0]);
  });

  for (const name of ["churn@@", "@", "churn@prad"])
    test(`that no limit has is refused with the next step: ${name}`, async () => {
      const next = name === "churn@prad" ? 'did you mean "churn@prod"?' : "`towpath limit ls` lists them";
      expect(await caught(find(name))).toMatchObject({
        message: `There is no limit "${name}".`,
        code: "limit-not-found",
        next: [next],
      });
    });

  test("that several limits have is refused with their kinds", async () => {
    expect(await caught(find("churn"))).toMatchObject({
      next: ["choose one with --kind named or --kind deployment"],
    });
    expect(await caught(find("churn@", "named"))).toMatchObject({ code: "limit-not-found" });
  });
});
