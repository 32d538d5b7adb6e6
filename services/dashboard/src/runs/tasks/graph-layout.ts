import { graphlib, layout } from "@dagrejs/dagre";
import type { Graph } from "./graph-model.ts";

/** The size of a box, pixels. */
export const BOX = { width: 188, height: 52 } as const;
/** The distance between boxes, pixels. */
const GAP = { x: 24, y: 36 } as const;
/** The distance between parts of the graph that no arrow connects, pixels. */
const PART_GAP = { x: 36, y: 60 } as const;
const MARGIN = 8;
const PITCH = { x: BOX.width + GAP.x, y: BOX.height + 20 } as const;
/** The height of the line of text above the boxes without arrows, pixels. */
const HEADING_PX = 28;
const COLUMNS_MIN = 4;
/** Columns per root of the number of boxes, so that the grid is about twice as wide as high. */
const COLUMNS_PER_ROOT = 0.84;

interface Point {
  readonly x: number;
  readonly y: number;
}

/** The top left corner of each box. */
export interface Layout {
  readonly positions: ReadonlyMap<string, Point>;
  /** The top left corner of the boxes without arrows, which stand apart. Null: there are none, or only such. */
  readonly apart: Point | null;
}

interface Drawn {
  readonly positions: readonly (readonly [string, Point])[];
  readonly width: number;
  readonly height: number;
}

/** Boxes that arrows connect: arrows point down and rarely cross. */
function layered({ nodes, edges }: Pick<Graph, "nodes" | "edges">): Drawn {
  const drawing = new graphlib.Graph();
  drawing.setGraph({ rankdir: "TB", nodesep: GAP.x, ranksep: GAP.y });
  drawing.setDefaultEdgeLabel(() => ({}));
  for (const { id } of nodes) drawing.setNode(id, { ...BOX });
  for (const { from, to } of edges) drawing.setEdge(from, to);
  layout(drawing);
  const positions = nodes.map(({ id }) => {
    const { x = 0, y = 0 } = drawing.node(id);
    return [id, { x: x - BOX.width / 2, y: y - BOX.height / 2 }] as const;
  });
  const { width = 0, height = 0 } = drawing.graph();
  return { positions, width, height };
}

/** The parts of a graph that no arrow connects, in the order of their first boxes. */
function partsOf({ nodes, edges }: Pick<Graph, "nodes" | "edges">): Pick<Graph, "nodes" | "edges">[] {
  const drawing = new graphlib.Graph();
  for (const { id } of nodes) drawing.setNode(id);
  for (const { from, to } of edges) drawing.setEdge(from, to);
  const parts = graphlib.alg.components(drawing);
  const partOf = new Map(parts.flatMap((ids, part) => ids.map((id) => [id, part] as const)));
  const edgesOf = Map.groupBy(edges, ({ from }) => partOf.get(from));
  return [...Map.groupBy(nodes, ({ id }) => partOf.get(id))].map(([part, own]) => ({
    nodes: own,
    edges: edgesOf.get(part) ?? [],
  }));
}

/** Places the parts of a graph in rows, which together are about twice as wide as high. */
function packed(parts: readonly Drawn[]): Drawn {
  const area = parts.reduce(
    (sum, { width, height }) => sum + (width + PART_GAP.x) * (height + PART_GAP.y),
    0,
  );
  const widest = Math.max(Math.sqrt(2 * area), ...parts.map(({ width }) => width));
  const positions: (readonly [string, Point])[] = [];
  let [left, top, rowHeight, right] = [0, 0, 0, 0];
  for (const { positions: own, width, height } of parts) {
    if (left > 0 && left + width > widest) [left, top, rowHeight] = [0, top + rowHeight + PART_GAP.y, 0];
    for (const [id, { x, y }] of own) positions.push([id, { x: MARGIN + left + x, y: MARGIN + top + y }]);
    rowHeight = Math.max(rowHeight, height);
    right = Math.max(right, left + width);
    left += width + PART_GAP.x;
  }
  return { positions, width: right, height: MARGIN + top + rowHeight };
}

/** Places the boxes with arrows in layers, and below them the boxes without arrows in a grid. */
export function layoutOf({ nodes, edges }: Pick<Graph, "nodes" | "edges">): Layout {
  const linked = new Set(edges.flatMap(({ from, to }) => [from, to]));
  const single = nodes.filter(({ id }) => !linked.has(id));
  if (single.length === nodes.length)
    return { positions: grid(single, { top: MARGIN, width: 0 }), apart: null };
  const parts = partsOf({ nodes: nodes.filter(({ id }) => linked.has(id)), edges });
  const drawn = packed(parts.map(layered));
  if (single.length === 0) return { positions: new Map(drawn.positions), apart: null };
  const apart = { x: MARGIN, y: drawn.height + GAP.y };
  const below = grid(single, { top: apart.y + HEADING_PX, width: drawn.width });
  return { positions: new Map([...drawn.positions, ...below]), apart };
}

function grid(
  nodes: Graph["nodes"],
  { top, width }: { readonly top: number; readonly width: number },
): Map<string, Point> {
  const columns = Math.max(
    COLUMNS_MIN,
    Math.floor(width / PITCH.x),
    Math.ceil(Math.sqrt(nodes.length) * COLUMNS_PER_ROOT),
  );
  return new Map(
    nodes.map(({ id }, index) => [
      id,
      { x: MARGIN + (index % columns) * PITCH.x, y: top + Math.floor(index / columns) * PITCH.y },
    ]),
  );
}

const STEPS: Readonly<Record<string, { readonly axis: "x" | "y"; readonly sign: 1 | -1 }>> = {
  ArrowLeft: { axis: "x", sign: -1 },
  ArrowRight: { axis: "x", sign: 1 },
  ArrowUp: { axis: "y", sign: -1 },
  ArrowDown: { axis: "y", sign: 1 },
};

/** The box that an arrow key leads to: up and down along the arrows, else the nearest box in that direction. */
export function neighbourOf(
  graph: Pick<Graph, "edges">,
  args: { positions: Layout["positions"]; id: string; key: string },
): string | undefined {
  const { positions, id, key } = args;
  const step = STEPS[key];
  const here = positions.get(id);
  if (step === undefined || here === undefined) return undefined;
  if (step.axis === "y") {
    const linked =
      step.sign === 1
        ? graph.edges.find((edge) => edge.from === id)?.to
        : graph.edges.find((edge) => edge.to === id)?.from;
    if (linked !== undefined) return linked;
  }
  const across = step.axis === "x" ? "y" : "x";
  const ahead = [...positions].filter(
    ([, one]) =>
      (one[step.axis] - here[step.axis]) * step.sign > 0 && (step.axis === "y" || one.y === here.y),
  );
  const farness = (one: Point) =>
    Math.abs(one[step.axis] - here[step.axis]) * 2 + Math.abs(one[across] - here[across]);
  return ahead.sort(([, one], [, other]) => farness(one) - farness(other))[0]?.[0];
}
