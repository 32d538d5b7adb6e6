import { Limit, SetLimit } from "@towpath/contract";
import { expect, test } from "vitest";
import { effectText, type LimitTexts, limitOf, limitTextsOf, newLimitTexts } from "./limit-texts.ts";

const AT = "2026-01-01T00:00:00.000Z";

test.each([
  { kind: "named", name: "warehouse", slots: 3, perMs: null, collision: "enqueue" },
  { kind: "named", name: "github", slots: 5_000, perMs: 5_400_001, collision: "enqueue" },
  { kind: "deployment", name: "churn@prod", slots: 0, perMs: null, collision: "cancel-new" },
  { kind: "queue", name: "local/urgent", slots: 1, perMs: null, collision: "enqueue" },
] as const)("A limit that is opened and saved without a change stays as it is: $name", (settings) => {
  const limit = Limit.parse({
    ...settings,
    id: "0193a0b1-7c00-7000-8000-000000000001",
    source: "person",
    taken: 0,
    waiting: 0,
    holders: [],
    line: [],
    createdAt: AT,
    updatedAt: AT,
  });
  expect(SetLimit.parse(limitOf(limitTextsOf(limit)))).toEqual(settings);
});

const filled = (texts: Partial<LimitTexts>) => ({
  ...newLimitTexts({ kind: "named", name: "github" }),
  ...texts,
});

test.each([
  [{ slots: "" }, ["slots"]],
  [{ slots: "-1" }, ["slots"]],
  [{ slots: "1.5" }, ["slots"]],
  [{ slots: "100001" }, ["slots"]],
  [{ slots: "x", counts: "rate", per: "soon" }, ["slots", "perMs"]],
  [{ slots: "1", counts: "rate", per: "25h" }, ["perMs"]],
] as const)("Faulty texts %j are refused at once, each with its field", (texts, paths) => {
  expect(() => limitOf(filled(texts))).toThrow(
    expect.objectContaining({ faults: paths.map((path) => expect.objectContaining({ path })) }),
  );
});

test("Only the limit of a deployment keeps what happens if no slot is free", () => {
  expect(limitOf(filled({ slots: "1", collision: "cancel-new" })).collision).toBe("enqueue");
  expect(limitOf(filled({ slots: "1", collision: "cancel-new", kind: "deployment" })).collision).toBe(
    "cancel-new",
  );
});

test.each([
  [5, { taken: 0, waiting: 0 }, "0 slots are taken now. 5 of 5 are free."],
  [2, { taken: 1, waiting: 0 }, "1 slot is taken now. 1 of 2 is free."],
  [3, { taken: 3, waiting: 1 }, "3 slots are taken now. 1 request waits. No slot is free."],
  [
    1,
    { taken: 3, waiting: 2 },
    "3 slots are taken now. 2 requests wait. What has started continues. Nothing else starts until fewer than 1 is taken.",
  ],
  [
    0,
    { taken: 1, waiting: 0 },
    "1 slot is taken now. With 0 slots nothing starts. What has started continues.",
  ],
] as const)("With %j slots and %j, the form says what that means", (slots, load, text) => {
  expect(effectText(slots, load)).toBe(text);
});
