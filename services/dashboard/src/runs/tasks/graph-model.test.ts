import { expect, test } from "vitest";
import { neighbourOf, positionsOf } from "./graph-layout.ts";
import { GRAPH_NODES_MAX, type Graph, graphOf, stateOf } from "./graph-model.ts";
import { callOf } from "./task-run.fixture.ts";
import { treeOf } from "./task-tree.ts";

const arrows = ({ edges }: Graph) =>
  edges.map(({ from, to, kind }) => `${from} ${kind === "after" ? "→" : "⇢"} ${to}`).sort();
const drawn = (...tasks: ReturnType<typeof callOf>[]) => graphOf(treeOf(tasks));

test("a chain, a fan and a join have the right arrows", () => {
  const graph = drawn(
    callOf("list", { from: 0, to: 1 }),
    callOf("short", { from: 1, to: 2 }),
    callOf("long", { from: 1, to: 5, order: 2 }),
    callOf("join", { from: 5, to: 6 }),
  );
  expect(arrows(graph)).toEqual(["list → long", "list → short", "long → join", "short → join"]);
});

test("two parallel chains do not cross", () => {
  const graph = drawn(
    callOf("a1", { from: 0, to: 5, order: 0 }),
    callOf("b1", { from: 0, to: 6, order: 1 }),
    callOf("a2", { from: 5, to: 10, order: 2 }),
    callOf("b2", { from: 6, to: 12, order: 3 }),
    callOf("end", { from: 12, to: 13, order: 4 }),
  );
  expect(arrows(graph)).toEqual(["a1 → a2", "a2 → end", "b1 → b2", "b2 → end"]);
});

test("ten thousand mapped calls are one box with counts, between the calls before and after", () => {
  const mapped = Array.from({ length: 10_000 }, (_, n) =>
    callOf(`load/${n}`, {
      made: 1,
      from: 1 + n,
      to: 2 + n,
      order: 1 + n,
      state: n === 4 ? "failed" : "completed",
    }),
  );
  const graph = drawn(
    callOf("list", { from: 0, to: 1, order: 0 }),
    ...mapped,
    callOf("fit", { from: 10_001, to: 10_002 }),
  );
  expect(graph.nodes.map(({ name, tasks }) => [name, tasks.length])).toEqual([
    ["list", 1],
    ["load", 10_000],
    ["fit", 1],
  ]);
  expect(arrows(graph)).toEqual(["//load → fit", "list → //load"]);
  expect(graph.nodes[1]?.counts).toEqual([
    ["completed", 9_999],
    ["failed", 1],
  ]);
  expect(graph.nodes.map(stateOf)).toEqual(["completed", "failed", "completed"]);
});

test("a call points to its own first calls, and the calls of a group are drawn once", () => {
  const one = drawn(
    callOf("train", { from: 0, to: 9, order: 0 }),
    callOf("train/split", { from: 0, to: 2, order: 1, name: "split" }),
    callOf("train/fit", { from: 2, to: 9, order: 2, name: "fit" }),
  );
  expect(arrows(one)).toEqual(["train ⇢ train/split", "train/split → train/fit"]);
  const many = drawn(
    ...Array.from({ length: 8 }, (_, n) => [
      callOf(`t/${n}`, { from: n, to: n + 1, order: 2 * n }),
      callOf(`t/${n}/x`, { from: n, to: n + 1, order: 2 * n + 1, name: "x" }),
    ]).flat(),
  );
  expect(many.nodes.map(({ name, tasks }) => [name, tasks.length])).toEqual([
    ["t", 8],
    ["x", 8],
  ]);
  expect(arrows(many)).toEqual(["//t ⇢ //t//x"]);
});

test("a graph has a bound, and says how many boxes were left out", () => {
  const graph = drawn(
    ...Array.from({ length: 500 }, (_, n) => callOf(`t${n}`, { from: n, to: n + 1, order: n })),
  );
  expect([graph.nodes.length, graph.left]).toEqual([GRAPH_NODES_MAX, 500 - GRAPH_NODES_MAX]);
});

test("boxes do not overlap, arrows point down, and arrow keys follow them", () => {
  const graph = drawn(
    callOf("list", { from: 0, to: 1 }),
    callOf("left", { from: 1, to: 2 }),
    callOf("right", { from: 1, to: 5, order: 2 }),
    callOf("join", { from: 5, to: 6 }),
  );
  const positions = positionsOf(graph);
  const at = (id: string) => positions.get(id) ?? { x: Number.NaN, y: Number.NaN };
  for (const { from, to } of graph.edges) expect(at(from).y).toBeLessThan(at(to).y);
  expect(at("left").y).toBe(at("right").y);
  expect(Math.abs(at("left").x - at("right").x)).toBeGreaterThan(188);
  const go = (id: string, key: string) => neighbourOf(graph, { positions, id, key });
  expect([go("left", "ArrowDown"), go("left", "ArrowUp"), go("join", "ArrowDown")]).toEqual([
    "join",
    "list",
    undefined,
  ]);
  const [west, east] = at("left").x < at("right").x ? ["left", "right"] : ["right", "left"];
  expect([go(String(west), "ArrowRight"), go(String(east), "ArrowLeft"), go(String(east), "a")]).toEqual([
    east,
    west,
    undefined,
  ]);
});
