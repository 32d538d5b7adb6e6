import { graphlib, layout } from "@dagrejs/dagre";
import type { Graph } from "./graph-model.ts";

/** The size of a box, pixels. */
export const BOX = { width: 188, height: 52 } as const;

/** The top left corner of each box. Arrows point down and rarely cross. */
export function positionsOf({
  nodes,
  edges,
}: Pick<Graph, "nodes" | "edges">): Map<string, { x: number; y: number }> {
  const drawing = new graphlib.Graph();
  drawing.setGraph({ rankdir: "TB", nodesep: 24, ranksep: 36, marginx: 8, marginy: 8 });
  drawing.setDefaultEdgeLabel(() => ({}));
  for (const { id } of nodes) drawing.setNode(id, { ...BOX });
  for (const { from, to } of edges) drawing.setEdge(from, to);
  layout(drawing);
  return new Map(
    nodes.map(({ id }) => {
      const { x = 0, y = 0 } = drawing.node(id);
      return [id, { x: x - BOX.width / 2, y: y - BOX.height / 2 }];
    }),
  );
}

/** The box that an arrow key leads to: up and down along the arrows, else the nearest box in the row. */
export function neighbourOf(
  graph: Pick<Graph, "edges">,
  args: { positions: ReadonlyMap<string, { x: number; y: number }>; id: string; key: string },
): string | undefined {
  const { positions, id, key } = args;
  if (key === "ArrowDown") return graph.edges.find((edge) => edge.from === id)?.to;
  if (key === "ArrowUp") return graph.edges.find((edge) => edge.to === id)?.from;
  const here = positions.get(id);
  if (here === undefined || (key !== "ArrowLeft" && key !== "ArrowRight")) return undefined;
  const sign = key === "ArrowLeft" ? -1 : 1;
  const beside = [...positions].filter(
    ([, position]) => position.y === here.y && (position.x - here.x) * sign > 0,
  );
  return beside.sort(([, one], [, other]) => (one.x - other.x) * sign)[0]?.[0];
}
