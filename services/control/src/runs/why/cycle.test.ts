import { describe, expect, test } from "vitest";
import { circleOf } from "./cycle.ts";

const edge = (waiter: string, limitId: string, holder: string) => ({ waiter, limitId, holder });
const none = new Map<string, string>();

describe("a circle", () => {
  test("of two that each have what the other wants is found", () => {
    const edges = [edge("a", "y", "b"), edge("b", "x", "a")];
    expect(circleOf("a", { edges, parents: none })).toEqual(["a", "b"]);
  });

  test("is found by one that only waits for it", () => {
    const edges = [edge("c", "x", "a"), edge("a", "y", "b"), edge("b", "x", "a")];
    expect(circleOf("c", { edges, parents: none })).toEqual(["a", "b"]);
  });

  test("of a run whose task wants what the run itself has is found", () => {
    expect(circleOf("a", { edges: [edge("a", "x", "a")], parents: none })).toEqual(["a"]);
  });

  test("of a run that started another, which lacks the first one's slot, is found", () => {
    const parents = new Map([["child", "parent"]]);
    expect(circleOf("child", { edges: [edge("child", "x", "parent")], parents })).toEqual([
      "child",
      "parent",
    ]);
  });

  test("is none as long as one holder will end by itself", () => {
    const edges = [edge("a", "y", "b"), edge("a", "y", "free"), edge("b", "x", "a")];
    expect(circleOf("a", { edges, parents: none })).toEqual([]);
  });

  test("is none where nobody waits for anybody", () => {
    expect(circleOf("a", { edges: [], parents: none })).toEqual([]);
  });
});
