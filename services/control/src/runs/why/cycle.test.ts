import { describe, expect, test } from "vitest";
import { circleOf, circleText } from "./cycle.ts";
import type { Edge } from "./edges.ts";

const edge = (waiter: string, on: string, holder: string, sure = true): Edge => ({
  waiter,
  on,
  holder,
  sure,
  text: ` waits for ${on}, which run ${holder} has`,
  remedy: `more ${on}`,
});
const waiters = (runId: string, edges: Edge[]) => circleOf(runId, edges).map((one) => one.waiter);

describe("a circle", () => {
  test("of two that each have what the other wants is found", () => {
    expect(waiters("a", [edge("a", "y", "b"), edge("b", "x", "a")])).toEqual(["a", "b"]);
  });

  test("is found by one that only waits for it", () => {
    const edges = [edge("c", "x", "a"), edge("a", "y", "b"), edge("b", "x", "a")];
    expect(waiters("c", edges)).toEqual(["a", "b"]);
  });

  test("of a run whose task wants what the run itself has is found", () => {
    expect(waiters("a", [edge("a", "x", "a")])).toEqual(["a"]);
  });

  test("is none as long as one holder will end by itself", () => {
    const edges = [edge("a", "y", "b"), edge("a", "y", "free"), edge("b", "x", "a")];
    expect(waiters("a", edges)).toEqual([]);
  });

  test("is one where any of several things that it waits for is held by it", () => {
    const edges = [edge("a", "z", "free"), edge("a", "y", "b"), edge("b", "x", "a")];
    expect(waiters("a", edges)).toEqual(["a", "b"]);
  });

  test("is none where nobody waits for anybody", () => {
    expect(circleOf("a", [])).toEqual([]);
  });
});

describe("in words, a circle says", () => {
  const called = (runId: string) => `run ${runId} (flow)`;

  test("each step, what would do instead of an end, and the youngest to cancel", () => {
    const circle = [edge("b", "x", "a"), edge("a", "y", "b")];
    expect(circleText("b", { circle, called })).toBe(
      "It is one of 2 runs that wait for each other in a circle, and none can continue: run b (flow) waits for x, which run a has; run a (flow) waits for y, which run b has. To resolve this: more x, or more y, or `towpath runs cancel b`.",
    );
  });

  test("that it may be none, where one of them runs", () => {
    const circle = [edge("a", "y", "b"), edge("b", "x", "a", false)];
    expect(circleText("a", { circle, called })).toMatch(/^It may be one of 2 runs that wait for each other/);
    expect(circleText("c", { circle, called })).toMatch(/^It waits for 2 runs that may wait for each other/);
  });

  test("that the run only waits for it", () => {
    const circle = [edge("a", "y", "b"), edge("b", "x", "a")];
    expect(circleText("c", { circle, called })).toMatch(/^It waits for 2 runs that wait for each other in a/);
  });

  test("that a run waits for itself", () => {
    const circle = [edge("a", "x", "a")];
    expect(circleText("a", { circle, called })).toMatch(/^It waits for itself: run a /);
    expect(circleText("b", { circle, called })).toMatch(/^It waits for a run that waits for itself: run a /);
  });
});
