import { expect, test } from "vitest";
import { BOX, layoutOf, neighbourOf } from "./graph-layout.ts";
import { GRAPH_EDGES_MAX, GRAPH_NODES_MAX, type Graph, graphOf, stateOf } from "./graph-model.ts";
import { callOf } from "./task-run.fixture.ts";
import { treeOf } from "./task-tree.ts";

const arrows = ({ edges }: Graph) =>
  edges.map(({ from, to, kind }) => `${from} ${kind === "data" ? "→" : "⇢"} ${to}`).sort();
const drawn = (...tasks: ReturnType<typeof callOf>[]) => graphOf(treeOf(tasks));
const later = { from: 1, to: 2 };

test("arrows follow the data, whatever the order of time", () => {
  const graph = drawn(
    callOf("list", { from: 0, to: 1 }),
    callOf("clock", { ...later, order: 1 }),
    callOf("short", { ...later, order: 2, data: ["list"] }),
    callOf("long", { ...later, order: 3, data: ["list"] }),
    callOf("join", { from: 5, to: 6, data: ["long", "short", "gone"] }),
  );
  expect(arrows(graph)).toEqual(["list → long", "list → short", "long → join", "short → join"]);
  expect(graph.nodes.find(({ id }) => id === "join")?.from).toEqual(["long", "short"]);
});

test("tasks without data of each other have no arrow, even one after the other", () => {
  const graph = drawn(callOf("a", { from: 0, to: 1 }), callOf("b", later), callOf("c", { from: 2, to: 3 }));
  expect(arrows(graph)).toEqual([]);
});

test("ten thousand mapped calls are one box with counts and one arrow from each source", () => {
  const mapped = Array.from({ length: 10_000 }, (_, n) =>
    callOf(`load/${n}`, {
      made: 1,
      from: 1 + n,
      to: 2 + n,
      order: 1 + n,
      state: n === 4 ? "failed" : "completed",
      data: ["list"],
    }),
  );
  const graph = drawn(
    callOf("list", { from: 0, to: 1, order: 0 }),
    ...mapped,
    ...[0, 1].map((n) => callOf(`few/${n}`, { from: 3, to: 4, order: 10_001 + n, data: [`load/${n}`] })),
    callOf("fit", { from: 10_002, to: 10_003, order: 10_004, data: ["load", "few"] }),
  );
  expect(graph.nodes.map(({ name, tasks }) => [name, tasks.length])).toEqual([
    ["list", 1],
    ["load", 10_000],
    ["few", 1],
    ["few", 1],
    ["fit", 1],
  ]);
  expect(arrows(graph)).toEqual([
    "//load → few/0",
    "//load → few/1",
    "//load → fit",
    "few/0 → fit",
    "few/1 → fit",
    "list → //load",
  ]);
  expect(graph.nodes[1]?.counts).toEqual([
    ["completed", 9_999],
    ["failed", 1],
  ]);
  expect(graph.nodes.map(stateOf)).toEqual(["completed", "failed", "completed", "completed", "completed"]);
});

test("a call points to all its own calls, and the calls of a group are drawn once", () => {
  const one = drawn(
    callOf("train", { from: 0, to: 9, order: 0 }),
    callOf("train/split", { from: 0, to: 2, order: 1, name: "split" }),
    callOf("train/fit", { from: 2, to: 9, order: 2, name: "fit", data: ["train/split"] }),
  );
  expect(arrows(one)).toEqual(["train ⇢ train/fit", "train ⇢ train/split", "train/split → train/fit"]);
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

test("calls of one task that pass data to each other are a chain, and two tasks may pass data both ways", () => {
  const graph = drawn(
    ...Array.from({ length: 8 }, (_, n) => [
      callOf(`step:${n}`, { from: n, to: n + 1, order: 2 * n, data: n === 0 ? [] : [`test:${n - 1}`] }),
      callOf(`test:${n}`, { from: n, to: n + 1, order: 2 * n + 1, data: [`step:${n}`, `test:${n - 1}`] }),
    ]).flat(),
  );
  expect(arrows(graph)).toEqual(["//step → //test", "//test → //step"]);
  expect(graph.nodes.map(({ name, isChain }) => [name, isChain])).toEqual([
    ["step", false],
    ["test", true],
  ]);
});

test("a graph has a bound, and says how many boxes were left out", () => {
  const graph = drawn(
    ...Array.from({ length: 500 }, (_, n) => callOf(`t${n}`, { from: n, to: n + 1, order: n })),
  );
  expect([graph.nodes.length, graph.left]).toEqual([GRAPH_NODES_MAX, 500 - GRAPH_NODES_MAX]);
});

test("arrows have a bound, and the graph says how many were left out", () => {
  const names = Array.from({ length: 40 }, (_, n) => `t${n}`);
  const graph = drawn(
    ...names.map((name, n) => callOf(name, { from: n, to: n + 1, order: n, data: names.slice(0, n) })),
  );
  expect([graph.edges.length, graph.edgesLeft]).toEqual([GRAPH_EDGES_MAX, 780 - GRAPH_EDGES_MAX]);
});

test("boxes do not overlap, arrows point down, and arrow keys follow them", () => {
  const graph = drawn(
    callOf("list", { from: 0, to: 1 }),
    callOf("left", { ...later, data: ["list"] }),
    callOf("right", { ...later, order: 2, data: ["list"] }),
    callOf("join", { from: 5, to: 6, data: ["left", "right"] }),
  );
  const { positions, apart } = layoutOf(graph);
  expect(apart).toBeNull();
  const at = (id: string) => positions.get(id) ?? { x: Number.NaN, y: Number.NaN };
  for (const { from, to } of graph.edges) expect(at(from).y).toBeLessThan(at(to).y);
  expect(at("left").y).toBe(at("right").y);
  expect(Math.abs(at("left").x - at("right").x)).toBeGreaterThan(BOX.width);
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

test("parts that no arrow connects are placed in rows, so that many of them are not one wide row", () => {
  const graph = drawn(
    ...Array.from({ length: 40 }, (_, n) => [
      callOf(`read${n}`, { from: n, to: n + 1, order: 2 * n }),
      callOf(`write${n}`, { from: n, to: n + 1, order: 2 * n + 1, data: [`read${n}`] }),
    ]).flat(),
  );
  const { positions } = layoutOf(graph);
  const corners = [...positions.values()];
  const [width, height] = (["x", "y"] as const).map((axis) => Math.max(...corners.map((one) => one[axis])));
  expect(width).toBeLessThan(4 * (height ?? 0));
  expect(new Set(corners.map(({ x, y }) => `${x} ${y}`)).size).toBe(80);
  for (const { from, to } of graph.edges)
    expect(positions.get(from)?.y).toBeLessThan(positions.get(to)?.y ?? 0);
});

test("boxes without arrows stand apart below the others, in a grid that arrow keys cross", () => {
  const graph = drawn(
    ...Array.from({ length: 5 }, (_, n) => callOf(`single${n}`, { from: n, to: n + 1, order: n })),
    callOf("list", { from: 0, to: 1, order: 10 }),
    callOf("load", { ...later, order: 11, data: ["list"] }),
  );
  const { positions, apart } = layoutOf(graph);
  const at = (id: string) => positions.get(id) ?? { x: Number.NaN, y: Number.NaN };
  expect(apart?.y).toBeGreaterThan(at("load").y + BOX.height);
  expect(at("single0").y).toBeGreaterThan(apart?.y ?? Number.NaN);
  expect(at("single3").y).toBe(at("single0").y);
  expect(at("single4")).toEqual({ x: at("single0").x, y: expect.toSatisfy((y) => y > at("single0").y) });
  const go = (id: string, key: string) => neighbourOf(graph, { positions, id, key });
  expect([go("load", "ArrowDown"), go("single0", "ArrowDown"), go("single4", "ArrowUp")]).toEqual([
    "single0",
    "single4",
    "single0",
  ]);
  expect([go("single0", "ArrowRight"), go("single0", "ArrowLeft")]).toEqual(["single1", undefined]);
  expect(layoutOf(drawn(callOf("only", later))).apart).toBeNull();
});

test("the layout of the largest graph takes seconds at most", () => {
  const names = Array.from({ length: 1_000 }, (_, n) => `t${n}`);
  const graph = drawn(
    ...names.map((name, n) =>
      callOf(name, {
        from: n,
        to: n + 1,
        order: n,
        data: [0.5, 0.7, 0.9].map((at) => `t${Math.floor(n * at)}`),
      }),
    ),
  );
  const beforeMs = performance.now();
  const { positions } = layoutOf(graph);
  expect(positions.size).toBe(GRAPH_NODES_MAX);
  expect(performance.now() - beforeMs).toBeLessThan(20_000);
});
