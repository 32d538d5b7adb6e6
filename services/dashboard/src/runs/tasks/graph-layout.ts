import { graphlib, layout } from "@dagrejs/dagre";
import type { Graph } from "./graph-model.ts";

/** The size of a box, pixels. */
export const BOX = { width: 188, height: 52 } as const;
/** The distance between boxes, pixels. */
const GAP = { x: 24, y: 36 } as const;
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

/** Boxes with arrows: arrows point down and rarely cross. */
function layered({ nodes, edges }: Pick<Graph, "nodes" | "edges">) {
  const drawing = new graphlib.Graph();
  drawing.setGraph({ rankdir: "TB", nodesep: GAP.x, ranksep: GAP.y, marginx: MARGIN, marginy: MARGIN });
  drawing.setDefaultEdgeLabel(() => ({}));
  for (const { id } of nodes) drawing.setNode(id, { ...BOX });
  for (const { from, to } of edges) drawing.setEdge(from, to);
  layout(drawing);
  const positions = nodes.map(({ id }): [string, Point] => {
    const { x = 0, y = 0 } = drawing.node(id);
    return [id, { x: x - BOX.width / 2, y: y - BOX.height / 2 }];
  });
  const { width = 0, height = 0 } = drawing.graph();
  return { positions, width, height };
}

/** Places the boxes with arrows in layers, and below them the boxes without arrows in a grid. */
export function layoutOf({ nodes, edges }: Pick<Graph, "nodes" | "edges">): Layout {
  const linked = new Set(edges.flatMap(({ from, to }) => [from, to]));
  const single = nodes.filter(({ id }) => !linked.has(id));
  if (single.length === nodes.length)
    return { positions: grid(single, { top: MARGIN, width: 0 }), apart: null };
  const drawn = layered({ nodes: nodes.filter(({ id }) => linked.has(id)), edges });
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
