import { expect, test } from "vitest";
import { caught } from "../fixture.ts";
import { narrowingWords, stateOf } from "./narrow.ts";

test("The command for the next page has the filters of the first", () =>
  expect(narrowingWords({ state: "failed", deployment: "flights", pool: "gpu", limit: 3 }).join(" ")).toBe(
    "failed --deployment flights --pool gpu",
  ));

test("A mistyped state is refused with the most similar state", async () => {
  const failure = await caught(Promise.resolve().then(() => stateOf("faild")));
  expect(failure).toMatchObject({ next: expect.arrayContaining(['did you mean "failed"?']) });
});
