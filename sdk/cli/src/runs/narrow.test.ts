import { expect, test } from "vitest";
import { caught } from "../fixture.ts";
import { narrowingWords, stateOf } from "./narrow.ts";

test("A next page is asked for with the filters of the first", () =>
  expect(narrowingWords({ state: "failed", deployment: "flights", pool: "gpu", limit: 3 }).join(" ")).toBe(
    "failed --deployment flights --pool gpu",
  ));

test("A mistyped state is answered with the one that was meant", async () => {
  const failure = await caught(Promise.resolve().then(() => stateOf("faild")));
  expect(failure).toMatchObject({ next: expect.arrayContaining(['did you mean "failed"?']) });
});
